"""What a model runtime must do, and nothing more."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[np.int64]]


class RuntimeUnavailable(Exception):
    """A runtime cannot be used on this machine; the message says why and what to do."""


class Runtime(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str:
        """Runtime and the device it really runs on, such as ``onnxruntime-cpu``."""

    @property
    def precision(self) -> str:
        """The numeric precision it really computes in, such as ``fp32`` or ``bf16``."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of one short batch: enough to use the device fully, few enough to wait for."""

    @property
    def lanes(self) -> int:
        """Runs that may be in progress at once, each from a thread of its own."""

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """Logits float32[batch, classes] of the rows in ``feeds``, each int64[batch, length]."""

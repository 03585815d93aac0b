"""What a model runtime must do, and nothing more."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# The graph's inputs by name: each as wide as the graph wants it, in the graph's own type.
Feeds = Mapping[str, NDArray[Any]]


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
        """The graph's one output, float32[batch, outputs], of the rows in ``feeds``, each [batch, …]."""

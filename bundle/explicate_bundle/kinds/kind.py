"""What a kind of input brings into a bundle: files, checks of its part of the manifest, and golden inputs as arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol  # arrays of several types

from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.model_inputs import ModelInput

Arrays = Mapping[str, NDArray[Any]]
Check = tuple[bool, str]
"""What must hold, and what is wrong otherwise."""


@dataclass(frozen=True)
class InputTalk:
    """How people speak of what a model reads.

    Attributes:
        one, many: inputs, as they are counted.
        reads: what a model does, such as "reads a text".
        parts: what an input is explained by.
        unlike: how an input may differ from those of the test.
    """

    one: str
    many: str
    reads: str
    parts: str
    unlike: str


class InputKind(Protocol):
    """One kind of input."""

    name: str
    """"text", "table" or "image"."""

    number: int
    """The manifest's value of it."""

    field: str
    """The field of a manifest that holds its schema, and of a request that holds an input."""

    talk: InputTalk
    """How people speak of it."""

    plural: str
    """Several inputs, in words."""

    outputs_array: str
    """The array of golden.npz that holds the golden outputs."""

    attributed_array: str
    """The array of golden.npz that holds the indices of the attributed inputs."""

    has_segments: bool
    """Whether the players of its attributions are cut first, so that their recipe says how many."""

    def files(self, manifest: bundle_pb2.Bundle) -> Sequence[str]:
        """Files that a bundle must have beside the graph and the golden inputs."""

    def checks(self, manifest: bundle_pb2.Bundle) -> Iterator[Check]:
        """What must hold of its part of the manifest, in an order in which each may rely on those before it."""

    def check_contents(self, folder: Path, manifest: bundle_pb2.Bundle) -> None:
        """Read what its own files hold; the manifest passed the checks.

        Raises:
            BundleError: a file is not in the format.
        """

    def pack(self, inputs: Sequence[ModelInput], manifest: bundle_pb2.Bundle) -> dict[str, NDArray[Any]]:
        """Golden inputs as arrays."""

    def unpack(self, arrays: Arrays, manifest: bundle_pb2.Bundle) -> tuple[ModelInput, ...]:
        """Golden inputs from arrays.

        Raises:
            BundleError, KeyError, ValueError, TypeError: they are not in the format.
        """

"""What differs between kinds of inputs when a model is measured: a folder each, with a `KIND` in its evaluated.py."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.model_inputs import ModelInput

if TYPE_CHECKING:
    from explicate_standards.evaluated_model import EvaluatedModel
    from explicate_standards.held_out_rows import LabelledInput
    from explicate_standards.subject import Subject


class EvaluatedKind(Protocol):
    """One kind of input."""

    edits_are: str
    """What is done to an input that leaves its label as it is, for people."""

    def read(self, line: Mapping[str, Any], model: "EvaluatedModel", folder: Path) -> ModelInput | None:
        """The input of a line of a file in `folder`; None if a server would refuse it.

        Raises:
            UsageError: the line has no such input.
        """

    def fields(self, row: "LabelledInput") -> Mapping[str, Any]:
        """What slices may ask of an input, by name."""

    def base(self, subject: "Subject") -> "Subject":
        """What edits are made of and compared with: the input itself, or the same with players that edits keep."""
        return subject

    def edits(self, subject: "Subject", generator: np.random.Generator) -> Iterator[ModelInput]:
        """Inputs with the same right answer and the same players as a `base`, in an order that the generator draws."""

    def rationale(self, subject: "Subject") -> NDArray[np.bool_] | None:
        """Which players a person gave as the grounds of the label, bool[n]; None where nobody did.

        Raises:
            UsageError: what is given does not fit the input.
        """

    def contradictions(self, subject: "Subject") -> Mapping[str, Sequence[bool]]:
        """What claims of the bundle the model was held to on this input, and which of the trials broke one.

        By the kind of claim: "monotone", "forbidden" or "forbidden_columns".
        """

    def claims(self, model: "EvaluatedModel") -> bool:
        """Whether the bundle claims anything of the kind."""

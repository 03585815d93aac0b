"""Why an export can be refused, one class per thing the caller can do about it.

ExplicateError
├── UsageError           the run directory, the name or the version is wrong: mend what was given
├── TrivialModel         the model is not better than always the same answer: train again, or ask for it anyway
├── StandardNotMet       the model does not meet the standard: train again, or ask for it anyway
├── ConversionError      the architecture cannot become a graph with positions as an input: use another base model
├── ParityError          the graph answers differently from the original model: nothing was published
└── PublicationError     the repository could not take the bundle: mend the folder, or choose another version
"""

from explicate.errors import ExplicateError, UsageError

__all__ = [
    "ConversionError",
    "ExplicateError",
    "ParityError",
    "PublicationError",
    "StandardNotMet",
    "TrivialModel",
    "UsageError",
    "first_line",
]


class TrivialModel(ExplicateError):
    """The model was not shown to know more than the answer that is the same for all inputs."""


class StandardNotMet(ExplicateError):
    """The model does not meet the standard that it was to be published by, or that cannot be told."""


class ConversionError(ExplicateError):
    """The model cannot be expressed as the ONNX graph that a bundle needs."""


class ParityError(ExplicateError):
    """The ONNX graph does not answer as the original model does."""


class PublicationError(ExplicateError):
    """The repository could not take the bundle."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a message of one sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

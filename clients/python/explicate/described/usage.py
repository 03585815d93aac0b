"""How much of an input a model saw."""

from dataclasses import dataclass, field

from explicate.inputs import ONLY_SOME_KINDS


@dataclass(frozen=True)
class TextUsage:
    """How much of a text, or of a pair of texts, the model saw.

    characters_used, pair_characters_used: code points from the start of the text, and of the second one of a pair.
    """

    tokens: int
    tokens_used: int
    truncated: bool
    characters_used: int
    pair_characters_used: int | None = field(default=None, metadata=ONLY_SOME_KINDS)


@dataclass(frozen=True)
class ImageUsage:
    """What the model saw of an image: a box in pixels of the image once upright, which is `width` x `height`.

    frames: pictures in the file; the model saw the first one only.
    """

    width: int
    height: int
    left: float
    top: float
    right: float
    bottom: float
    frames: int

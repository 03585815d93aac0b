"""What a model is asked of: a text or a pair, a row of a table, an image."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, ClassVar


@dataclass(frozen=True)
class TextInput:
    """A text to predict, or the two texts of a pair."""

    text: str
    text_pair: str | None = None
    described: ClassVar[str] = "a text"
    field: ClassVar[str] = "text"
    is_file: ClassVar[bool] = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, or both."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the text, or of the digests of both: the same for equal inputs only."""
        digests = [sha256(text.encode("utf-8", "surrogatepass")).digest() for text in self.texts]
        return digests[0] if len(digests) == 1 else sha256(b"".join(digests)).digest()

    @property
    def encoding_cost(self) -> int:
        """What encoding it takes, as a number of characters."""
        return sum(map(len, self.texts))

    def document(self) -> dict[str, Any]:
        """The input as JSON has it."""
        return {"text": self.text} if self.text_pair is None else {"text": self.text, "text_pair": self.text_pair}


def text_figures(texts: Sequence[str]) -> dict[str, int]:
    """What slices may ask of a text, or of both of a pair: how long it is."""
    return {"words": sum(len(text.split()) for text in texts), "characters": sum(map(len, texts))}


CellValue = float | str | None
"""A number, a category by its name, or missing."""


@dataclass(frozen=True)
class TabularInput:
    """A row of a table to predict: values by column."""

    cells: Mapping[str, CellValue]
    described: ClassVar[str] = "a row of a table"
    field: ClassVar[str] = "tabular"
    is_file: ClassVar[bool] = False

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the input: the same for equal inputs only."""
        return sha256(json.dumps(self.cells, sort_keys=True).encode("ascii")).digest()

    @property
    def encoding_cost(self) -> int:
        """What encoding it takes, as a number of characters of a text."""
        return 4 * len(self.cells)

    def document(self) -> dict[str, Any]:
        """The input as JSON has it."""
        return {"cells": dict(self.cells)}


# Ten times that of an ordinary image; that of a large one is more still, but only decoding would tell.
_LEAST_IMAGE_COST = 1 << 20


@dataclass(frozen=True)
class ImageInput:
    """An image to predict: the bytes of its file."""

    content: bytes
    described: ClassVar[str] = "an image"
    field: ClassVar[str] = "image"
    is_file: ClassVar[bool] = True

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the input: the same for equal inputs only."""
        return sha256(self.content).digest()

    @property
    def encoding_cost(self) -> int:
        """What decoding it takes, as a number of characters of a text; a small file may still hold many pixels."""
        return max(_LEAST_IMAGE_COST, len(self.content))

    def document(self) -> dict[str, Any]:
        """The input as JSON has it."""
        return {"image": base64.b64encode(self.content).decode("ascii")}


# Each modality adds its kind of input: what it is called, the field of a request that holds it, whether it is a file.
ModelInput = TextInput | TabularInput | ImageInput

"""What the rest of the server knows of an input: rows for the model, and a game to explain."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from explicate_server.runtime.base import Feeds
from explicate_server.runtime.queue import Row


@dataclass(frozen=True)
class TextInput:
    """A text to predict."""

    text: str

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the input: the same for equal inputs only."""
        return sha256(self.text.encode("utf-8", "surrogatepass")).digest()


# Each modality adds its kind of input.
ModelInput = TextInput


@dataclass(frozen=True)
class Player:
    """A part of the input that can be present or absent: a word, a phrase, or all the places of one distinct word."""

    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TextUsage:
    """How much of a text the model saw; ``characters_used`` counts from its start."""

    tokens: int
    tokens_used: int
    characters_used: int

    @property
    def truncated(self) -> bool:
        """Whether the text's end was not seen."""
        return self.tokens_used < self.tokens


class Game(Protocol):
    """An input with its players: what the model is asked when some of them are absent."""

    @property
    def players(self) -> Sequence[Player]:
        """In reading order."""

    @property
    def breaks(self) -> NDArray[np.intp] | None:
        """intp[players − 1], how much parts a player from the next; see GameInfo. None when that is no question."""

    def grouped(self, groups: NDArray[np.intp]) -> Sequence[Player]:
        """The groups of neighbours as players; ``groups`` intp[players] says which one each player belongs to."""

    def rows(self, coalitions: NDArray[np.bool_]) -> list[Row]:
        """One model row per coalition of bool[m, players], True = present."""


class EncodedInput(Protocol):
    """One input, ready for the model."""

    @property
    def row(self) -> Row:
        """The model row of the whole input."""

    @property
    def usage(self) -> TextUsage | None:
        """How much of it the model sees; None where that is no question."""


class Modality(Protocol):
    """One kind of input, set up for one loaded bundle. Safe to use from several threads."""

    maskings: tuple[str, ...]
    """How absence can be expressed for this model."""

    def violation(self, value: ModelInput) -> str | None:
        """What is wrong with an input, in a sentence; None when nothing is."""

    def encode(self, value: ModelInput) -> EncodedInput:
        """Make an input ready; it passed :meth:`violation`."""

    def game(self, value: ModelInput, encoded: EncodedInput, *, players: str, masking: str) -> Game:
        """The game of an input: ``players`` is "words", "distinct-words", "tokens" or "sentences"; ``masking`` one of
        ``maskings``."""

    def collate(self, rows: Sequence[Row]) -> Feeds:
        """Pad rows into one batch of the graph's inputs."""

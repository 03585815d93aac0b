"""Rationales: the parts of a text that people, or a lexicon, hold responsible for its label.

A column has the rationale of each row: a JSON list of words, `["great", "not good"]`, or of spans of characters,
`[[0, 5], [11, 19]]`, or words with a separator between them. A lexicon has words for all rows.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple  # Any: a cell of a file

from explicate.errors import UsageError
from explicate_bundle.players.word_swaps import WordFinder

OPTION = "interpretability.rationales"
_SHOWN_CHARACTERS = 60


class Mark(NamedTuple):
    """A part of a row: characters [start, stop) of one of its texts, and how much it counts, above 0 and 1 at most."""

    text: int
    start: int
    stop: int
    weight: float = 1.0


Marks = tuple[Mark, ...]


@dataclass(frozen=True)
class RationaleColumn:
    """A column with the rationale of each row."""

    name: str
    separator: str  # between words of a cell that is no JSON list

    def marks(self, cell: Any, texts: Sequence[str], where: str) -> Marks | None:
        """What a cell marks in its row's texts; None when it is empty.

        `where` names the row. Raises UsageError when the cell holds something else, or what is not in its text.
        """
        parts = self._parts(cell, where)
        found: list[Mark] = []
        for part in parts:
            found += self._word(part, texts, where) if isinstance(part, str) else self._span(part, texts, where)
        return tuple(sorted(set(found))) or None

    def _parts(self, cell: Any, where: str) -> list[Any]:
        if isinstance(cell, str) and cell.lstrip().startswith("["):
            try:
                cell = json.loads(cell)
            except ValueError as error:
                raise UsageError(f"{where}: the rationale in {self.name!r} is not valid JSON: {error}") from None
        if cell is None or cell != cell:  # NaN, of a data frame
            return []
        if isinstance(cell, str):
            return [word.strip() for word in cell.split(self.separator) if word.strip()]
        if not isinstance(cell, list | tuple):
            raise UsageError(
                f"{where}: the rationale in {self.name!r} is {cell!r}: write words with {self.separator!r} between "
                "them, or a JSON list of words or of [start, stop]"
            )
        return list(cell)

    def _word(self, word: str, texts: Sequence[str], where: str) -> list[Mark]:
        finder = WordFinder([word])
        found = [Mark(number, one.start, one.stop) for number, text in enumerate(texts) for one in finder.find(text)]
        if not found:
            raise UsageError(
                f"{where}: the rationale {word!r} is not in its text {_shown(texts)}: correct the column "
                f"{self.name!r}, or leave the cell empty"
            )
        return found

    def _span(self, span: Any, texts: Sequence[str], where: str) -> list[Mark]:
        if len(texts) > 1:
            raise UsageError(
                f"{where}: a span does not say of which text of a pair it is: write words in {self.name!r}"
            )
        whole = isinstance(span, list | tuple) and [type(end) for end in span] == [int, int]
        if not whole or not 0 <= span[0] < span[1] <= len(texts[0]):
            raise UsageError(
                f"{where}: the rationale {span!r} in {self.name!r} is no part of its text of {len(texts[0]):,} "
                "characters: write [start, stop], counted from 0, with stop behind the last"
            )
        return [Mark(0, *span)]


class Lexicon:
    """Words that count wherever they are."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """`weights` are of folded words, above 0 and 1 at most."""
        self._weights = weights
        self._finder = WordFinder(weights)

    def marks(self, texts: Sequence[str]) -> Marks | None:
        """What it marks in a row's texts; None when none of its words is there."""
        return (
            tuple(
                Mark(number, one.start, one.stop, self._weights[one.word])
                for number, text in enumerate(texts)
                for one in self._finder.find(text)
            )
            or None
        )

    def marks_of_all(self, rows: Iterable[Sequence[str]], path: str) -> list[Marks | None]:
        """Of each row. Raises UsageError when no row has a word of it."""
        found = [self.marks(texts) for texts in rows]
        if not any(found):
            raise UsageError(
                f"{OPTION}: none of the {len(self._weights):,} words of {path} is in the texts: check its language and "
                "that each line is a word, a tab and a weight"
            )
        return found


def player_targets(marks: Marks, players: Sequence[tuple[int, int, int]]) -> list[float]:
    """How much each player counts, 0 to 1: the most of what lies in it. A player: its text, start and stop."""
    return [
        max(
            (mark.weight for mark in marks if mark.text == text and mark.start < stop and mark.stop > start),
            default=0.0,
        )
        for text, start, stop in players
    ]


def _shown(texts: Sequence[str]) -> str:
    text = " / ".join(texts)
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")

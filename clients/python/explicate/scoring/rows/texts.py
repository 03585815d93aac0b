"""Texts and pairs of texts, from columns of files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from explicate.inputs import GivenValue, Input, TextPair
from explicate.scoring.interfaces import Refusal


def refused(field: str, message: str) -> Refusal:
    """The refusal of a row for what it has in a column; the whole row for an empty `field`."""
    return Refusal("INVALID_FIELD", field, message)


@dataclass(frozen=True)
class Texts:
    """Texts, or with two columns pairs of them."""

    texts: tuple[list[str], ...]

    @staticmethod
    def of(columns: Sequence[tuple[str, pa.Array, bool]]) -> tuple[Texts, dict[int, Refusal]]:
        """The texts of one or two columns: their names, what the files have, and whether that is JSON.

        And the rows without a text.
        """
        read: list[list[str]] = []
        refusals: dict[int, Refusal] = {}
        for name, array, is_json in columns:
            texts = array.to_pylist()
            if is_json:
                texts = [None if text is None else json.loads(text) for text in texts]
            read.append(texts)
            for place, text in enumerate(texts):
                if not isinstance(text, str) or not text:
                    what = "is not a text" if text else "there is no text"
                    refusals.setdefault(place, refused(name, f"column {name}: {what}"))
        return Texts(tuple(read)), refusals

    def __len__(self) -> int:
        return len(self.texts[0])

    def value(self, place: int) -> Input:
        """One text or pair."""
        own = [texts[place] for texts in self.texts]
        return own[0] if len(own) == 1 else TextPair(*own)

    def columns(self, places: Sequence[int]) -> Mapping[str, Iterable[GivenValue]] | None:  # noqa: ARG002
        """None: texts are not sent packed."""
        return None

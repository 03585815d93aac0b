"""Which columns a source names, and which of them are read: one rule for headers, whatever the file.

Blanks around a name are not part of it. A column without a name cannot be asked for, so it is left out: it is the index
of a pandas frame, or what stands after the last separator.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from explicate.errors import UsageError

Tell = Callable[[str], None]
"""Hears what is told of a file while it is read."""
_NO_NAME = re.compile(r"(Unnamed: \d+(_level_\d+)?|__index_level_\d+__)?")  # what pandas writes where there is none
_LISTED = 20  # names in a message
_BLOCK_ROWS = 4096


def quietly(line: str) -> None:
    """Tells nobody."""


def clean_name(name: object) -> str:
    """A column's name without what surrounds it and nobody sees."""
    return "" if name is None else str(name).strip().strip("\ufeff\u200b").strip()


@dataclass(frozen=True)
class Wanted:
    """The columns to read."""

    required: Mapping[str, str]  # by option, such as "data.label_column"
    others: bool = False  # whether to read all others, too
    optional: tuple[str, ...] = ()  # to read where they are there

    def in_header(self, header: Sequence[object]) -> bool:
        """Whether these could be the names: all required ones are among them."""
        return set(self.required.values()) <= {clean_name(name) for name in header}

    def places(self, header: Sequence[object], source: str, *, advice: str = "") -> dict[str, int]:
        """Where each column to read is, by its name.

        Args:
            header: the names as the source has them.
            source: the file, and the line if it has lines, for messages.
            advice: what else may be wrong when a required column is missing.

        Raises:
            UsageError: a required column is missing, or a column to read is named twice.
        """
        names = [clean_name(name) for name in header]
        for option, name in self.required.items():
            if name not in names:
                raise UsageError(f"{source} has no column {name!r}: set {option} to one of {listed(names)}{advice}")
        wanted = [name for name in names if not _NO_NAME.fullmatch(name)] if self.others else []
        named = (*self.required.values(), *(name for name in self.optional if name in names))
        wanted += [name for name in dict.fromkeys(named) if name not in wanted]
        for name, count in Counter(name for name in names if name in wanted).items():
            if count > 1:
                both = " and ".join(str(place) for place, other in enumerate(names, start=1) if other == name)
                raise UsageError(f"{source} names the column {name!r} {count} times (places {both}): rename others")
        return {name: names.index(name) for name in wanted}

    def unnamed(self, header: Sequence[object]) -> list[int]:
        """Places of columns that are left out because they lack a name."""
        required = set(self.required.values())
        names = [clean_name(name) for name in header]
        return [
            place
            for place, name in enumerate(names)
            if self.others and name not in required and _NO_NAME.fullmatch(name)
        ]


class Rows:
    """Rows as they are read, cut to the wanted columns. Grows."""

    def __init__(self, places: Mapping[str, int], unnamed: Sequence[int], *, empty_is_missing: bool) -> None:
        """`empty_is_missing`: where there is no other way to write that a value is missing."""
        self._places, self._unnamed, self._empty_is_missing = places, unnamed, empty_is_missing
        self._values: dict[str, list[object]] = {name: [] for name in places}
        self._filled: set[int] = set()  # columns without a name that hold something
        self._block: list[Sequence[object]] = []  # turned into columns at once, three times as fast as cell by cell

    def add(self, row: Sequence[object]) -> None:
        """A row with a cell for each name of the header."""
        self._block.append(row)
        if len(self._block) == _BLOCK_ROWS:
            self._turn()

    def columns(self) -> tuple[dict[str, list[object]], list[str]]:
        """The cells by column, and what is told of columns that are left out; nothing of empty ones."""
        self._turn()
        notes = [f"column {place + 1} has no name and is left out" for place in sorted(self._filled)]
        return self._values, notes

    def _turn(self) -> None:
        if not self._block:
            return
        columns = list(zip(*self._block, strict=True))
        self._block.clear()
        for name, place in self._places.items():
            cells = columns[place]
            self._values[name] += [None if cell == "" else cell for cell in cells] if self._empty_is_missing else cells
        self._filled |= {place for place in self._unnamed if any(cell not in (None, "") for cell in columns[place])}


def listed(names: Sequence[str]) -> str:
    """Some names for a message."""
    shown = ", ".join(map(repr, names[:_LISTED]))
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown

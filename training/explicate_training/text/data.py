"""Where labelled texts come from: data files and the named demo set.

Values are judged here (a text must be a string), texts are judged by `cleaning`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any  # arrays of objects

from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate_training.data.demos import DEMO_TEXTS
from explicate_training.data.files import Columns, read_files
from explicate_training.data.header import Tell, Wanted, quietly
from explicate_training.data.labels import Label, Split, class_name, label_name, settle_labels
from explicate_training.data.splits import LabelledSet
from explicate_training.interpretability.texts.marks import OPTION as RATIONALES
from explicate_training.interpretability.texts.marks import Marks, RationaleColumn
from explicate_training.tasks.registry import task_named
from explicate_training.text.config import DataConfig


@dataclass(frozen=True)
class RawRow:
    """A row as it was read; None is a missing value."""

    split: Split  # where the source put it; cleaning and splitting may take parts of "train" for the others
    text: str | None
    label: Label | None
    text_pair: str | None = None  # the second text of a pair
    rationale: Marks | None = None  # the parts of it that its rationale names
    side: str | None = None  # what the column of [fairness] says


@dataclass(frozen=True, kw_only=True)
class TextSet(LabelledSet):
    """Usable texts, or pairs of texts."""

    strata_of_all = False

    texts: NDArray[Any]  # object: tuple of one text or two
    rationales: NDArray[Any] | None = None  # object: Marks, None of a row without; where a column has them

    def content(self, place: int) -> list[str]:
        """The texts of a row."""
        return list(self.texts[place])


def read_rows(
    config: DataConfig, tell: Tell = quietly, *, rationales: RationaleColumn | None = None, side: str = ""
) -> list[RawRow]:
    """All rows of the configured source, in its order: train, then validation and test if there are any.

    `side` names a column that says what groups they are in, for [fairness]; empty: none.

    Raises UsageError when a file is missing or unreadable, lacks a column, or holds something else than texts in it, or
    a rationale that is not in its text.
    """
    if config.demo:
        return [
            row
            for part in DEMO_TEXTS[config.demo]()
            for row in _rows(part, "review", "", [label_name(score) for score in part.values["score"]])
        ]
    required = {"data.text_column": config.text_column, **config.columns_with_labels()}
    if config.text_pair_column:
        required["data.text_pair_column"] = config.text_pair_column
    if side:
        required["fairness.over"] = side
    held_out = Wanted(required, optional=(rationales.name,) if rationales is not None else ())
    wanted = Wanted({**required, **({RATIONALES: rationales.name} if rationales is not None else {})})
    rows: list[RawRow] = []
    for part in read_files(config, wanted, tell, held_out=held_out):
        labels = task_named(config.task).read_labels(part.values, config, origin=f"{part.origin}, {part.split}")
        found = _rows(part, config.text_column, config.text_pair_column, labels)
        explained = rationales is not None and rationales.name in part.values
        found = _with_rationales(found, part, rationales) if rationales and explained else found
        sides = part.values[side] if side else ()
        rows += [replace(row, side=class_name(cell)) for row, cell in zip(found, sides, strict=True)] if side else found
    settled = settle_labels([row.label for row in rows], config, tell)
    return [replace(row, label=label) for row, label in zip(rows, settled, strict=True)]


def _rows(part: Columns, column: str, pair_column: str, labels: Sequence[Label | None]) -> list[RawRow]:
    texts = _texts(part, column, "data.text_column")
    pairs = _texts(part, pair_column, "data.text_pair_column") if pair_column else [None] * len(texts)
    return [RawRow(part.split, *cells) for cells in zip(texts, labels, pairs, strict=True)]


def _with_rationales(rows: Sequence[RawRow], part: Columns, column: RationaleColumn) -> list[RawRow]:
    """Rows with what their cells name; those without a text are left out later anyway."""
    found = []
    for number, (row, cell) in enumerate(zip(rows, part.values[column.name], strict=True), start=1):
        texts = [text for text in (row.text, row.text_pair) if text is not None]
        where = f"{part.origin}, {part.split} row {number}"
        found.append(replace(row, rationale=column.marks(cell, texts, where) if texts else None))
    return found


def _texts(part: Columns, column: str, option: str) -> list[str | None]:
    texts: list[str | None] = []
    for number, text in enumerate(part.values[column], start=1):
        if isinstance(text, float) and math.isnan(text):
            text = None
        if text is not None and not isinstance(text, str):
            raise UsageError(
                f"{part.origin}, {part.split} row {number}: the column {column!r} holds {type(text).__name__}, "
                f"not text: set {option} to the column with the texts"
            )
        texts.append(text)
    return texts

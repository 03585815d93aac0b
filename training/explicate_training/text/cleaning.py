"""Takes out of the data what would teach nonsense or make the test look better than it is, and says what it took.

A pair of texts counts as one text here: as blank when one of the two is, as seen before when both are.

In order: rows without text or label, blank texts, texts that are not valid Unicode; texts that have two labels (all of
them); texts that were seen before, exactly, after folding, or near-identically.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explicate_training.data.cleaning import (
    HELD_OUT,
    CleaningReport,
    check_cleaned,
    conflicts,
    digest_of,
    held_out_first,
    twins,
)
from explicate_training.data.labels import SPLITS, Label, Split, numbered, objects
from explicate_training.interpretability.texts.marks import Marks
from explicate_training.tasks.registry import task_named
from explicate_training.text.config import DataConfig
from explicate_training.text.data import RawRow, TextSet
from explicate_training.text.folding import NearIdenticalTexts, fold, visible

MISSING = "missing text or label"
BLANK = "blank text"
INVALID = "not valid Unicode"
CONFLICT = "same text, two labels"
EXACT = "exact duplicate"
FOLDED = "same but for case, punctuation or spaces"
NEAR = "near-identical"
REASONS = (MISSING, BLANK, INVALID, CONFLICT, EXACT, FOLDED, NEAR, HELD_OUT)

_EXAMPLE_CHARACTERS = 300


@dataclass
class TextCleaningReport(CleaningReport):
    """What cleaning did. Grows while it works."""

    most_examples = 5

    near_with_other_label: int = 0  # of those dropped as near-identical, how many had another label than their twin


@dataclass(frozen=True)
class CleanTexts:
    """Usable texts; no two near-identical ones outside a given test set."""

    texts: TextSet  # training texts first, each split in the order of the source
    report: TextCleaningReport
    sha256: str  # of all cleaned rows, in order


def clean_texts(rows: Sequence[RawRow], config: DataConfig) -> CleanTexts:
    """Cleans rows as the module says. Raises UsageError when what is left cannot be learnt from."""
    task = task_named(config.task)
    report = TextCleaningReport(Counter(row.split for row in rows))
    usable = _usable(rows, report, pairs=bool(config.text_pair_column))
    split_two_ways = conflicts(*_compared(usable), [row.label for row in usable])
    for place in sorted(split_two_ways):
        _drop(report, CONFLICT, usable[place], label=task.words(usable[place].label))
    usable = [row for place, row in enumerate(usable) if place not in split_two_ways]
    kept = _without_duplicates(usable, config.near_duplicate_threshold, report)
    kept.sort(key=lambda row: SPLITS.index(row.split))
    explained = any(row.rationale is not None for row in kept)
    sided = any(row.side is not None for row in kept)
    texts = TextSet(
        sides=objects([row.side for row in kept]) if sided else None,
        rationales=objects([row.rationale for row in kept]) if explained else None,
        texts=objects([row.texts for row in kept]),
        labels=objects([row.label for row in kept]),
        splits=objects([row.split for row in kept]),
        numbers=np.array([row.number for row in kept], dtype=np.intp),
    )
    check_cleaned(texts.labels_by_split(), report, task, config)
    digest = digest_of(
        [
            *(row.split, *row.texts, task.plain(row.label)),
            *([row.rationale] if explained else []),
            *([row.side] if sided else []),
        ]
        for row in kept
    )
    return CleanTexts(texts, report, digest)


@dataclass(frozen=True)
class _Row:
    split: Split
    texts: tuple[str, ...]
    label: Label
    folded: tuple[str, ...]
    rationale: Marks | None
    side: str | None
    number: int


def _compared(rows: Sequence[_Row]) -> tuple[list[Split], list[tuple[str, ...]]]:
    return [row.split for row in rows], [row.folded for row in rows]


def _drop(report: TextCleaningReport, reason: str, row: _Row, **more: str) -> None:
    shown = {**dict(zip(("text", "second text"), row.texts, strict=False)), **more}
    report.drop(reason, {name: text[:_EXAMPLE_CHARACTERS] for name, text in shown.items()})


def _usable(rows: Sequence[RawRow], report: TextCleaningReport, *, pairs: bool) -> list[_Row]:
    usable = []
    for number, row in zip(numbered([row.split for row in rows]), rows, strict=True):
        if row.text is None or row.label is None or (pairs and row.text_pair is None):
            report.drop(MISSING)
            continue
        texts = (row.text,) if row.text_pair is None else (row.text, row.text_pair)
        if not all(visible(text).strip() for text in texts):
            report.drop(BLANK)
        elif any("\ud800" <= character <= "\udfff" for text in texts for character in text):
            report.drop(INVALID)  # a lone surrogate has no UTF-8 form, and tokenizers read UTF-8
        else:
            folded = tuple(map(fold, texts))
            usable.append(_Row(row.split, texts, row.label, folded, row.rationale, row.side, number))
    return usable


def _without_duplicates(rows: list[_Row], threshold: float, report: TextCleaningReport) -> list[_Row]:
    """Keeps a row unless it is near-identical to one kept before it."""
    found = twins(*_compared(rows), NearIdenticalTexts(threshold) if threshold < 1 else None)
    texts_seen: set[tuple[str, ...]] = set()
    kept = []
    for place in held_out_first([row.split for row in rows]):
        row, twin = rows[place], rows[found.get(place, place)]
        seen = row.texts in texts_seen
        texts_seen.add(row.texts)
        if place not in found or row.split == "test":
            report.test_duplicates_kept += place in found
            kept.append(row)
            continue
        near = row.folded != twin.folded
        reason = HELD_OUT if twin.split != row.split else NEAR if near else EXACT if seen else FOLDED
        report.near_with_other_label += reason == NEAR and row.label != twin.label
        if reason == EXACT:
            report.drop(reason)
        else:
            _drop(report, reason, row, twin=" / ".join(twin.texts))
    return kept

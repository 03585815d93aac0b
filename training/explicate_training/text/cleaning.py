"""Takes out of the data what would teach nonsense or make the test look better than it is, and says what it took.

A pair of texts counts as one text here: as blank when one of the two is, as seen before when both are.

In order: rows without text or label, blank texts, texts that are not valid Unicode; texts that carry two labels (all
of them); texts that were seen before, exactly, after folding, or near-identically. A given test set is kept as it is
but for rows that cannot be scored, and texts of the other splits that stand in it are taken out of those.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from explicate.errors import UsageError
from explicate_training.data.labels import (
    SPLITS,
    Label,
    LabelledText,
    RawRow,
    Split,
    check_label_sets,
    check_values,
    label_column_names,
    plain_label,
    shown_label,
)
from explicate_training.text.config import DataConfig
from explicate_training.text.folding import NearIdenticalTexts, fold, visible

MISSING = "missing text or label"
BLANK = "blank text"
INVALID = "not valid Unicode"
CONFLICT = "same text, two labels"
EXACT = "exact duplicate"
FOLDED = "same but for case, punctuation or spaces"
NEAR = "near-identical"
HELD_OUT = "stands in the given test or validation set"
REASONS = (MISSING, BLANK, INVALID, CONFLICT, EXACT, FOLDED, NEAR, HELD_OUT)

_MAX_EXAMPLES = 5
_EXAMPLE_CHARACTERS = 300


@dataclass
class CleaningReport:
    """What cleaning did. Grows while it works."""

    rows_read: Counter[Split] = field(default_factory=Counter)
    rows_kept: Counter[Split] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    near_with_other_label: int = 0  # of those dropped as near-identical, how many had another label than their twin
    test_duplicates_kept: int = 0  # texts of a given test set that stand in it more than once
    examples: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def drop(self, reason: str, **example: str) -> None:
        """Counts a dropped row, and keeps the first few as examples."""
        self.dropped[reason] += 1
        if example and len(self.examples[reason]) < _MAX_EXAMPLES:
            self.examples[reason].append({name: text[:_EXAMPLE_CHARACTERS] for name, text in example.items()})


@dataclass(frozen=True)
class CleanData:
    """Usable texts by the split that the source gave them; no two near-identical ones outside a given test set."""

    by_split: dict[Split, list[LabelledText]]
    report: CleaningReport
    sha256: str  # of all cleaned rows, in order


def clean(rows: Sequence[RawRow], config: DataConfig) -> CleanData:
    """Cleans rows as the module says. Raises UsageError when what is left cannot be learnt from."""
    report = CleaningReport(rows_read=Counter(row.split for row in rows))
    usable = _usable(rows, report, pairs=bool(config.text_pair_column))
    usable = _without_conflicts(usable, report)
    by_split = _without_duplicates(usable, config.near_duplicate_threshold, report)
    report.rows_kept = Counter({split: len(texts) for split, texts in by_split.items()})
    _check_labels(by_split, config)
    return CleanData(by_split, report, _sha256(by_split))


@dataclass(frozen=True)
class _Row:
    split: Split
    text: str
    text_pair: str | None
    label: Label
    folded: tuple[str, ...]  # of the text, or of both

    @property
    def example(self) -> dict[str, str]:
        """The texts as a report shows them."""
        return {"text": self.text} if self.text_pair is None else {"text": self.text, "second text": self.text_pair}


def _usable(rows: Sequence[RawRow], report: CleaningReport, *, pairs: bool) -> list[_Row]:
    usable = []
    for row in rows:
        if row.text is None or row.label is None or (pairs and row.text_pair is None):
            report.drop(MISSING)
            continue
        texts = (row.text,) if row.text_pair is None else (row.text, row.text_pair)
        if not all(visible(text).strip() for text in texts):
            report.drop(BLANK)
        elif any("\ud800" <= character <= "\udfff" for text in texts for character in text):
            report.drop(INVALID)  # a lone surrogate has no UTF-8 form, and tokenizers read UTF-8
        else:
            usable.append(_Row(row.split, row.text, row.text_pair, row.label, tuple(map(fold, texts))))
    return usable


def _without_conflicts(rows: list[_Row], report: CleaningReport) -> list[_Row]:
    labels = defaultdict(set)
    for row in rows:
        if row.split != "test":
            labels[row.folded].add(row.label)
    kept = []
    for row in rows:
        if row.split != "test" and len(labels[row.folded]) > 1:
            report.drop(CONFLICT, **row.example, label=shown_label(row.label))
        else:
            kept.append(row)
    return kept


def _without_duplicates(rows: list[_Row], threshold: float, report: CleaningReport) -> dict[Split, list[LabelledText]]:
    """Keeps a row unless it is near-identical to one kept before it: so no two kept ones are, without long chains."""
    kept: list[_Row] = []
    place_of: dict[tuple[str, ...], int] = {}  # folded texts -> their place in kept
    texts_seen: set[tuple[str, str | None]] = set()
    near = NearIdenticalTexts(threshold) if threshold < 1 else None
    by_split: dict[Split, list[LabelledText]] = {split: [] for split in SPLITS}
    # Held-out texts come first: what the model is tested on stays, what it learns from makes room.
    for row in sorted(rows, key=lambda row: -SPLITS.index(row.split)):
        place = place_of.get(row.folded)
        reason = FOLDED if (row.text, row.text_pair) not in texts_seen else EXACT
        texts_seen.add((row.text, row.text_pair))
        if row.split == "test":
            report.test_duplicates_kept += place is not None
        elif place is None and near is not None and (place := near.find(*row.folded)) is not None:
            reason = NEAR
        if place is None or row.split == "test":
            by_split[row.split].append(LabelledText(row.text, row.label, row.text_pair))
        else:
            _drop_twin(row, kept[place], reason, report)
        if place is None:
            place_of[row.folded] = len(kept)
            kept.append(row)
            if near is not None:
                near.add(*row.folded)
    return by_split


def _drop_twin(row: _Row, twin: _Row, reason: str, report: CleaningReport) -> None:
    if twin.split != row.split:
        report.drop(HELD_OUT, **row.example, twin=" / ".join(twin.example.values()))
        return
    report.near_with_other_label += reason == NEAR and row.label != twin.label
    if reason == EXACT:
        report.drop(reason)
    else:
        report.drop(reason, **row.example, twin=" / ".join(twin.example.values()))


def _check_labels(by_split: dict[Split, list[LabelledText]], config: DataConfig) -> None:
    labels: dict[str, list[Label]] = {split: [row.label for row in rows] for split, rows in by_split.items()}
    if config.task == "multi-label":
        check_label_sets(labels, config.minimum_class_count, counted="texts", named=label_column_names(config))
    elif config.task == "regression":
        check_values(labels["train"], counted="texts")
    else:
        _check_classes(
            {split: [str(label) for label in of] for split, of in labels.items()}, config.minimum_class_count
        )


def _check_classes(labels: Mapping[str, Sequence[str]], minimum_count: int) -> None:
    counts = Counter(labels["train"])
    if len(counts) < 2:
        raise UsageError(
            f"the training data has {len(counts)} class(es) after cleaning, and a classifier needs two: "
            "check data.label_column"
        )
    rare = {label: count for label, count in sorted(counts.items()) if count < minimum_count}
    if rare:
        listed = ", ".join(f"{label!r} ({count})" for label, count in list(rare.items())[:10])
        more = f" and {len(rare) - 10} more" if len(rare) > 10 else ""
        raise UsageError(
            f"too few texts of class {listed}{more} after cleaning: each class needs {minimum_count}; add texts, "
            "merge or leave out the class, or lower data.minimum_class_count"
        )
    for split in ("validation", "test"):
        unknown = set(labels[split]) - set(counts)
        if unknown:
            raise UsageError(
                f"the {split} set has classes that the training data lacks: {', '.join(sorted(unknown)[:10])}"
            )


def _sha256(by_split: dict[Split, list[LabelledText]]) -> str:
    digest = hashlib.sha256()
    for split, rows in by_split.items():
        for row in rows:
            digest.update(json.dumps([split, *row.texts, plain_label(row.label)]).encode() + b"\n")
    return digest.hexdigest()

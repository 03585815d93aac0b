"""What cleaning and splitting did, as data.json holds it and as lines for people."""

from collections.abc import Mapping
from typing import Any  # JSON values

from explicate_training.data.labels import SPLITS, LabelledText, label_summary, summary_words
from explicate_training.data.splits import Splits
from explicate_training.text.cleaning import NEAR, REASONS, CleaningReport
from explicate_training.text.config import DataConfig


def data_report(
    cleaning: CleaningReport, splits: Splits, config: DataConfig, *, sha256: str, truncated: Mapping[str, int]
) -> dict[str, Any]:
    """The content of data.json.

    `truncated` counts, by split, the texts that are longer than the model reads.
    """
    return {
        "source": config.demo or config.train,
        "sha256": sha256,
        "rows_read": {split: cleaning.rows_read[split] for split in SPLITS if cleaning.rows_read[split]},
        "rows_dropped": {reason: cleaning.dropped[reason] for reason in REASONS},
        "near_identical_with_other_label": cleaning.near_with_other_label,
        "near_duplicate_threshold": config.near_duplicate_threshold,
        "test_duplicates_kept": cleaning.test_duplicates_kept,
        "splits": {
            split: {
                "texts": len(rows),
                "truncated": truncated[split],
                **label_summary(config.task, [row.label for row in rows]),
            }
            for split, rows in _parts(splits)
        },
        "examples_dropped": {reason: cleaning.examples[reason] for reason in REASONS if reason in cleaning.examples},
    }


def report_lines(cleaning: CleaningReport, splits: Splits, config: DataConfig) -> list[str]:
    """The same for the terminal."""
    read = cleaning.rows_read
    parts = ", ".join(f"{read[split]:,} {split}" for split in SPLITS if read[split])
    lines = [f"read {read.total():,} rows of {config.demo or config.train} ({parts})"]
    if not cleaning.dropped.total():
        lines.append("cleaning dropped nothing")
    else:
        lines.append(f"cleaning dropped {cleaning.dropped.total():,} rows:")
        counts = {reason: cleaning.dropped[reason] for reason in REASONS if cleaning.dropped[reason]}
        lines += [f"  {count:>6,} {_reason(reason, config)}" for reason, count in counts.items()]
    if cleaning.near_with_other_label:
        lines.append(f"  ({cleaning.near_with_other_label:,} of the near-identical had another label than their twin)")
    if cleaning.test_duplicates_kept:
        lines.append(f"  the test set keeps {cleaning.test_duplicates_kept:,} texts that stand in it more than once")
    lines.append("splits:")
    lines += [f"  {split:<11}{_described(rows, config)}" for split, rows in _parts(splits)]
    return lines


def _parts(splits: Splits) -> list[tuple[str, list[LabelledText]]]:
    return [("train", splits.train), ("validation", splits.validation), ("test", splits.test)]


def _reason(reason: str, config: DataConfig) -> str:
    if reason != NEAR:
        return reason
    return f"{reason} (Jaccard index of word 3-grams at least {config.near_duplicate_threshold:g})"


def _described(rows: list[LabelledText], config: DataConfig) -> str:
    what = "pairs" if config.text_pair_column else "texts"
    return f"{len(rows):>6,} {what}: {summary_words(label_summary(config.task, [row.label for row in rows]))}"

"""Looks for wrong labels among the rows of a run: out-of-fold probabilities, confident learning, and why for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # runs of any kind; JSON values

import numpy as np

from explicate.errors import UsageError
from explicate_training.label_review.label_model import LabelModel
from explicate_training.label_review.out_of_fold import OutOfFold, folds_of, kept_together, out_of_fold
from explicate_training.label_review.review_file import ReviewRow, key_of
from explicate_training.label_review.suspects import Suspect, find_suspects

_SHOWN_CHARACTERS = 2_000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Doubted:
    """What was found. `rows` are the parts and places of the rows that were looked at, `given` their labels' counts."""

    suspects: Sequence[Suspect]
    answers: OutOfFold
    rows: Sequence[tuple[str, int]]
    labels: Sequence[str]
    given: Mapping[str, int]

    def told(self) -> dict[str, Any]:
        """The figures of it, as JSON has them."""
        pairs: dict[str, int] = {}
        for one in self.suspects:
            name = f"{self.labels[one.given]} → {self.labels[one.suggested]}"
            pairs[name] = pairs.get(name, 0) + 1
        return {
            "rows": len(self.rows),
            "doubted": len(self.suspects),
            "model": self.answers.model,
            "folds": len(self.answers.fitted),
            "pairs": dict(sorted(pairs.items(), key=lambda pair: -pair[1])),
        }


def check_labels_can_be_doubted(task: Any) -> None:
    """Raises UsageError where labels are not one class of several."""
    if not task.one_of_classes:
        raise UsageError(
            f"wrong labels are found among classes, and this is a {task.name}: confident learning counts how often one "
            "class is taken for another"
        )


def look_for_wrong_labels(
    run: Any, *, parts: Sequence[str], folds: int, say: Say, model: LabelModel | None = None
) -> Doubted:
    """The rows of some parts of a run whose labels are likely wrong; those that a person reviewed are passed over.

    Args:
        run: with its data read and split.
        parts: such as "train" and "validation".
        folds: how many models are fitted.
        say: hears what it costs and how far it is.
        model: what doubts; None for the simple one of the kind.

    Raises:
        UsageError: the labels are not classes, there are too few rows, or cleanlab is missing.
    """
    check_labels_can_be_doubted(run.task)
    by_name = run.splits.by_name()
    rows = [(name, place) for name in parts for place in range(len(by_name[name]))]
    targets = np.concatenate([run.targets[name] for name in parts])
    keys = [key_of(by_name[name].content(place)) for name, place in rows]
    grouped = by_name["train"].groups is not None
    groups = [by_name[name].groups[place] for name, place in rows] if grouped else None
    model = model or run.label_model(parts)
    fold = folds_of(targets, kept_together(keys, groups), folds=folds, seed=run.config.training.seed)
    say(f"fits {model.name} {folds} times, each to {1 - 1 / folds:.0%} of {len(rows):,} {run.config.data.counted}")
    answers = out_of_fold(
        model, targets, fold, classes=len(run.labels), told=lambda done, of: say(f"fold {done} of {of} done")
    )
    known = set() if run.review is None else run.review.known
    suspects = [
        one for one in find_suspects(targets, answers.probabilities) if _found_as(by_name, *rows[one.row]) not in known
    ]
    given = {label: int(count) for label, count in zip(run.labels, np.bincount(targets), strict=False)}
    return Doubted(suspects, answers, rows, run.labels, given)


def _found_as(parts: Mapping[str, Any], name: str, place: int) -> tuple[str, int]:
    """The file that a row is from, and its number there."""
    part = parts[name]
    return str(part.splits[place]), 0 if part.numbers is None else int(part.numbers[place])


def review_rows(run: Any, doubted: Doubted, *, most: int) -> list[ReviewRow]:
    """The likeliest wrong ones as the file for the reviewer has them, with the reasons."""
    parts, found = run.splits.by_name(), []
    for one in doubted.suspects[:most]:
        name, place = doubted.rows[one.row]
        file, number = _found_as(parts, name, place)
        reasons = doubted.answers.reasons(one.row, one.given, one.suggested)
        found.append(
            ReviewRow(
                file=file,
                row=number,
                part=name,
                given_label=doubted.labels[one.given],
                suggested_label=doubted.labels[one.suggested],
                probability=f"{one.probability:.3f}",
                probability_given=f"{one.probability_given:.3f}",
                input=parts[name].told(place)[:_SHOWN_CHARACTERS],
                reasons=", ".join(map(str, reasons)),
                key=key_of(parts[name].content(place)),
            )
        )
    return found

"""What fine-tuning makes a model forget: measured before and after, on what it is not trained on.

A second task is measured by a linear probe: a logistic regression on the features of the model's backbone, which tells
how much of that task they still say (Alain and Bengio: Understanding intermediate layers using linear classifier
probes, ICLR workshop 2017). When a run continues another one, `model.base` being that one's folder, the rows that it
held out are asked again.
"""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar  # Any: JSON values; targets of any number type

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from explicate.errors import UsageError
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.outcomes.resampling import draws, interval
from explicate_training.config.sections import LabelledData, TrainingOptions
from explicate_training.data.splits import Part, split_data
from explicate_training.tasks.registry import task_named
from explicate_training.tasks.task import Evaluation, Task

_OPTION = "training.forgetting"
_MOST_ROWS = 1000  # of a part of the second task: 2,000 short texts are 20 s of MiniLM-L6 on two cores, twice
_PROBE_STEPS = 1000
_TEST_FRACTION = 0.5
_Options = TypeVar("_Options", bound=LabelledData)
Features = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Remembered:
    """Rows that are no part of the training, and how well the model does on each, float64 [rows], as it is now."""

    name: str  # in metrics.json
    about: str  # what they are, for people
    measured: str  # what the mean over them is
    by_row: Callable[[], NDArray[np.float64]]
    before: NDArray[np.float64] | None = None  # where that was measured already


class Forgetting:
    """Measures when it is made, and again after the training."""

    def __init__(self, remembered: Sequence[Remembered]) -> None:
        self._remembered = [(one, one.by_row() if one.before is None else one.before) for one in remembered]

    def after(self) -> dict[str, Any]:
        """What was lost or gained, by name: means before and after, and the change with its paired interval."""
        return {one.name: _compared(one, before, one.by_row()) for one, before in self._remembered}


def _compared(remembered: Remembered, before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[str, Any]:
    change = after - before
    found = interval(np.concatenate([counts @ change / len(change) for counts in draws(len(change))]))
    return {
        "about": remembered.about,
        "measured": remembered.measured,
        "rows": len(change),
        "before": float(before.mean()),
        "after": float(after.mean()),
        "change": float(change.mean()),
        "change_interval": list(found or ()),
    }


def forgetting_line(found: dict[str, Any]) -> str:
    """One result for the terminal."""
    lower, upper = found["change_interval"]
    return (
        f"{found['about']}: {found['measured']} {found['before']:.3f} before the training and {found['after']:.3f} "
        f"after it, {found['change']:+.3f} [{lower:+.3f}, {upper:+.3f}], on {found['rows']:,} rows"
    )


# A second task


def second_task(
    options: _Options,
    training: TrainingOptions,
    *,
    read: Callable[[_Options], Part],
    features: Callable[[Part], Features],
    columns: Mapping[str, str],
    fixed: Mapping[str, Any],
) -> Remembered | None:
    """The second task of `[training.forgetting]`; None where there is none.

    Args:
        options: the run's own, for how files are written.
        training: the run's.
        read: the clean rows of some options.
        features: what the backbone makes of rows, float [rows, features].
        columns: keys of the section, with the options of the data that they are.
        fixed: options of the data that have another value than the run's.

    Raises:
        UsageError: its data cannot be read or learnt.
    """
    given = training.forgetting
    if not given:
        return None
    own: dict[str, Any] = {"demo": "", "validation": "", "test": "", "label_columns": "", "task": "classification"}
    named: dict[str, Any] = {option: given[key] for key, option in columns.items() if key in given}
    other = replace(options, **own, **fixed, test_fraction=_TEST_FRACTION, **named)
    task = task_named(other.task)
    try:
        parts = split_data(read(other), task, other, seed=training.seed)
    except UsageError as error:
        raise UsageError(f"{_OPTION}: {error}") from None
    train, test = _some(parts.train), _some(parts.test)
    names = task.names(parts.train.labels.tolist())
    targets = [task.targets(part.labels.tolist(), names) for part in (train, test)]

    def right() -> NDArray[np.float64]:
        return probed(features(train), targets[0], features(test), targets[1])

    about = f"a linear probe for {other.label_column!r} of {Path(str(given['data'])).name}"
    return Remembered("second_task", about, "accuracy", right)


def probed(train: Features, targets: NDArray[Any], test: Features, wanted: NDArray[Any]) -> NDArray[np.float64]:
    """Which rows of a test a linear probe answers rightly, 1 or 0 [rows]."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_PROBE_STEPS))
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        probe.fit(train, targets)
    return np.asarray(probe.predict(test) == wanted, dtype=np.float64)


def _some(part: Part) -> Part:
    return part.take(np.linspace(0, len(part) - 1, min(len(part), _MOST_ROWS)).round().astype(np.intp))


# An earlier run


@dataclass(frozen=True)
class EarlierRun:
    """A finished run that another one continues."""

    folder: Path
    record: TrainingRun
    rows: list[dict[str, Any]]  # of held_out.jsonl


def earlier_run(base: str) -> EarlierRun | None:
    """The run whose folder a base model is; None if it is none."""
    folder = Path(base)
    files = folder / "run.json", folder / "held_out.jsonl"
    if not base or not all(file.is_file() for file in files):
        return None
    try:
        record = json_format.Parse(files[0].read_text(encoding="utf-8"), TrainingRun(), ignore_unknown_fields=True)
        rows = [json.loads(line) for line in files[1].read_text(encoding="utf-8").splitlines()]
    except (json_format.ParseError, ValueError, OSError) as error:
        raise UsageError(f"model.base: {folder} is no finished run that can be read: {error}") from None
    return EarlierRun(folder, record, rows)


def held_out_before(
    earlier: EarlierRun,
    task: Task,
    labels: Sequence[str],
    *,
    inputs: Callable[[dict[str, Any]], Any],
    learnt: Callable[[Any], bool],
    answers: Callable[[list[Any]], NDArray[np.floating[Any]]],
    say: Callable[[str], None],
) -> Remembered | None:
    """The rows that an earlier run held out; None, and a sentence, where this run cannot answer them.

    Args:
        earlier: that run.
        task: this run's.
        labels: this run's.
        inputs: what the model reads of a row of held_out.jsonl.
        learnt: whether such an input is in this run's training rows: then it is left out.
        answers: of this run's model as it is now to inputs, in the unit of the target.
        say: hears why nothing is measured, and what is left out.
    """
    name = earlier.folder.name
    if (earlier.record.objective, [*earlier.record.labels]) != (task.name, [*labels]):
        say(f"note: the run {name} predicts something else, so what is forgotten of it is not measured")
        return None
    given = [(row, inputs(row)) for row in earlier.rows]
    kept = [(row, one) for row, one in given if not learnt(one)]
    if len(kept) < len(given):
        also = len(given) - len(kept)
        say(f"note: {also:,} of the {len(given):,} rows that the run {name} held out are learnt from now, and left out")
    if not kept:
        return None
    found = [row[task.label_field] for row, _ in kept]
    targets = task.targets([tuple(label) if isinstance(label, list) else label for label in found], labels)

    def by_row(outputs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        return np.asarray(task.sliced_by_row(Evaluation(outputs, targets, {}), labels), dtype=np.float64)

    return Remembered(
        "earlier_run",
        f"what the run {name} held out",
        task.sliced[0],
        lambda: by_row(answers([one for _, one in kept])),
        before=by_row(np.array([row["outputs"] for row, _ in kept])),
    )

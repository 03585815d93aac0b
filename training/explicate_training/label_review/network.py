"""The run's own model in the place of the simple one: trained once a fold, when somebody asks for it and waits."""

import copy
import tempfile
from pathlib import Path
from typing import Any  # runs of any kind

import numpy as np
from numpy.typing import NDArray

from explicate_training.data.header import quietly
from explicate_training.data.splits import Splits
from explicate_training.label_review.label_model import FittedLabels, LabelModel, Reason, Rows
from explicate_training.loop.progress import StepProgress


class NetworkLabels(LabelModel):
    """Trains the run's model on the training rows of a fold, its checkpoint chosen by the run's validation rows.

    Reasons are the simple model's, fitted to the same rows: those of a network would cost hundreds of its answers each.
    """

    name = "the model itself"

    def __init__(self, run: Any) -> None:
        """Of a run with its data read, whose training rows are doubted."""
        self._run, self._simple = run, run.label_model(["train"])

    def fit(self, rows: Rows) -> FittedLabels:
        splits: Splits[Any] = self._run.splits
        held = np.setdiff1d(np.arange(len(splits.train)), rows)
        run = copy.copy(self._run)
        run.splits = Splits(splits.train.take(rows), splits.validation, splits.train.take(held))
        parts = run.splits.by_name()
        run.targets = {name: run.task.targets(part.labels.tolist(), run.labels) for name, part in parts.items()}
        run.scale = run.task.scale(run.targets["train"])
        run.say = quietly
        run.report, _ = run.describe_data()
        run.load()
        run.start_terms()
        progress = StepProgress()
        with tempfile.TemporaryDirectory() as folder:
            try:
                run.train(checkpoints=Path(folder), resume=False, progress=progress)
            finally:
                progress.close()
        return _FittedNetwork(held, run.task.scores(run.predict("test")), self._simple.fit(rows))


class _FittedNetwork(FittedLabels):
    def __init__(self, held: Rows, scores: NDArray[np.float64], simple: FittedLabels) -> None:
        self._held, self._scores, self._simple = held, scores, simple

    def probabilities(self, rows: Rows) -> NDArray[np.float64]:
        return np.asarray(self._scores[np.searchsorted(self._held, rows)])

    def reasons(self, row: int, given: int, suggested: int) -> list[Reason]:
        return self._simple.reasons(row, given, suggested)

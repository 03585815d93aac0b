"""A fitted model with rows, ready for what bundles models of all sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # labels: names, numbers or None

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explicate_bundle.objective import CLASSIFICATION, REGRESSION
from explicate_export.conversion import Say
from explicate_export.estimators.fitted_export import BACKGROUND_ROWS, FittedExport
from explicate_export.estimators.fitted_model import FittedModel
from explicate_export.estimators.table_graph import TableGraphParts, table_graph
from explicate_export.objectives import EXPORT_OBJECTIVES
from explicate_export.sources.given_labels import measured
from explicate_export.sources.sources import Brought


@dataclass(frozen=True)
class GivenTable:
    """Rows that were given for a model.

    Attributes:
        frame: at least as many as a bundle needs.
        as_array: whether the model is asked with an array.
        labels: what is right for each row: the name of a class, or a value; None where it is not known.
        predicts: the name of what the model predicts.
    """

    frame: pd.DataFrame
    as_array: bool
    labels: Sequence[Any]
    predicts: str


def bring(
    fitted: FittedModel, given: GivenTable, *, background_rows: int = BACKGROUND_ROWS, seed: int = 0, say: Say
) -> Brought:
    """Makes the graph of a model and compares it on all rows.

    Raises UsageError, or ParityError if the graph does not answer as the model does.
    """
    say(f"reading {len(given.frame):,} rows and the {fitted.name}")
    objective = EXPORT_OBJECTIVES[(CLASSIFICATION if fitted.classes else REGRESSION).name]
    parts = table_graph(fitted, given.frame, as_array=given.as_array, output_name=objective.output_name)
    return brought(fitted, parts, given, background_rows=background_rows, seed=seed)


def brought(
    fitted: FittedModel,
    parts: TableGraphParts,
    given: GivenTable,
    *,
    background_rows: int = BACKGROUND_ROWS,
    seed: int = 0,
) -> Brought:
    """A model with its graph and its rows; raises ParityError if they do not answer alike."""
    export = FittedExport(
        fitted,
        parts,
        given.frame,
        target_name=given.predicts,
        metrics=_metrics(fitted, parts.answers, given),
        background_rows=background_rows,
        seed=seed,
    )
    return Brought(export, [given.labels[row] for row in export.kept], export.notes())


def _metrics(fitted: FittedModel, answers: NDArray[np.float64], given: GivenTable) -> dict[str, Any]:
    """Metrics of answers float64[rows, outputs], probabilities of classes or values, where the label is known."""
    if not fitted.classes:
        return measured(REGRESSION, (given.predicts,), given.labels, answers)
    logits = np.log(np.maximum(answers, np.finfo(np.float64).tiny))
    return measured(CLASSIFICATION, fitted.labels, given.labels, logits)

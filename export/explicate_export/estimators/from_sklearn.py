"""`from_sklearn`: a fitted model becomes a bundle in the process that fitted it."""

import sys
from os import PathLike
from pathlib import Path
from typing import Any  # models and labels of any library

import numpy as np
import pandas as pd

from explicate_export.errors import UsageError
from explicate_export.estimators.brought import GivenTable, bring
from explicate_export.estimators.fitted_export import BACKGROUND_ROWS
from explicate_export.estimators.fitted_model import FittedModel, Labels, fitted_model
from explicate_export.estimators.frame import as_frame
from explicate_export.export import DEFAULT_COMPARED_INPUTS, ExportOptions, check_options
from explicate_export.sources.bundling import publish_brought

_MOST_BACKGROUND_ROWS = 1024


def from_sklearn(
    model: Any,
    X: Any,
    *,
    repository: str | PathLike[str],
    name: str,
    labels: Labels = None,
    y: Any = None,
    target_name: str | None = None,
    version: int | None = None,
    columns: Any = None,
    background_rows: int = BACKGROUND_ROWS,
    seed: int = 0,
    sign_key: str | PathLike[str] | None = None,
    quiet: bool = False,
) -> Path:
    """Publishes a fitted model of scikit-learn, XGBoost or LightGBM as a bundle that `explicate serve` loads.

    Nothing is pickled: the ONNX graph is compared with the model on every row given. Returns the bundle's folder.

    Args:
        model: a fitted classifier or regressor, a Pipeline that ends with one, a search over them, or a Booster.
        X: at least 200 rows as the model takes them, a data frame or an array. Their summary stands for absent columns
            in explanations; a few of them become golden rows, which the bundle holds.
        repository, name: the folder of bundles, made if missing; the model's name (lower-case, digits, ".", "_", "-").
        labels: names of the classes, in the order of `model.classes_` or by class; default: the classes themselves.
        y: what is right for the rows, for metrics in the manifest and the card.
        target_name: what the model predicts, with its unit if it has one; default: the name of `y`.
        version: to publish; default: one above the highest there is.
        columns: names of the columns of an array; default: x0, x1, ...
        background_rows, seed: of the summary, which has at most so many rows.
        sign_key: private key (PEM) to sign the bundle with.
        quiet: do not tell the steps on stderr.

    Raises:
        UsageError: the model, a step of it, the rows or a name cannot be exported, and why.
        ParityError, PublicationError: the graph answers otherwise, or the repository could not take it.
    """
    target, key = Path(repository), None if sign_key is None else Path(sign_key)
    options = ExportOptions(name, version, DEFAULT_COMPARED_INPUTS, key)
    check_options(target, options)
    if not 1 <= background_rows <= _MOST_BACKGROUND_ROWS:
        raise UsageError(f"background_rows is {background_rows}; it must be from 1 to {_MOST_BACKGROUND_ROWS:,}")
    fitted = fitted_model(model, labels)
    given = _given(fitted, X, y, columns, target_name)
    say = _nothing if quiet else _say
    brought = bring(fitted, given, background_rows=background_rows, seed=seed, say=say)
    published = publish_brought(brought, target, options, say=say)
    say(f"published; next: explicate serve --repository {repository}")
    return published.folder


def _given(fitted: FittedModel, rows: Any, y: Any, columns: Any, target_name: str | None) -> GivenTable:
    frame, as_array = as_frame(rows, columns)
    right = [None] * len(frame) if y is None else _truth(fitted, y, len(frame))
    predicts = target_name or str(getattr(y, "name", None) or ("class" if fitted.classes else "value"))
    return GivenTable(frame, as_array, right, predicts)


def _say(line: str) -> None:
    print(f"explicate: {line}", file=sys.stderr, flush=True)


def _nothing(line: str) -> None:
    pass


def _truth(fitted: FittedModel, y: Any, rows: int) -> list[Any]:
    """What is right for each row: the label of its class, or its value; raises UsageError."""
    values = np.asarray(y)
    if values.shape not in ((rows,), (rows, 1)):
        raise UsageError(f"y has the shape {values.shape}, and X has {rows} rows")
    values = values.reshape(-1)
    if pd.isna(values).any():
        raise UsageError("y has missing values: leave these rows out of X and y")
    if not fitted.classes:
        try:
            return list(values.astype(np.float64).tolist())
        except (TypeError, ValueError):
            raise UsageError("y: the model predicts a number, and y holds others") from None
    for known in (fitted.classes, fitted.labels, tuple(map(str, fitted.classes))):
        places = {name: place for place, name in enumerate(known)}
        found = [places.get(value.item() if isinstance(value, np.generic) else value, -1) for value in values]
        if min(found) >= 0:
            return [fitted.labels[place] for place in found]
    strange = next(value for value in values if value not in set(fitted.classes))
    raise UsageError(
        f"y has {str(strange)!r}, which is none of the model's classes ({', '.join(map(str, fitted.classes))})"
    )

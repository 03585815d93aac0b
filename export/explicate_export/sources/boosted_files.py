"""Files of XGBoost (JSON, UBJSON) and LightGBM (text), read by their own libraries, with rows of a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # boosters, and data frames

from explicate_export.conversion import Say
from explicate_export.errors import UsageError, first_line
from explicate_export.sources.given_labels import label_of
from explicate_export.sources.given_rows import GivenRows, read_given
from explicate_export.sources.sources import Brought, BundleRequest, require

_XGBOOST, _LIGHTGBM = (".json", ".ubj"), (".txt", ".lgb", ".lightgbm")
_HEAD_BYTES = 4096


class _BoostedFiles:
    about = "a model of XGBoost (.json, .ubj) or LightGBM (.txt)"

    def knows(self, path: Path) -> bool:
        """A file with one of the endings."""
        return path.is_file() and path.suffix.lower() in (*_XGBOOST, *_LIGHTGBM)

    def opened(self, request: BundleRequest, say: Say) -> Brought:
        """Reads the model and the rows; raises UsageError."""
        require("sklearn", "pandas", "sklearn", "skl2onnx")
        from explicate_export.estimators.brought import GivenTable, bring
        from explicate_export.estimators.fitted_model import fitted_model
        from explicate_export.estimators.frame import as_frame

        booster = _xgboost(request.model) if request.model.suffix.lower() in _XGBOOST else _lightgbm(request.model)
        fitted = fitted_model(booster, request.labels)
        predicts = "classification" if fitted.classes else "regression"
        if request.objective not in (None, predicts):
            raise UsageError(f"--objective is {request.objective}, and {request.model} is a {predicts}")
        features = _features(booster)
        rows = read_given(request.inputs, features or ())
        names = _columns(features, rows, request.columns)
        label = rows.column("label", request.columns, optional=True)
        label = None if label in names else label
        frame = _frame(rows, names, booster)
        frame.columns = features or names
        right = [None if label is None else _label(cells[label], fitted.labels, place) for place, cells in rows.rows]
        target = request.target or label or ("class" if fitted.classes else "value")
        return bring(fitted, GivenTable(as_frame(frame, None)[0], False, right, target), say=say)


SOURCE = _BoostedFiles()


def _xgboost(path: Path) -> Any:
    try:
        import xgboost
    except ImportError:
        raise UsageError(f"{path} is a model of XGBoost, which is not installed: pip install xgboost") from None
    try:
        return xgboost.Booster(model_file=str(path))
    except Exception as error:  # XGBoostError, and what its parts raise
        raise UsageError(f"{path} is not a model of XGBoost ({first_line(error)})") from None


def _lightgbm(path: Path) -> Any:
    with path.open("rb") as file:
        if not file.read(_HEAD_BYTES).lstrip().startswith(b"tree"):  # on some other files the library dies
            raise UsageError(f"{path} is not a model of LightGBM: its first line is not 'tree'")
    try:
        import lightgbm
    except ImportError:
        raise UsageError(f"{path} is a model of LightGBM, which is not installed: pip install lightgbm") from None
    try:
        return lightgbm.Booster(model_file=str(path))
    except Exception as error:  # LightGBMError, and what its parts raise
        raise UsageError(f"{path} is not a model of LightGBM ({first_line(error)})") from None


def _features(booster: Any) -> list[str] | None:
    """The names of what the model reads; None if it does not know them."""
    if hasattr(booster, "feature_name"):
        return list(booster.feature_name())
    return None if booster.feature_names is None else list(booster.feature_names)


def _columns(features: Sequence[str] | None, rows: GivenRows, told: Mapping[str, str]) -> list[str]:
    """The column of the file for each feature; raises UsageError, naming one that is missing."""
    if features is None:
        label = told.get("label", "label")
        return [name for name in rows.names if name != label]
    # LightGBM writes "_" for spaces, and Column_0, Column_1, ... where it was not told names.
    spaced = {name.replace(" ", "_"): name for name in rows.names}
    if all(name == f"Column_{place}" for place, name in enumerate(features)) and not set(features) & set(rows.names):
        return _columns(None, rows, told)
    found = []
    for name in features:
        column = told.get(name) or (name if name in rows.names else spaced.get(name))
        if column not in rows.names:
            raise UsageError(
                f"{rows.path} has no column {name!r}, which the model reads; it has {', '.join(rows.names[:12])}; say "
                f"which one it is with --column '{name}=COLUMN'"
            )
        found.append(column)
    return found


def _frame(rows: GivenRows, names: Sequence[str], booster: Any) -> Any:
    """The rows as the booster takes them: numbers, and categories where it knows such."""
    import pandas as pd

    from explicate_export.estimators.forest.boosters import categories_of

    known = categories_of(booster, len(names))
    columns = {}
    for place, name in enumerate(names):
        cells = [_cell(row[name]) for _, row in rows.rows]
        if place in known:
            columns[place] = pd.Series(pd.Categorical(_as_known(cells, known[place]), categories=known[place]))
        elif cells and all(isinstance(cell, bool) for cell in cells):
            columns[place] = pd.Series(cells, dtype=bool)
        else:
            columns[place] = pd.Series(_numbers(cells, name, rows), dtype=float)
    return pd.DataFrame(columns)


def _numbers(cells: Sequence[Any], name: str, rows: GivenRows) -> list[float | None]:
    numbers: list[float | None] = []
    for (place, _), cell in zip(rows.rows, cells, strict=True):
        try:
            numbers.append(None if cell is None else float(cell))
        except (TypeError, ValueError):
            what = f"{name!r} is {str(cell)[:40]!r}"
            raise UsageError(f"{place}: {what}, and the model reads a number there") from None
    return numbers


def _cell(cell: Any) -> Any:
    if not isinstance(cell, str):
        return None if cell != cell else cell  # NaN
    text = cell.strip()
    if text.lower() in ("", "nan", "na", "null"):
        return None
    return {"true": True, "false": False}.get(text.lower(), text)


def _as_known(cells: Sequence[Any], known: Sequence[Any] | None) -> list[Any]:
    """Cells as the categories that they name: "3" of a file is the category 3."""
    by_text = {str(value): value for value in known or ()}
    return [None if cell is None else by_text.get(str(cell), str(cell)) for cell in cells]


def _label(cell: Any, labels: Sequence[str], place: str) -> Any:
    try:
        return label_of(cell, labels, several=False)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None

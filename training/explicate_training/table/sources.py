"""Where tables come from: data files and the named demo sets."""

from collections.abc import Callable, Mapping
from typing import Any  # cell values

from explicate.errors import UsageError
from explicate_training.data.files import Columns, DataFile, Wanted, frame_columns, r_dataset, read_files
from explicate_training.data.labels import columns_with_labels
from explicate_training.table.config import TableDataConfig
from explicate_training.table.data import RawTable


def read_table(config: TableDataConfig) -> RawTable:
    """The configured table; rows in the source's order: train, then validation and test if there are any.

    Raises UsageError when a file is missing or unreadable, or the files do not have the same columns.
    """
    if config.demo:
        columns = _DEMO_READERS[config.demo]()
        return RawTable(config.demo, columns, ["train"] * len(next(iter(columns.values()))))
    files = [
        DataFile("data.table", "train", config.table),
        DataFile("data.validation", "validation", config.validation),
        DataFile("data.test", "test", config.test),
    ]
    required = columns_with_labels(config)
    if config.group_column:
        required["data.group_column"] = config.group_column
    return _joined(read_files(files, Wanted(required, others=True)), config)


def _joined(parts: list[Columns], config: TableDataConfig) -> RawTable:
    names = list(parts[0].values)
    for part in parts[1:]:
        other = set(part.values) ^ set(names)
        if other:
            raise UsageError(
                f"data.{part.split}: {part.origin} and {parts[0].origin} differ in the column {min(other)!r}: "
                "give them the same columns"
            )
    columns = {name: [cell for part in parts for cell in part.values[name]] for name in names}
    splits = [part.split for part in parts for _ in part.values[names[0]]]
    if not splits:
        raise UsageError(f"data.table: {config.table} has no rows")
    return RawTable(config.table, columns, splits)


def _r_table(demo: str, package: str, name: str) -> dict[str, list[Any]]:
    return frame_columns(r_dataset(demo, package, name).drop(columns="rownames"))


def _breast_cancer() -> dict[str, list[Any]]:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    return {**frame_columns(bunch.data), "diagnosis": [str(bunch.target_names[index]) for index in bunch.target]}


def _diabetes() -> dict[str, list[Any]]:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(as_frame=True, scaled=False)
    return {**frame_columns(bunch.data), "progression": bunch.target.tolist()}


_DEMO_READERS: Mapping[str, Callable[[], dict[str, list[Any]]]] = {
    "breast-cancer": _breast_cancer,
    "churn": lambda: _r_table("churn", "modeldata", "mlc_churn"),
    "credit": lambda: _r_table("credit", "modeldata", "credit_data"),
    "diabetes": _diabetes,
    "hdma": lambda: _r_table("hdma", "Ecdat", "Hdma"),
}

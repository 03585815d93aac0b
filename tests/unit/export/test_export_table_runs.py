"""The run directory of a table's model: columns, cells, background and the statistics for lime."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import TableColumns
from explicate_bundle.model_inputs import TabularInput
from explicate_export.errors import UsageError
from explicate_export.export import open_run
from explicate_export.table.conversion import held_out_rows, read_arrays
from explicate_export.training_run import FinishedRun, read_run
from support.run_files import change, change_lines, read_lines, write_lines
from support.tiny_table_run import BACKGROUND_ROWS, COLUMNS, TARGET, category, message, number, write_table_run

ROW = {"city": "Köln", "age": 30, "member": True, "income": 1.5, "size": "large", "distance": -2}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table_run(tmp_path_factory.mktemp("run") / "table")


@pytest.fixture
def table_run(whole_run: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(whole_run, tmp_path / "run"))


def _open(run: Path) -> None:
    open_run(run, lambda _: None)


def test_columns_of_a_table_are_read(table_run: Path) -> None:
    run = read_run(table_run)
    assert run.record.target_name == TARGET
    assert list(run.record.tabular.columns) == list(map(message, COLUMNS))
    background, lime = read_arrays(run)
    assert run.record.tabular.background_rows == len(background.weights) == BACKGROUND_ROWS
    assert lime is not None


def test_a_run_without_statistics_for_lime_has_none(table_run: Path) -> None:
    record = json.loads((table_run / "run.json").read_text("utf-8"))
    change(table_run / "run.json", tabular={**record["tabular"], "lime_statistics": False})
    (table_run / "lime.npz").unlink()
    assert read_arrays(read_run(table_run))[1] is None


def test_targets_of_a_regression_are_read(tmp_path: Path) -> None:
    run = write_table_run(tmp_path / "run", labels=(), rows=5)
    assert [one.target for one in held_out_rows(read_run(run))] == [line["label"] for line in read_lines(run)]
    change_lines(run, lambda line: {**line, "label": "no"})
    with pytest.raises(UsageError, match=r'held_out\.jsonl, line 1: "label" is not a finite number'):
        held_out_rows(read_run(run))


def _encoded(run: FinishedRun) -> Any:
    rows = [one.value.cells for one in held_out_rows(run) if isinstance(one.value, TabularInput)]
    return TableColumns(run.record.tabular).rows_of(rows)


def test_cells_become_numbers_and_codes_in_the_schemas_order(table_run: Path) -> None:
    rows = [ROW, {**ROW, "city": "Rome", "member": None, "age": None, "size": None}, {**ROW, "member": "false"}]
    write_lines(table_run, [{"row": row, "outputs": [0, 1]} for row in rows])
    expected = [[30, 1.5, -2, 3, 3, 4], [math.nan, 1.5, -2, 0, 1, 1], [30, 1.5, -2, 3, 2, 4]]
    np.testing.assert_array_equal(_encoded(read_run(table_run)), expected)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"age": "thirty"}, "'age' is 'thirty'; this column takes numbers"),
        ({"age": True}, "'age' is 'true'; this column takes numbers"),
        ({"city": 3}, "'city' is a number; this column takes categories"),
        ({"wage": 3}, "'wage' is not in the schema"),
    ],
)
def test_cell_that_does_not_fit_is_named(table_run: Path, cells: dict[str, Any], told: str) -> None:
    write_lines(table_run, [{"row": {**ROW, **cells}, "outputs": [0, 1]}])
    with pytest.raises(UsageError, match=f"line 1: .*{told}"):
        held_out_rows(read_run(table_run))


def test_row_without_a_column_is_refused(table_run: Path) -> None:
    row = {name: cell for name, cell in ROW.items() if name != "size"}
    write_lines(table_run, [{"row": row, "outputs": [0, 1]}])
    with pytest.raises(UsageError, match="'size' is missing"):
        held_out_rows(read_run(table_run))


@pytest.mark.parametrize("age", [1e308, -(10**400), math.inf, math.nan])
def test_rows_that_a_server_would_refuse_are_left_out(table_run: Path, age: float) -> None:
    lines = read_lines(table_run)
    write_lines(table_run, [{**lines[0], "row": {**lines[0]["row"], "age": age}}, *lines[1:]])
    assert [one.outputs for one in held_out_rows(read_run(table_run))] == [line["outputs"] for line in lines[1:]]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ([], "0 tabular.columns"),
        ([number("age"), number("age")], "names in tabular.columns repeat"),
        ([{**number("age"), "type": "float"}], "COLUMN_TYPE_FLOAT"),
        ([{**number("age"), "categories": ["1"]}], r"\[age\] has numbers and categories"),
        ([number("age"), category("m", "no", "yes", kind="boolean")], r"\[m\] are .*not \['false', 'true'\]"),
        ([category("m")], r"\[m\] has no categories"),
        ([category("m", "a", "a")], r"categories of .*\[m\] repeat"),
        ([number("")], "a name in tabular.columns is empty"),
        ([{**number("age"), "may_be_missing": 1}], "may_be_missing"),
        (["age"], "columns"),
    ],
)
def test_columns_that_no_server_takes_are_named(table_run: Path, columns: list[Any], told: str) -> None:
    typed = [c if isinstance(c, str) else {**c, "type": f"COLUMN_TYPE_{c['type'].upper()}"} for c in columns]
    change(table_run / "run.json", tabular={"columns": typed, "background_rows": 20, "lime_statistics": True})
    with pytest.raises(UsageError, match=rf"run\.json.*{told}.*train again"):
        read_run(table_run)


@pytest.mark.parametrize("columns", [COLUMNS[:-1], [*COLUMNS[1:], COLUMNS[0]]])
def test_columns_other_than_the_models_are_refused(table_run: Path, columns: list[Any]) -> None:
    schema = bundle_pb2.TabularSchema(columns=map(message, columns), background_rows=20, lime_statistics=False)
    change(table_run / "run.json", tabular=json_format.MessageToDict(schema, preserving_proto_field_name=True))
    with pytest.raises(UsageError, match=r"background\.npz|not consistent: run\.json and the model"):
        _open(table_run)


def _no_rows(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array[:0] for name, array in arrays.items()}


def _without_weights(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if name != "weights"}


@pytest.mark.parametrize(
    ("change_arrays", "told"),
    [
        (_without_weights, "not in the format"),
        (_no_rows, "has 0 rows|sum to 1"),
        (lambda a: {**a, "weights": a["weights"] * 1.01}, "sum to 1"),
        (lambda a: {**a, "weights": a["weights"] * np.nan}, "sum to 1"),
        (lambda a: {**a, "numbers": a["numbers"][:, 1:]}, "not of the manifest's columns"),
        (lambda a: {**a, "numbers": a["numbers"] * np.inf}, "not of the manifest's columns"),
        (lambda a: {**a, "codes": a["codes"][:-1]}, "has 19 rows"),
        (lambda a: {**a, "codes": a["codes"] + 5}, "not of the manifest's columns"),
        (lambda a: {**a, "codes": a["codes"] - 5}, "not of the manifest's columns"),
        (lambda a: {**a, "weights": np.array([{}], dtype=object)}, "not in the format"),
    ],
)
def test_background_that_does_not_fit_is_named(
    table_run: Path, change_arrays: Callable[[dict[str, Any]], dict[str, Any]], told: str
) -> None:
    path = table_run / "background.npz"
    with np.load(path) as arrays:
        changed = change_arrays(dict(arrays))
    np.savez(path, **changed)
    with pytest.raises(UsageError, match=rf"background\.npz.*{told}.*train again"):
        _open(table_run)


@pytest.mark.parametrize("name", ["background.npz", "lime.npz"])
@pytest.mark.parametrize("keep", [0, 50])
def test_truncated_arrays_are_named(table_run: Path, name: str, keep: int) -> None:
    (table_run / name).write_bytes((table_run / name).read_bytes()[:keep])
    with pytest.raises(UsageError, match=rf"{name} is not in the format"):
        _open(table_run)


def test_statistics_for_lime_that_do_not_fit_are_named(table_run: Path) -> None:
    path = table_run / "lime.npz"
    with np.load(path) as arrays:
        changed = {**arrays, "edges": arrays["edges"][:, :-1]}
    np.savez(path, **changed)
    with pytest.raises(UsageError, match=r"lime\.npz has edges of shape .*, so train again"):
        _open(table_run)

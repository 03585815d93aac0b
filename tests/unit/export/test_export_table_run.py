"""The run directory of a table's model: what is whole is read, what is not is one sentence that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import TableColumns
from explicate_export.errors import UsageError
from explicate_export.export import open_run
from explicate_export.table.run import read_tabular_run
from support.tiny_table_run import BACKGROUND_ROWS, COLUMNS, TARGET, category, number, write_table_run


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table_run(tmp_path_factory.mktemp("run") / "table")


@pytest.fixture
def run(whole_run: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(whole_run, tmp_path / "run"))


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def _open(run: Path) -> None:
    open_run(run, lambda _: None)


def test_finished_run_is_read(run: Path) -> None:
    found = read_tabular_run(run)
    assert found.labels == ("no", "yes")
    assert found.target_name == TARGET
    assert not found.regression
    assert [column.name for column in found.schema.columns] == [column["name"] for column in COLUMNS]
    assert found.schema.columns[0] == bundle_pb2.ColumnSchema(
        name="city",
        type=bundle_pb2.COLUMN_TYPE_CATEGORY,
        categories=["Ghent", "Köln", "São Paulo"],
        group="place",
        may_be_missing=True,
    )
    assert found.schema.background_rows == len(found.background) == BACKGROUND_ROWS
    assert len(found.held_out) == 60
    assert found.held_out_targets == ()


def test_targets_of_a_regression_are_read(tmp_path: Path) -> None:
    found = read_tabular_run(write_table_run(tmp_path / "run", labels=(), rows=5))
    lines = (tmp_path / "run" / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert found.regression
    assert found.held_out_targets == tuple(json.loads(line)["label"] for line in lines)


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "metrics.json",
        "data.json",
        "held_out.jsonl",
        "background.npz",
        "model/config.json",
        "model/model.safetensors",
    ],
)
def test_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(UsageError, match=Path(name).name):
        _open(run)


@pytest.mark.parametrize("name", ["run.json", "background.npz", "model/config.json", "model/model.safetensors"])
@pytest.mark.parametrize("keep", [0, 50])
def test_truncated_file_is_one_sentence(run: Path, name: str, keep: int) -> None:
    path = run / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        UsageError, match=r"run\.json is not JSON|background\.npz is not in the format|model cannot be loaded"
    ):
        _open(run)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["one"]}, "labels must be"),
        ({"labels": ["no", "yes", "maybe"]}, r"names 3 labels and the model has 2 outputs"),
        ({"kind": "tabular-regression"}, r"'labels' must be \[\]"),
        ({"kind": "tabular-regression", "labels": []}, r'held_out\.jsonl, line 1: "label" is not a finite number'),
        ({"target_name": None}, "target_name"),
        ({"columns": "age"}, "columns"),
        ({"columns": []}, "columns of different names"),
        ({"columns": [number("age"), number("age")]}, "columns of different names"),
        ({"columns": ["age"]}, r"columns\[0\] is not an object"),
        ({"columns": [{**number("age"), "type": "float"}]}, r"columns\[0\]\.type is 'float'"),
        ({"columns": [{**number("age"), "categories": ["1"]}]}, r"must be \[\] for a number column"),
        ({"columns": [number("age"), category("m", "no", "yes", kind="boolean")]}, r"columns\[1\].*false"),
        ({"columns": [category("m")]}, "at least one category"),
        ({"columns": [category("m", "a", "a")]}, "different names"),
        ({"columns": [number("")]}, "name is empty"),
        ({"columns": [{**number("age"), "may_be_missing": 1}]}, "may_be_missing"),
        ({"columns": list(COLUMNS[:-1])}, r"background\.npz has rows that are not"),
        ({"columns": [*COLUMNS[1:], COLUMNS[0]]}, r"background\.npz has rows|not consistent: run\.json and the model"),
    ],
)
def test_wrong_value_is_named(run: Path, values: dict[str, Any], message: str) -> None:
    _change(run / "run.json", **values)
    with pytest.raises(UsageError, match=message):
        _open(run)


def _no_rows(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array[:0] for name, array in arrays.items()}


def _without_weights(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if name != "weights"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_weights, "not in the format"),
        (_no_rows, "sum to 1"),
        (lambda a: {**a, "weights": a["weights"] * 1.01}, "sum to 1"),
        (lambda a: {**a, "weights": a["weights"] * np.nan}, "sum to 1"),
        (lambda a: {**a, "weights": np.full(len(a["weights"]), 1, np.int64)}, "weights of type int64, not float64"),
        (lambda a: {**a, "numbers": a["numbers"][:, 1:]}, "not of the manifest's columns"),
        (lambda a: {**a, "numbers": a["numbers"].astype(np.float64)}, "numbers of type float64"),
        (lambda a: {**a, "numbers": a["numbers"] * np.inf}, "not of the manifest's columns"),
        (lambda a: {**a, "codes": a["codes"][:-1]}, "has 19 rows and weights"),
        (lambda a: {**a, "codes": a["codes"] + 5}, "not of the manifest's columns"),
        (lambda a: {**a, "codes": a["codes"] - 5}, "not of the manifest's columns"),
        (lambda a: {**a, "weights": np.array([{}], dtype=object)}, "not in the format"),
    ],
)
def test_background_that_does_not_fit_is_named(
    run: Path, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    path = run / "background.npz"
    with np.load(path) as arrays:
        changed = change(dict(arrays))
    np.savez(path, **changed)
    with pytest.raises(UsageError, match=rf"background\.npz.*{message}"):
        _open(run)


def test_statistics_for_lime_that_do_not_fit_are_named(run: Path) -> None:
    path = run / "lime.npz"
    with np.load(path) as arrays:
        changed = {**arrays, "edges": arrays["edges"][:, :-1]}
    np.savez(path, **changed)
    with pytest.raises(UsageError, match=r"lime\.npz has edges of shape .*, so train again"):
        _open(run)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UsageError, match=r"lime\.npz is not in the format"):
        _open(run)


def test_a_run_from_before_there_were_statistics_for_lime_has_none(run: Path) -> None:
    assert read_tabular_run(run).schema.lime_statistics
    (run / "lime.npz").unlink()
    assert not read_tabular_run(run).schema.lime_statistics


@pytest.mark.parametrize("line", ['{"label": "no"}', "nonsense", '{"row": [1]}', "[1]", '{"row": {"age": 3}}'])
def test_broken_held_out_line_is_named_by_number(run: Path, line: str) -> None:
    path = run / "held_out.jsonl"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    path.write_text(f"{first}\n{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"held_out\.jsonl, line 2"):
        _open(run)


def test_rows_that_a_server_would_refuse_are_left_out(run: Path) -> None:
    path = run / "held_out.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = {"row": {**json.loads(lines[0])["row"], "age": 1e308}, "label": "no"}
    path.write_text("\n".join([json.dumps(changed), *lines[1:]]), encoding="utf-8")
    whole = TableColumns(read_tabular_run(run).schema).encoded([json.loads(line)["row"] for line in lines[1:]])
    np.testing.assert_array_equal(read_tabular_run(run).held_out.numbers, whole.numbers)


def test_run_without_rows_is_refused(run: Path) -> None:
    (run / "held_out.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no rows"):
        _open(run)

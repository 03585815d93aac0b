"""Run directories of random networks for tables, as `explicate train` leaves them."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any  # cells of many types

import numpy as np
import torch

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.table_arrays import write_lime_statistics
from explicate_training.table.background import lime_statistics
from explicate_training.table.network import TabularNetwork, TabularNetworkConfig
from explicate_training.table.saved_network import load_network, save_network
from support.run_files import write_lines, write_record
from support.table_rows import encode

LABELS = ("no", "yes")
BACKGROUND_ROWS = 20
TRAINING_ROWS = 100

Column = dict[str, Any]


def number(name: str, *, group: str = "", may_be_missing: bool = True) -> Column:
    """A number column."""
    return {"name": name, "type": "number", "categories": [], "group": group, "may_be_missing": may_be_missing}


def category(name: str, *categories: str, kind: str = "category", group: str = "") -> Column:
    """A column of another type."""
    return {"name": name, "type": kind, "categories": list(categories), "group": group, "may_be_missing": True}


COLUMNS = (
    category("city", "Ghent", "Köln", "São Paulo", group="place"),
    number("age", may_be_missing=False),
    category("member", "false", "true", kind="boolean"),
    number("income"),
    category("size", "small", "middle", "large", kind="ordinal"),
    number("distance", group="place"),
)
TARGET = "left"


def write_table_run(
    directory: Path,
    columns: Sequence[Column] = COLUMNS,
    *,
    labels: Sequence[str] = LABELS,
    kind: str = "",
    rows: int = 60,
    seed: int = 1,
    target_scale: float = 25.0,
) -> Path:
    """A whole run; without labels it is a regression, whose target varies by about `target_scale`.

    With labels it is a classifier unless `kind` is "tabular-multi-label".
    """
    stream = random.Random(seed)
    table = [{column["name"]: _cell(column, stream) for column in columns} for _ in range(rows)]
    network = _network(columns, outputs=len(labels) or 1, seed=seed)
    if not labels:
        network.set_target_statistics(100.0, target_scale)
    save_network(network, directory / "model")
    targets = [stream.choice(labels) if labels else stream.gauss(100.0, target_scale) for _ in range(rows)]
    lines = [{"row": row, "label": target} for row, target in zip(table, targets, strict=True)]
    sha256 = hashlib.sha256("\n".join(map(json.dumps, lines)).encode()).hexdigest()
    kind = kind or ("tabular-classification" if labels else "tabular-regression")
    _write_record(directory, columns, labels, kind=kind, sha256=sha256)
    _write_background(directory / "background.npz", columns, seed=seed)
    _write_lime_statistics(directory / "lime.npz", columns, seed=seed)
    outputs = _outputs(load_network(directory / "model"), columns, table)
    write_lines(directory, ({**line, "outputs": row} for line, row in zip(lines, outputs, strict=True)))
    return directory


def message(column: Column) -> bundle_pb2.ColumnSchema:
    """The column as run.json and the bundle list it."""
    column_type = bundle_pb2.ColumnType.Value(f"COLUMN_TYPE_{column['type'].upper()}")
    return bundle_pb2.ColumnSchema(**{**column, "type": column_type, "group": column["group"] or None})


def _write_record(directory: Path, columns: Sequence[Column], labels: Sequence[str], *, kind: str, sha256: str) -> None:
    record = TrainingRun(
        objective=kind.removeprefix("tabular-"),
        labels=labels,
        target_name=TARGET,
        tabular=bundle_pb2.TabularSchema(
            columns=map(message, columns), background_rows=BACKGROUND_ROWS, lime_statistics=True
        ),
        base_model="tabular-network",
        seed=7,
        data_sha256=sha256,
        tool_versions={"torch": "0"},
    )
    test = {"auroc": 0.75, "per_class": {"yes": {"precision": 0.5, "recall": 0.25}}} if labels else {"r_squared": 0.5}
    write_record(directory, record, metrics={"test": test}, data={"sha256": sha256, "rows": 100})


def _outputs(network: TabularNetwork, columns: Sequence[Column], table: Sequence[dict[str, Any]]) -> Any:
    """What the network answers."""
    rows = encode(table, list(map(message, columns)))
    with torch.no_grad():
        return network(torch.from_numpy(rows.numbers), torch.from_numpy(rows.codes)).tolist()


def _cell(column: Column, stream: random.Random) -> float | str | bool | None:
    if column["may_be_missing"] and stream.random() < 0.1:
        return None
    if column["type"] == "number":
        return stream.gauss(10.0, 5.0)
    name: str = stream.choice([*column["categories"], "never seen"])
    if column["type"] == "boolean":
        return stream.random() < 0.5
    return name


def _network(columns: Sequence[Column], *, outputs: int, seed: int) -> TabularNetwork:
    """Random weights everywhere; the layers that begin at zero would make every answer linear."""
    numbers = sum(column["type"] == "number" for column in columns)
    config = TabularNetworkConfig(
        number_columns=numbers,
        category_counts=tuple(len(column["categories"]) for column in columns if column["type"] != "number"),
        outputs=outputs,
        bins=4,
        width=16,
        members=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TabularNetwork(config)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        # Whatever the number of columns, the logits stay of the size that trained networks give.
        for parameter in (network.first.weight, network.linear_path.weight):
            torch.nn.init.normal_(parameter, std=2 / (len(columns) * config.embedding_size) ** 0.5)
    edges = torch.linspace(0.0, 20.0, config.bins + 1).repeat(numbers, 1)
    network.set_number_statistics(torch.full((numbers,), 10.0), torch.full((numbers,), 5.0), edges)
    return network


def _write_lime_statistics(path: Path, columns: Sequence[Column], *, seed: int) -> None:
    stream = np.random.Generator(np.random.Philox(seed + 1))
    counts = [2 + len(column["categories"]) for column in columns if column["type"] != "number"]
    numbers = stream.normal(10, 5, (TRAINING_ROWS, len(columns) - len(counts))).astype(np.float32)
    codes = np.array([stream.integers(0, count, TRAINING_ROWS) for count in counts], dtype=np.int64)
    write_lime_statistics(path, lime_statistics(numbers, codes.reshape(len(counts), TRAINING_ROWS).T, counts))


def _write_background(path: Path, columns: Sequence[Column], *, seed: int) -> None:
    stream = np.random.Generator(np.random.Philox(seed))
    others = [column for column in columns if column["type"] != "number"]
    codes = [stream.integers(1, 2 + len(column["categories"]), BACKGROUND_ROWS) for column in others]
    weights = stream.random(BACKGROUND_ROWS)
    np.savez(
        path,
        numbers=stream.normal(10, 5, (BACKGROUND_ROWS, len(columns) - len(others))).astype(np.float32),
        codes=np.array(codes, dtype=np.int64).reshape(len(others), BACKGROUND_ROWS).T,
        weights=weights / weights.sum(),
    )

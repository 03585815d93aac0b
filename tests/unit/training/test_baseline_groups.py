"""`[export.baselines]`: groups of training rows that explanations may be set against, from the config to the bundle."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_bundle.bundle import check_bundle
from explicate_bundle.columns import TableColumns
from explicate_export.export import ExportOptions, export_run
from explicate_training.config.config_file import parse_config
from explicate_training.table.config import TableConfig, TableExportOptions, conditions_of
from explicate_training.train import train

GROUPS = {"loyal": "stays=yes", "small ones": "size=small", "dear": "price>55", "middling": "price <= 50"}


def with_groups(config: TableConfig, groups: dict[str, Any]) -> TableConfig:
    return replace(config, export=TableExportOptions(groups))


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ({"good": "stays"}, 'export.baselines.good must be like "outcome=yes"'),
        ({"good": ["a", "b"]}, "export.baselines.good must be like"),
        ({"background": "stays=yes"}, "'background' is the name of the model's own background"),
        ({"a/b": "stays=yes"}, "'a/b' is not a name"),
        ({f"g{number}": "stays=yes" for number in range(33)}, "33 groups; at most 32"),
    ],
)
def test_a_section_that_is_wrong_is_refused_before_anything_is_read(
    table_config: TableConfig, groups: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError) as refused:
        with_groups(table_config, groups).check()
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        ("pricee=3", "export.baselines.g: there is no column 'pricee'; did you mean price?"),
        ("size=smal", "export.baselines.g: 'size' is never 'smal' in the training rows; did you mean small?"),
        ("stays=perhaps", "export.baselines.g: 'stays' is never 'perhaps' in the training rows; there are no, yes"),
        ("size>small", "export.baselines.g: 'size' holds categories: write size=VALUE"),
        ("price>dear", "export.baselines.g: 'price' holds numbers, and 'dear' is not a number"),
        ("price>1000", "export.baselines.g: 0 of the"),
    ],
)
def test_a_group_that_the_rows_do_not_have_is_refused_before_the_training(
    table_config: TableConfig, group: str, problem: str
) -> None:
    with pytest.raises(UsageError) as refused:
        train(with_groups(table_config, {"g": group}))
    assert problem in str(refused.value)


def test_a_condition_is_read_as_it_is_written() -> None:
    found = conditions_of({"a": "x<=3", "b": "x = 3", "c": "a<b=c"})
    assert [(each.column, each.comparison, each.value) for each in found.values()] == [
        ("x", "<=", "3"),
        ("x", "=", "3"),
        ("a", "<", "b=c"),
    ]


def test_the_bundle_has_the_groups_and_each_row_is_of_its_group(table_config: TableConfig, tmp_path: Path) -> None:
    config = with_groups(table_config, GROUPS)
    run = train(config)
    assert parse_config((run / "config.toml").read_text()) == config
    described = json.loads((run / "run.json").read_text())["tabular"]["baselines"]
    assert {group["name"]: group["of"] for group in described} == GROUPS
    training_rows = json.loads((run / "data.json").read_text())["splits"]["train"]["rows"]
    assert all(5 <= int(group["summarised_rows"]) < training_rows for group in described)

    export_run(run, tmp_path / "repository", ExportOptions("customers", 1, 16, None, allow_trivial=True))
    folder = tmp_path / "repository" / "customers" / "1"
    bundle = check_bundle(folder, model="customers", version=1)
    groups, schema = bundle.baselines(), bundle.manifest.tabular
    assert [(group.name, group.rows) for group in schema.baselines] == [(n, len(rows)) for n, rows in groups.items()]
    assert list(groups) == list(GROUPS)
    columns = TableColumns(schema)
    price, size = columns.by_name["price"].place, columns.by_name["size"]
    assert (groups["dear"].numbers[:, price] > 55).all()
    assert (groups["middling"].numbers[:, price] <= 50).all()
    small = size.number_of("small")
    assert (groups["small ones"].codes[:, size.place - columns.numbers] == small).all()
    for rows in groups.values():
        assert 1 <= len(rows) <= config.data.background_rows
        np.testing.assert_allclose(rows.weights.sum(), 1)
    assert "baselines.npz" in {file.name for file in bundle.manifest.files}
    assert "loyal" in (folder / "MODEL_CARD.md").read_text()

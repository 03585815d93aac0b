"""Sums over columns from a CSV file to a served explanation, of every objective; monotone and forbidden columns."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
import torch

from explicate import ALL, AsyncClient
from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle, check_bundle
from explicate_bundle.columns import TableColumns
from explicate_export.errors import ParityError
from explicate_export.export import ExportOptions, export_run
from explicate_server.modalities.rows.table_claims import CONTRIBUTIONS, checked_graph, grid_of
from explicate_server.runtime.graph_outputs import GraphOutputs
from explicate_training.config.config_file import parse_config
from explicate_training.table.forms.additive_network import AdditiveNetwork
from explicate_training.train import train
from support.harness import running_server

CITIES = ("oslo", "rome", "ghent")
OBJECTIVES = ("two", "three", "labels", "value")
ROW = {"price": 10.0, "income": 55.0, "city": "oslo", "since": "2020-05-01", "size": 3.0}


def write_customers(path: Path, rows: int = 360) -> None:
    """Rows with missing cells, a date, and labels of every objective; sex has no effect but is in the file."""
    stream = np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["price", "income", "city", "since", "size", "sex", *OBJECTIVES])
        for _ in range(rows):
            price, income, size = stream.normal(size=3)
            city, year = stream.choice(CITIES), stream.integers(2010, 2022)
            score = 1.5 * income - price * size + (city == "oslo") + 0.2 * stream.normal()
            names = [name for name, given in (("dear", price > 0), ("rich", income > 0)) if given]
            cells: list[Any] = [
                f"{20 * price + 40:.2f}",
                f"{10 * income + 50:.1f}",
                city,
                f"{year}-03-{1 + year % 28:02}",
            ]
            cells = [cell if stream.random() > 0.08 else "" for cell in cells]
            labels = ["good" if score > 0 else "bad", ("low", "mid", "top")[int(score > -1) + int(score > 1)]]
            writer.writerow(
                [*cells, f"{size:.3f}", stream.choice(["f", "m"]), *labels, ", ".join(names), f"{100 + 20 * score:.3f}"]
            )


def config_of(folder: Path, objective: str, form: str, **more: Any) -> Any:
    """A short run that predicts one of the label columns from the others that are none."""
    others = [name for name in OBJECTIVES if name != objective]
    naming = "increasing top" if objective == "three" else "increasing"  # of two classes the second one is meant
    data: dict[str, Any] = {
        "table": str(folder / "customers.csv"),
        "label_column": objective,
        "columns": dict.fromkeys(others, "ignore"),
        "groups": {"account": ["city", "since"]},
        "background_rows": 6,
    }
    if objective in ("labels", "value"):
        data |= {"task": "multi-label" if objective == "labels" else "regression"}
    if objective == "labels":
        data |= {"empty_label": "none"}
    section = {
        "masked_fraction": 0.0,
        "form": form,
        "form_epochs": 8,
        "forbidden": ["sex"],
        "monotone": {"income": naming, "price": naming.replace("increasing", "decreasing")},
        **more,
    }
    document = {
        "data": data,
        "model": {"width": 8, "members": 2, "bins": 6},
        "training": {"learning_rate": 0.01, "epochs": 8},
        "interpretability": section,
        "output": {"directory": str(folder / f"{objective}-{form}"), "explained": 0},
    }
    return parse_config(tomlkit.dumps(document))


class Customers:
    """A folder whose models are trained and exported when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_customers(folder / "customers.csv")

    def repository(self, name: str) -> Path:
        """One with the model "OBJECTIVE-FORM" alone."""
        repository = self.folder / f"repository-{name}"
        if not repository.exists():
            objective, form = name.split("-")
            run = train(config_of(self.folder, objective, form, pairs=2))
            export_run(run, repository, ExportOptions(name, allow_trivial=True))
        return repository

    def bundle(self, name: str) -> VerifiedBundle:
        """Its only version."""
        return check_bundle(self.repository(name) / name / "1", model=name, version=1)

    def run(self, name: str) -> Path:
        """Its run."""
        self.repository(name)
        return self.folder / name


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Customers:
    return Customers(tmp_path_factory.mktemp("customers"))


@pytest.mark.parametrize("objective", OBJECTIVES)
async def test_an_additive_model_is_trained_exported_served_and_explained(customers: Customers, objective: str) -> None:
    name = f"{objective}-additive"
    schema = customers.bundle(name).manifest.tabular
    assert schema.form == bundle_pb2.TABULAR_FORM_ADDITIVE
    assert schema.contributions
    async with running_server(customers.repository(name)) as running, AsyncClient(running.target) as client:
        model = await client.get_model(name)
        assert "additive-exact" in model.methods
        target = {"target": ALL} if objective != "value" else {}
        spaces = ("value",) if objective == "value" else ("probability", "logit")
        for row in (ROW, {**ROW, "city": "nowhere", "price": None}, dict.fromkeys(ROW)):
            for space in spaces:
                explained = [
                    (await client.explain(name, row, method=method, output_space=space, **target)).explanation
                    for method in ("auto", "exact-shap")
                ]
                exact, enumerated = explained
                assert (exact.options.method, exact.evaluations, exact.stop_reason) == ("additive-exact", 1, "exact")
                assert [one.name for one in exact.features] == ["price", "income", "account", "size"]
                for one, other in zip(exact.attributions, enumerated.attributions, strict=True):
                    scale = 1e-6 if objective != "value" else 2e-5  # the value is in hundreds
                    np.testing.assert_allclose(one.values, other.values, atol=scale)
                    assert list(one.lower) == list(one.values) == list(one.upper)
        given = (await client.explain(name, {**ROW, "sex": "f"})).explanation
        assert given.features[-1].name == "sex"
        assert given.attributions[0].values[-1] == 0


@pytest.mark.parametrize("name", ["two-additive", "three-additive", "labels-additive", "value-additive", "two-pairs"])
def test_monotone_columns_are_monotone_on_the_graph_wherever_they_are_asked(customers: Customers, name: str) -> None:
    found = customers.bundle(name)
    columns = TableColumns(found.manifest.tabular)
    graph = checked_graph(found, columns)
    golden = np.stack([columns.row_of(value.cells) for value in found.golden().inputs])
    for column, sign in (("income", 1), ("price", -1)):
        place = columns.by_name[column].place
        grid = np.unique(np.concatenate((grid_of(golden[:, place]), np.linspace(-1e4, 1e4, 101))))
        for base in golden[::5]:
            rows = np.repeat(base[np.newaxis], len(grid), axis=0)
            rows[:, place] = grid
            outputs = graph.outputs(rows)
            if name.startswith(("two", "three")):
                outputs = outputs[:, [-1]] - outputs[:, :-1]  # the last class against each other one
            steps = sign * np.diff(outputs, axis=0)
            assert steps.min() > -1e-4
            assert np.abs(np.ptp(outputs, axis=0)).max() > 0


def test_pairs_are_told_and_tell_no_contributions(customers: Customers) -> None:
    found = customers.bundle("two-pairs")
    schema = found.manifest.tabular
    assert schema.form == bundle_pb2.TABULAR_FORM_PAIRS
    assert not schema.contributions
    assert {schema.pairs[0].first, schema.pairs[0].second} == {"price", "size"}  # which the answer multiplies
    assert CONTRIBUTIONS not in GraphOutputs(found.model_path).names
    card = found.read_text("MODEL_CARD.md")
    assert "`price` with `size`" in card
    assert "as it rises, the probability of good never falls" in card


def test_a_forbidden_column_is_not_in_the_model_and_stays_in_the_rows(customers: Customers) -> None:
    run = customers.run("two-additive")
    schema = json.loads((run / "run.json").read_text())["tabular"]
    assert "sex" not in [column["name"] for column in schema["columns"]]
    assert {"name": "sex", "reason": "is forbidden", "forbidden": True} in schema["left_out"]
    rows = [json.loads(line)["row"] for line in (run / "held_out.jsonl").read_text().splitlines()]
    assert {row["sex"] for row in rows} == {"f", "m"}
    report = (run / "report.html").read_text()
    assert "sex: f" in report  # measured apart
    assert json.loads((run / "data.json").read_text())["columns_left_out"]["sex"] == "is forbidden"


def test_a_graph_whose_contributions_are_shared_out_otherwise_is_not_published(
    customers: Customers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are right, and its contributions still sum to them."""
    told = AdditiveNetwork.with_contributions

    def shared(self: AdditiveNetwork, numbers: torch.Tensor, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        answers, added = told(self, numbers, codes)
        leak = 0.1 * added[:, 1:2]
        return answers, torch.cat((added[:, :1] + leak, added[:, 1:2] - leak, added[:, 2:]), dim=1)

    run = customers.run("value-additive")
    monkeypatch.setattr(AdditiveNetwork, "with_contributions", shared)
    with pytest.raises(
        ParityError, match=r"not the sum over columns that the manifest promises.*nothing was published"
    ):
        export_run(run, tmp_path, ExportOptions("leaks", allow_trivial=True))
    assert not list(tmp_path.glob("*/1/manifest.json"))

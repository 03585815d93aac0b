"""The whole chain on a small table: train, export, serve, predict, explain; a classifier and a regression."""

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray

from explicate import Client
from explicate.v1 import bundle_pb2
from support.harness import server_process
from support.table_rows import TableRows, encode

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

LABELS = {"loans": "repaid", "prices": "price"}
_CONFIG = """
[data]
table = "table.csv"
label_column = "{label}"
[data.columns]
{ignored} = "ignore"
size = ["small", "middle", "large"]
[data.groups]
place = ["north", "east"]
[model]
width = 16
members = 2
[training]
epochs = 4
[output]
explained = 0
"""


def _write_table(path: Path, rows: int = 400) -> None:
    stream = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["income", "city", "north", "member", "size", "east", "repaid", "price"])
        for _ in range(rows):
            income, north, east = stream.gauss(3000, 800), stream.uniform(0, 9), stream.uniform(0, 9)
            city, member = stream.choice(["Ghent", "Köln", "São Paulo"]), stream.choice(["true", "false"])
            size = stream.choice(["small", "middle", "large"])
            price = 0.1 * income + 50 * (city == "Köln") + 40 * (size == "large") - 5 * north + stream.gauss(0, 20)
            repaid = "yes" if price + 60 * (member == "true") > 330 else "no"
            cells = [f"{income:.2f}", city, f"{north:.3f}", member, size, f"{east:.3f}"]
            holed = [cell if stream.random() > 0.05 else "" for cell in cells]
            writer.writerow([*holed, repaid, f"{price:.3f}"])


def _explicate(*arguments: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "explicate", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs on one table, and a repository with their bundles."""
    folder = tmp_path_factory.mktemp("chain")
    _write_table(folder / "table.csv")
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda name: _train_and_export(name, folder), LABELS)) == [
            f"repository/{name}/1" for name in LABELS
        ]
    return folder


def _train_and_export(name: str, folder: Path) -> str:
    (ignored,) = set(LABELS.values()) - {LABELS[name]}
    (folder / f"{name}.toml").write_text(_CONFIG.format(label=LABELS[name], ignored=ignored), encoding="utf-8")
    assert _explicate("train", f"{name}.toml", "--output", name, directory=folder).strip() == name
    return _explicate("export", name, "--repository", "repository", "--allow-trivial", directory=folder).strip()


@pytest.fixture(scope="module")
def client(chain: Path) -> Iterator[Client]:
    """A client of `explicate serve` on that repository."""
    with server_process(chain / "repository") as (_, address), Client(address, timeout_s=120.0) as client:
        yield client


class Exported:
    """What is in a bundle, asked without the product: an encoding of our own, bare ONNX Runtime."""

    def __init__(self, chain: Path, name: str) -> None:
        folder = chain / "repository" / name / "1"
        self.manifest = json_format.Parse((folder / "manifest.json").read_text("utf-8"), bundle_pb2.Bundle())
        with np.load(folder / "background.npz") as arrays:
            self.background = TableRows(arrays["numbers"], arrays["codes"])
            self.weights: NDArray[np.float64] = arrays["weights"]
        lines = (chain / name / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
        self.held_out: list[dict[str, Any]] = [json.loads(line)["row"] for line in lines]
        self._session: Any = onnxruntime.InferenceSession(folder / "model.onnx")

    def ask(self, rows: TableRows) -> NDArray[np.float64]:
        """float64 [rows, outputs]."""
        return np.asarray(self._session.run(None, rows.feeds())[0], dtype=np.float64)

    def of(self, rows: list[dict[str, Any]]) -> NDArray[np.float64]:
        """float64 [rows, outputs] of rows as the client takes them."""
        return self.ask(encode(rows, self.manifest.tabular.columns))


@pytest.fixture(params=list(LABELS))
def exported(chain: Path, request: pytest.FixtureRequest) -> Exported:
    return Exported(chain, request.param)


def _with_holes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, and some of them with a missing number, a missing category and an unknown one."""
    holes: tuple[dict[str, Any], ...] = ({"income": None}, {"member": None, "size": None}, {"city": "Atlantis"})
    return rows + [{**row, **cells} for row in rows[:3] for cells in holes]


def test_the_server_answers_rows_as_the_exported_graph_does(exported: Exported, client: Client) -> None:
    rows = _with_holes(exported.held_out)
    predictions = client.predict(exported.manifest.model, rows).predictions
    if exported.manifest.class_labels:
        answers = np.array([[score.logit for score in one.scores] for one in predictions])
        close = 1e-5
    else:
        answers = np.array([[one.value] for one in predictions])
        close = 1e-3  # of prices that vary by 90
    np.testing.assert_allclose(answers, exported.of(rows), rtol=0, atol=close)
    assert [one.unknown_category_columns for one in predictions[-3:]] == [(), (), ("city",)]


def test_packed_columns_are_answered_like_rows(exported: Exported, client: Client) -> None:
    rows = _with_holes(exported.held_out)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    packed = client.predict_table(exported.manifest.model, columns)
    outputs = exported.of(rows)
    if exported.manifest.class_labels:
        odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        expected = odds / odds.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(np.array(packed.probabilities), expected, rtol=0, atol=1e-5)
    else:
        np.testing.assert_allclose(np.array(packed.values), outputs[:, 0], rtol=0, atol=1e-3)
    assert packed.unknown_category_columns == ("city",)


def test_an_explanation_rests_on_the_background_and_adds_up(exported: Exported, client: Client) -> None:
    classifier = bool(exported.manifest.class_labels)
    row, close = exported.held_out[0], 1e-5 if classifier else 1e-3
    result = client.explain(exported.manifest.model, row, output_space="logit" if classifier else "value")
    features = {feature.column: feature.values for feature in result.explanation.features}
    assert list(features) == ["income", "city", "place", "member", "size"]
    assert features["place"] == {"north": row["north"], "east": row["east"]}
    (attribution,) = result.explanation.attributions
    output = attribution.class_index
    assert result.explanation.stop_reason == "exact"  # 2⁵ coalitions
    assert result.explanation.options.masking == "background"
    baseline = exported.weights @ exported.ask(exported.background)[:, output]
    assert attribution.baseline_value == pytest.approx(baseline, abs=close)
    assert attribution.instance_value == pytest.approx(exported.of([row])[0, output], abs=close)
    assert sum(attribution.values) == pytest.approx(attribution.instance_value - attribution.baseline_value, abs=close)
    assert max(map(abs, attribution.values)) > 100 * close


def test_the_server_met_the_golden_rows_and_their_attributions(exported: Exported, client: Client) -> None:
    assert exported.manifest.HasField("golden_attributions")
    trial = client.get_model(exported.manifest.model).runtimes[0]
    assert trial.passed
    # Export computed them in numpy, the server by its modality: the same game to rounding.
    assert trial.attribution_difference is not None
    assert trial.attribution_difference < 1e-4


def test_lime_explains_single_columns_from_the_statistics_of_the_training_rows(
    chain: Path, exported: Exported, client: Client
) -> None:
    name, row = exported.manifest.model, exported.held_out[0]
    statistics = chain / "repository" / name / "1" / "lime.npz"
    assert statistics.read_bytes() == (chain / name / "lime.npz").read_bytes()
    with np.load(statistics) as arrays:
        # One cell in twenty is missing; four standard deviations of a share of some 280 rows.
        np.testing.assert_allclose(arrays["frequencies"][:, -1], 0.05, atol=4 * np.sqrt(0.05 * 0.95 / 280))
    for asked in (row, {**row, "income": None, "city": "Atlantis"}):
        explanation = client.explain(name, asked, method="lime").explanation
        assert [feature.column for feature in explanation.features] == list(row)
        assert (explanation.options.masking, explanation.evaluations) == ("drawn", 5000)
        (attribution,) = explanation.attributions
        assert max(map(abs, attribution.values)) > 0
        assert explanation.quality.held_out_r_squared is not None

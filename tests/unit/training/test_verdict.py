"""What a run says of its model at the end: beside always the same answer, beside a simple model, with intervals."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import json_format

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.columns import TableRows
from explicate_training.image.config import ImageConfig
from explicate_training.loop.verdict import always_alike, judged, verdict
from explicate_training.table.config import TableConfig, TableDataConfig, TableModelConfig, TableTrainingConfig
from explicate_training.table.fitting import predict_table
from explicate_training.table.saved_network import load_network
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.decision import decision_offsets, fold_offsets
from explicate_training.tasks.multi_label import MultiLabel
from explicate_training.tasks.regression import Regression
from explicate_training.tasks.task import Evaluation, Task
from explicate_training.text.config import Config
from explicate_training.train import train
from support.imbalanced_texts import imbalanced_config
from support.training_runs import to_folder


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def record(run: Path) -> TrainingRun:
    return json_format.Parse((run / "run.json").read_text(encoding="utf-8"), TrainingRun())


def test_a_run_that_learnt_nothing_says_so_in_its_last_line_and_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(imbalanced_config(tmp_path, seed=0, honest=0.0, epochs=2))  # no word tells the class
    said = last_line(capsys)
    assert said.startswith("VERDICT: ")
    assert "learnt nothing: " in said or "not shown to have learnt anything: " in said
    assert "always answering 'fine' (0.500)" in said
    assert "it answers all test texts alike" in said
    assert "explicate export refuses it unless --allow-trivial is given" in said
    found = record(run).verdict
    assert not found.learnt
    assert found.rivals[0].difference_interval.lower <= 0
    assert said == f"VERDICT: {found.sentence}; explicate export refuses it unless --allow-trivial is given"
    report = (run / "report.html").read_text(encoding="utf-8")
    assert f'<p class="verdict failed"><strong>Verdict:</strong> {found.sentence.split(": ")[0]}: test AUROC' in report


@pytest.mark.parametrize(
    ("kind", "baseline", "title"),
    [
        ("text", "TF-IDF and a linear model", "AUROC"),
        ("table", "gradient-boosted trees", "AUROC"),
        ("image", "nearest neighbours", "AUROC"),
    ],
)
def test_every_kind_of_run_ends_with_a_verdict_and_intervals(
    kind: str, baseline: str, title: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    config: Config | TableConfig | ImageConfig = request.getfixturevalue(f"{kind}_config")
    run = train(to_folder(config, "judged"))
    said = last_line(capsys)
    found, metrics = record(run).verdict, json.loads((run / "metrics.json").read_text())
    assert said.startswith(f"VERDICT: {found.sentence}")
    assert found.title == title
    assert [rival.name for rival in found.rivals][1:] == [baseline]
    assert found.rivals[0].value == pytest.approx(0.5)
    test = metrics["test"]
    assert found.value == test["auroc"]
    assert test["intervals"]["auroc"] == [found.interval.lower, found.interval.upper]
    assert set(test["intervals"]) >= {"accuracy", "f1_macro", "log_loss", "calibration_error", "per_class"}
    assert set(test["intervals"]["per_class"]) == set(test["per_class"])
    theirs = metrics[baseline.lower().replace("-", "_").replace(" ", "_")]["test"]
    assert found.rivals[1].value == theirs["auroc"]
    assert found.rivals[1].difference == pytest.approx(test["auroc"] - theirs["auroc"])
    assert theirs["intervals"]["auroc"][0] <= theirs["auroc"] <= theirs["intervals"]["auroc"][1]
    report = (run / "report.html").read_text(encoding="utf-8")
    assert f'class="verdict{"" if found.learnt else " failed"}"' in report
    lower, upper = test["intervals"]["accuracy"]
    assert f"[{lower:.3f}, {upper:.3f}]" in report


def evaluation(task: Task, outputs: Any, targets: Any, labels: list[str]) -> Evaluation:
    return task.evaluate(np.asarray(outputs, dtype=np.float64), np.asarray(targets), labels, counted="rows")


def test_differences_are_paired_and_smaller_errors_are_better() -> None:
    """Two models that err alike differ by little, however uncertain each of them is."""
    stream = np.random.default_rng(0)
    targets = stream.normal(size=80)
    ours = evaluation(Regression(), (targets + stream.normal(size=80))[:, np.newaxis], targets, [])
    theirs = evaluation(Regression(), ours.outputs + 0.02 * stream.normal(size=(80, 1)), targets, [])
    trivial = always_alike(Regression(), targets, ours, [], counted="rows")
    models = judged("", Regression(), ours, []), judged("twin", Regression(), theirs, [])
    found = verdict(Regression(), models[0], [trivial, models[1]], counted="rows")
    own, twin = found.interval, found.rivals[1].difference_interval
    assert (twin.upper - twin.lower) < 0.2 * (own.upper - own.lower)
    assert twin.lower < found.rivals[1].difference < twin.upper

    same = np.full(80, 3.0)  # R² of a target that does not vary is undefined: the error judges
    ours = evaluation(Regression(), same[:, np.newaxis] + 0.1, same, [])
    trivial = always_alike(Regression(), same + 1, ours, [], counted="rows")
    found = verdict(Regression(), judged("", Regression(), ours, []), [trivial], counted="rows")
    assert (found.metric, found.smaller_is_better, found.learnt) == ("mae", True, True)
    assert found.rivals[0].difference == pytest.approx(0.9)


def test_a_good_ranking_has_learnt_even_if_its_accuracy_is_that_of_the_majority() -> None:
    stream = np.random.default_rng(1)
    targets = (np.arange(300) % 20 == 0).astype(int)
    outputs = np.stack([np.full(300, 6.0), stream.normal(size=300) + 1.5 * targets], axis=1)  # never answers 1
    task, labels = Classification(), ["good", "bad"]
    test = evaluation(task, outputs, targets, labels)
    assert test.metrics["accuracy"] == test.metrics["majority_class_accuracy"]
    trivial = always_alike(task, targets, test, labels, counted="rows")
    found = verdict(task, judged("", task, test, labels), [trivial], counted="rows")
    assert found.learnt
    assert found.sentence.endswith("; it answers all test rows alike")


@pytest.mark.parametrize(
    ("task", "targets", "labels", "words"),
    [
        (Classification(), [0, 1, 1], ["no", "yes"], "always answering 'yes'"),
        (MultiLabel(), [[1, 0], [0, 0], [1, 1]], ["a", "b"], "always the more frequent answer about each label"),
        (Regression(), [1.0, 2.0, 6.0], [], "always answering the mean"),
    ],
)
def test_a_model_that_does_not_look_is_as_good_as_chance(
    task: Task, targets: list[Any], labels: list[str], words: str
) -> None:
    test = evaluation(task, np.zeros((3, max(1, len(labels)))), targets, labels)
    trivial = always_alike(task, np.array(targets), test, labels, counted="rows")
    assert trivial.name == words
    value = trivial.evaluation.metrics[task.score[0]]
    assert value == pytest.approx(0.0 if isinstance(task, Regression) else 0.5)


# Rare classes


@pytest.fixture
def rare(tmp_path: Path) -> TableConfig:
    """A table in which 5 of 100 rows are bad, and what tells them is noisy."""
    stream = np.random.default_rng(3)
    path = tmp_path / "credit.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["debt", "age", "status"])
        for index in range(900):
            bad = index % 20 == 0
            writer.writerow([f"{stream.normal() + 1.3 * bad:.4f}", f"{stream.normal():.4f}", "bad" if bad else "good"])
    return TableConfig(
        data=TableDataConfig(table=str(path), label_column="status"),
        model=TableModelConfig(width=16, blocks=1, members=2),
        training=TableTrainingConfig(epochs=6, batch_size=64, learning_rate=5e-3),
    )


def answers(run: Path) -> np.ndarray[Any, Any]:
    held_out = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    numbers = np.array([[line["row"]["debt"], line["row"]["age"]] for line in held_out], dtype=np.float32)
    model = load_network(run / "model")
    outputs = predict_table(model, TableRows(numbers, np.empty((len(numbers), 0), np.int64)))
    np.testing.assert_allclose(outputs, [line["outputs"] for line in held_out], atol=1e-4)
    return outputs


def test_a_class_of_one_row_in_twenty_is_answered_too(rare: TableConfig, tmp_path: Path) -> None:
    shifted = train(replace(rare, output=replace(rare.output, directory=str(tmp_path / "auto"))))
    plain = train(
        replace(
            rare,
            training=replace(rare.training, rare_classes="plain"),
            output=replace(rare.output, directory=str(tmp_path / "plain")),
        )
    )
    before, after = (json.loads((run / "metrics.json").read_text()) for run in (plain, shifted))
    assert before["test"]["per_class"]["bad"]["recall"] < 0.1
    assert after["test"]["per_class"]["bad"]["recall"] > 0.3
    assert after["test"]["f1_macro"] > before["test"]["f1_macro"]
    assert after["test"]["auroc"] == pytest.approx(before["test"]["auroc"])  # the order of the rows is the same
    offsets = record(shifted).logit_offsets
    assert not record(plain).logit_offsets
    assert offsets[0] > offsets[1]  # bad, good
    # They are in the model that is saved, and so in all that is made of it.
    np.testing.assert_allclose(answers(shifted) - answers(plain), np.tile(offsets, (len(answers(plain)), 1)), atol=1e-4)


def test_offsets_come_only_where_they_help() -> None:
    task, labels = Classification(), ["bad", "good"]
    stream = np.random.default_rng(0)
    train_targets = (np.arange(400) % 10 > 0).astype(int)
    targets = train_targets[:200]
    noise = evaluation(task, stream.normal(size=(200, 2)), targets, labels)
    assert decision_offsets(task, noise, train_targets, labels) is None
    told = np.stack([np.zeros(200), 4.0 * targets - 2 + stream.normal(size=200)], axis=1)
    assert decision_offsets(task, evaluation(task, told, targets, labels), train_targets, labels) is None  # good as is
    shy = evaluation(task, told + np.array([0, 4.0]), targets, labels)
    offsets = decision_offsets(task, shy, train_targets, labels)
    assert offsets is not None
    assert offsets[0] == 0 > offsets[1]
    balanced = (np.arange(400) % 2).astype(int)
    assert decision_offsets(task, shy, balanced, labels) is None


def test_offsets_go_into_the_last_layer_that_has_a_bias_for_each_output() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, bias=False))
    before = network[1].bias.detach().clone()
    assert fold_offsets(network, np.array([-1.0, 0.5])) is network[1]
    np.testing.assert_allclose((network[1].bias - before).detach(), [-1.0, 0.5], rtol=1e-6)
    assert fold_offsets(network, np.zeros(3)) is None


# Few rows


def test_small_splits_are_named_with_the_remedy(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str], text_config: Config
) -> None:
    rows = "".join(f"text{index} {label},{label}\n" for label in ("good", "bad") for index in range(15))
    (tmp_path / "few.csv").write_text(f"text,label\n{rows}")
    data = replace(text_config.data, train=str(tmp_path / "few.csv"), validation_fraction=0.1, test_fraction=0.15)
    run = train(replace(to_folder(text_config, "few"), data=data))
    sentence = (
        "there are only 2 validation texts and 4 test texts: a share that is measured on 2 may be off by 0.69; add "
        "texts, or give larger parts with data.validation_fraction and data.test_fraction"
    )
    assert f"note: {sentence}" in capsys.readouterr().err
    assert sentence in json.loads((run / "data.json").read_text())["warnings"]
    assert sentence in (run / "report.html").read_text()

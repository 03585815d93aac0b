"""Runs of every kind with a temperature, thresholds and weighed groups; what export makes of one."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import json_format

from explicate.errors import UsageError
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.bundle import verify_bundle
from explicate_bundle.objective import OBJECTIVES
from explicate_export.export import ExportOptions, export_run
from explicate_training.calibration.answer_options import CalibrationOptions, ThresholdOptions
from explicate_training.config.config_file import example_config, format_config, load_config, parse_config
from explicate_training.fairness.group_options import FairnessOptions
from explicate_training.train import prepare_data, train
from support.training_runs import to_folder


def read(run: Path) -> tuple[TrainingRun, dict[str, Any], list[dict[str, Any]]]:
    rows = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    record = json_format.Parse((run / "run.json").read_text(), TrainingRun())
    return record, json.loads((run / "metrics.json").read_text()), rows


@pytest.fixture
def config(request: pytest.FixtureRequest, kind: str) -> Any:
    return request.getfixturevalue(f"{kind}_config")


@pytest.mark.parametrize(
    ("kind", "goal"),
    [
        ("text", {"recall_at_least": {"bad": 0.7}}),
        ("table", {"costs": {"no": {"yes": 5.0}, "yes": {"no": 1.0}}}),
        ("image", {"recall_at_least": {"circle": 0.5}, "confidence": 0.5}),
    ],
)
def test_a_temperature_and_a_threshold_are_what_the_run_answers_by(config: Any, goal: dict[str, Any]) -> None:
    plain = train(to_folder(config, "plain"))
    wanted = replace(
        to_folder(config, "adjusted"), calibration=CalibrationOptions(True), thresholds=ThresholdOptions(**goal)
    )
    adjusted = train(wanted)
    before, _, rows = read(plain)
    after, metrics, divided = read(adjusted)
    assert not before.HasField("temperature")
    assert not before.HasField("decision")
    outputs = np.array([row["outputs"] for row in divided])
    if not before.logit_offsets:  # nor is there a temperature beside them
        np.testing.assert_allclose(outputs * after.temperature, [row["outputs"] for row in rows], atol=1e-4)
    (threshold,) = after.decision.thresholds
    objective = OBJECTIVES["classification"].deciding(after.decision, after.labels)
    assert objective.decisions is not None
    decided = [after.labels[index] for index in objective.decisions(objective.scores(outputs))]
    right = np.array([row["label"] == label for row, label in zip(divided, decided, strict=True)])
    assert metrics["test"]["accuracy"] == pytest.approx(right.mean())
    (told,) = metrics["thresholds"]["chosen"]
    assert (told["label"], told["threshold"]) == (threshold.label, threshold.threshold)
    assert metrics["calibration"]["temperature"] == after.temperature
    page = (adjusted / "report.html").read_text()
    assert "Thresholds that were chosen" in page
    assert "Reliability diagram before and after" in page
    kept = load_config(str(adjusted / "config.toml"))
    assert (kept.calibration, kept.thresholds) == (wanted.calibration, wanted.thresholds)


@pytest.mark.parametrize("kind", ["table"])
def test_an_additive_bundle_with_a_temperature_still_adds_up(config: Any, tmp_path: Path) -> None:
    text = format_config(config) + (
        '\n[interpretability]\nmasked_fraction = 0\nadditivity = 0\nform = "additive"\nform_epochs = 6\n'
        "[calibration]\ntemperature = true\n"
        '[thresholds]\nf1 = ["no"]\n'
        '[fairness]\nover = "city"\nmethod = "reweighing"\n'
    )
    run = train(to_folder(parse_config(text), "additive"))
    record, metrics, _ = read(run)
    said: list[str] = []
    folder = export_run(run, tmp_path / "repository", ExportOptions("customers"), say=said.append)
    assert any("sum to the outputs" in line for line in said)  # which export checks on the graph
    manifest = verify_bundle(folder, model="customers", version=1).manifest
    assert manifest.temperature == record.temperature == metrics["calibration"]["temperature"]
    assert manifest.decision == record.decision
    card = (folder / "MODEL_CARD.md").read_text()
    assert "temperature" in card
    assert "is answered from a probability of" in card
    weights = {(one.group, one.label): (one.rows, one.weight) for one in record.fairness.weights}
    rows = sum(count for count, _ in weights.values())
    assert sum(count * weight for count, weight in weights.values()) == pytest.approx(rows)
    assert "How groups were weighed" in (run / "report.html").read_text()


def with_side(source: Path, target: Path) -> Path:
    """A CSV file with a column more, which the model does not read."""
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "region"])
        writer.writeheader()
        writer.writerows({**row, "region": ("north", "south")[number % 3 == 0]} for number, row in enumerate(rows))
    return target


@pytest.mark.parametrize("kind", ["text"])
def test_texts_are_weighed_by_a_column_that_the_model_never_sees(config: Any, tmp_path: Path) -> None:
    data = replace(config.data, train=str(with_side(Path(config.data.train), tmp_path / "sided.csv")))
    config = replace(config, data=data, fairness=FairnessOptions("region", "group_weights"))
    config = replace(config, training=replace(config.training, epochs=1))
    record, _, rows = read(train(config))
    weights = {one.group: one.weight for one in record.fairness.weights}
    assert set(weights) == {"north", "south"}
    assert weights["south"] > 1 > weights["north"]  # a third of the rows
    assert {row["region"] for row in rows} == {"north", "south"}


@pytest.mark.parametrize(
    ("kind", "sections", "otherwise"),
    [
        ("table", {"fairness": FairnessOptions("planet")}, "there is no column 'planet' with categories"),
        ("table", {"fairness": FairnessOptions("price")}, "'price' holds a number, which makes no groups"),
        ("text", {"fairness": FairnessOptions("planet")}, "set fairness.over to one of"),
        ("image", {"fairness": FairnessOptions("planet")}, "fairness.over"),
        ("table", {"thresholds": ThresholdOptions(f1=("perhaps",))}, "thresholds names 'perhaps'"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_training(
    config: Any, sections: dict[str, Any], otherwise: str
) -> None:
    with pytest.raises(UsageError, match=otherwise):
        prepare_data(replace(config, **sections), lambda _: None)


@pytest.mark.parametrize("kind", ["table"])
def test_a_regression_has_no_probabilities_to_calibrate(config: Any) -> None:
    data = replace(config.data, label_column="spend", columns={})
    with pytest.raises(UsageError, match=r"calibration\.temperature is of probabilities, and this is a regression"):
        prepare_data(replace(config, data=data, calibration=CalibrationOptions(True)), lambda _: None)


def test_sections_that_change_nothing_are_not_written_and_the_example_has_them() -> None:
    config = parse_config('[data]\ntable = "a.csv"\n[calibration]\ntemperature = false\n')
    assert "[calibration]" not in format_config(config)
    for section in ("[calibration]", "[thresholds]", "[fairness]", "[thresholds.costs]"):
        assert section in example_config("table")
    costs = '[data]\ntable = "a.csv"\n[thresholds.costs]\nbad = { good = 5 }\ngood = { bad = 1 }\n'
    again = parse_config(format_config(parse_config(costs)))
    assert again.thresholds.costs == {"bad": {"good": 5.0}, "good": {"bad": 1.0}}
    with pytest.raises(UsageError, match=r"thresholds\.costs\.bad must be a section"):
        parse_config('[data]\ntable = "a.csv"\n[thresholds.costs]\nbad = 5\n')


def test_a_weight_reaches_the_loss_of_a_step(table_config: Any) -> None:
    """A group that weighs nothing but a little is learnt less: weights of all the same change nothing."""
    alike = train(to_folder(replace(table_config, fairness=FairnessOptions("adult", "group_weights")), "weighed"))
    plain = train(to_folder(table_config, "plain"))
    weighed, unweighed = (read(run)[2] for run in (alike, plain))
    assert not torch.allclose(*(torch.tensor([row["outputs"] for row in rows]) for rows in (weighed, unweighed)))

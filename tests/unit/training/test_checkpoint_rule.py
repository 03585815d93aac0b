"""Which checkpoint is kept, and when training stops, where one class is much more frequent than the others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from explicate_training.loop.checkpoints import CheckpointRule, Patience, checkpoint_rule
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.multi_label import MultiLabel
from explicate_training.tasks.registry import task_named
from explicate_training.tasks.regression import Regression
from explicate_training.text.config import TrainingConfig
from explicate_training.train import train
from support.imbalanced_texts import imbalanced_config

PATIENCE = 3


def look(f1_macro: float, loss: float, *, one_answer: bool = False) -> dict[str, float]:
    return {"eval_f1_macro": f1_macro, "eval_loss": loss, "eval_one_answer": float(one_answer)}


@pytest.mark.parametrize(("seed", "metric"), [(0, "auto"), (1, "auto"), (2, "auto"), (0, "f1_macro")])
def test_the_majority_answer_is_not_kept_where_a_later_model_ranks_better(
    tmp_path: Path, seed: int, metric: str
) -> None:
    config = imbalanced_config(
        tmp_path, seed=seed, learning_rate=3e-3, epochs=10, early_stopping_patience=PATIENCE, best_metric=metric
    )
    metrics = json.loads((train(config) / "metrics.json").read_text())
    looks = [entry for entry in metrics["history"] if "validation_loss" in entry]
    flat = [entry for entry in looks if entry["validation_one_answer"]]
    # What went wrong: the metric stands still for longer than the patience, at the value of the majority answer.
    assert [entry["validation_f1_macro"] for entry in looks[: PATIENCE + 1]] == [looks[0]["validation_f1_macro"]] * 4
    assert looks[0] in flat
    assert len(looks) > len(flat) > PATIENCE
    (kept,) = [entry for entry in looks if entry["step"] == metrics["best_step"]]
    better = [
        entry
        for entry in looks
        if entry["validation_loss"] < kept["validation_loss"] and entry["validation_auroc"] > kept["validation_auroc"]
    ]
    assert kept not in flat or not better
    assert kept["validation_auroc"] > max(entry["validation_auroc"] for entry in looks[: PATIENCE + 1])
    assert metrics["test"]["intervals"]["auroc"][0] > 0.5


def test_of_equal_looks_the_one_with_the_lower_loss_is_kept() -> None:
    rule = CheckpointRule("f1_macro", smaller_is_better=False, of_decisions=True)
    first, lower, higher = look(0.5, 1.0), look(0.5, 0.9), look(0.5, 0.95)
    assert rule.newest_is_best([first])
    assert rule.newest_is_best([first, lower])
    assert not rule.newest_is_best([first, lower, higher])
    assert not rule.newest_is_best([first, first])


def test_one_answer_to_all_rows_comes_after_every_other_look() -> None:
    rule = CheckpointRule("f1_macro", smaller_is_better=False, of_decisions=True)
    assert rule.newest_is_best([look(0.4, 0.7, one_answer=True), look(0.3, 0.8)])
    assert not rule.newest_is_best([look(0.3, 0.8), look(0.4, 0.7, one_answer=True)])
    assert rule.newest_is_best([look(0.4, 0.9, one_answer=True), look(0.4, 0.8, one_answer=True)])


def test_a_loss_that_is_not_a_number_is_the_worst() -> None:
    rule = CheckpointRule("loss", smaller_is_better=True, of_decisions=False)
    assert not rule.newest_is_best([look(0.5, 1.0), look(0.5, float("nan"))])
    assert rule.newest_is_best([look(0.5, float("nan")), look(0.5, 1.0)])


@pytest.mark.parametrize(
    ("name", "imbalanced", "wanted", "metric"),
    [
        ("classification", False, "auto", "f1_macro"),
        ("classification", True, "auto", "auroc"),
        ("classification", True, "accuracy", "accuracy"),
        ("multi-label", True, "auto", "auroc"),
        ("regression", True, "auto", "mae"),
    ],
)
def test_auto_is_how_rows_are_ranked_where_classes_are_imbalanced(
    name: str, imbalanced: bool, wanted: str, metric: str
) -> None:
    rule = checkpoint_rule(task_named(name), TrainingConfig(best_metric=wanted), imbalanced=imbalanced)
    assert rule.metric == metric
    assert rule.smaller_is_better == (metric == "mae")


def test_patience_waits_while_one_class_alone_is_answered(tmp_path: Path) -> None:
    patience = Patience(2)
    args = TrainingArguments(
        output_dir=str(tmp_path),
        metric_for_best_model="eval_f1_macro",
        greater_is_better=True,
        load_best_model_at_end=True,
        eval_strategy="steps",
        eval_steps=1,
        save_steps=1,
    )
    state, control = TrainerState(best_metric=0.4), TrainerControl()

    def see(metrics: dict[str, float]) -> bool:
        patience.on_evaluate(args, state, control, metrics)
        return control.should_training_stop

    assert not any(see(look(0.4, 1.0 - step / 10, one_answer=True)) for step in range(6))
    assert not see(look(0.35, 0.3))
    assert see(look(0.35, 0.3))


@pytest.mark.parametrize(
    ("task", "targets", "imbalanced"),
    [
        (Classification(), [0] * 9 + [1] * 10, False),
        (Classification(), [0] * 5 + [1] * 10, True),
        (MultiLabel(), [[0, 1]] * 10 + [[1, 0]] * 10, False),
        (MultiLabel(), [[0, 1]] * 17 + [[1, 0]] * 3, True),
        (Regression(), [1.0, 2.0], False),
    ],
)
def test_classes_are_imbalanced_from_twice_as_frequent_on(task: Any, targets: list[Any], imbalanced: bool) -> None:
    assert task.imbalanced(np.array(targets), 2) == imbalanced

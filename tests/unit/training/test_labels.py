"""What rows are labelled with: reading it, targets, strata, losses and metrics of several labels."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from explicate.errors import ExplicateError, UsageError
from explicate_bundle.columns import TableRows
from explicate_training.data.splits import split_data, stratified_places
from explicate_training.table.encoding import ColumnSchema
from explicate_training.table.report import leakage_suspects
from explicate_training.tasks.registry import registered, task_named
from explicate_training.tasks.task import LabelRules
from explicate_training.text.cleaning import clean_texts
from explicate_training.text.config import Config, DataConfig, TrainingConfig
from explicate_training.text.data import RawRow, read_rows

CLASSES, LABELS, NUMBERS = map(task_named, ("classification", "multi-label", "regression"))
SEVERAL = DataConfig(train="x.csv", task="multi-label")


def read(cells: list[Any], options: DataConfig = SEVERAL) -> list[Any]:
    return task_named(options.task).read_labels({"label": cells}, options, origin="x.csv, train")


def test_several_labels_come_as_lists_or_in_one_cell() -> None:
    cells = [["b", "a", "b"], "b, a ,", "a", [], None, 3, ("x",), np.array(["a"])]
    assert read(cells) == [("a", "b"), ("a", "b"), ("a",), (), None, ("3",), ("x",), ("a",)]
    assert read(["a;b", "a,b"], replace(SEVERAL, label_separator=";")) == [("a", "b"), ("a,b",)]
    assert read(["a,b"], replace(SEVERAL, label_separator="")) == [("a,b",)]
    assert read([" , ", ","]) == [None, None]  # as an empty cell
    assert read([" , "], replace(SEVERAL, empty_label="none")) == [()]


def test_an_empty_cell_means_no_label_when_that_is_said() -> None:
    assert read([None, "", math.nan], replace(SEVERAL, empty_label="none")) == [(), (), ()]
    assert read([None, "", math.nan]) == [None, None, None]


def test_columns_of_zeros_and_ones_are_labels() -> None:
    options = replace(SEVERAL, label_columns="late, rude")
    values = {"late": [1, "0", "yes", True, None], "rude": [0, "1", "no", 1.0, 1]}
    labels = LABELS.read_labels(values, options, origin="x.csv")
    assert labels == [("late",), ("rude",), ("late",), ("late", "rude"), None]
    with pytest.raises(UsageError, match=r"x\.csv row 2: the column 'rude' holds '7', not 0 or 1"):
        LABELS.read_labels({"late": [0, 0], "rude": [0, 7]}, options, origin="x.csv")


def test_numbers_are_read_and_words_among_them_named() -> None:
    options = replace(SEVERAL, task="regression")
    assert read([1, "2.5", None, math.inf, "1e3"], options) == [1.0, 2.5, None, None, 1000.0]
    with pytest.raises(UsageError, match=r"train row 2: 'many' is no number, and the task is a regression"):
        read([1, "many"], options)
    with pytest.raises(UsageError, match="row 1: dict is no label"):
        read([[{}]])


def test_targets_follow_the_names() -> None:
    names = LABELS.names([("b", "a"), (), ("c",)])
    assert names == ["a", "b", "c"]
    targets = LABELS.targets([("a", "b"), (), ("c",)], names)
    np.testing.assert_array_equal(targets, [[1, 1, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(NUMBERS.targets([1.5, 2.0], []), [1.5, 2.0])
    scale = NUMBERS.scale(np.array([1.0, 3.0]))
    assert (scale.mean, scale.spread) == (2.0, 1.0)
    np.testing.assert_array_equal(scale.value(scale.standard(np.array([5.0, -1.0]))), [5.0, -1.0])


def test_a_row_of_several_labels_counts_as_its_rarest_one() -> None:
    labels: list[Any] = [("a", "b")] * 3 + [("a",)] * 5 + [("b", "c")] + [()] * 2
    assert LABELS.strata(labels) == ["b"] * 3 + ["a"] * 5 + ["c"] + [""] * 2


def test_rare_labels_come_into_every_part() -> None:
    labels = [("common",)] * 300 + [("common", "rare")] * 20 + [()] * 40
    taken = [labels[place] for place in stratified_places(LABELS.strata(labels), 0.15, seed=3)]
    assert sum("rare" in label for label in taken) == 3  # .15 of 20
    assert sum(label == () for label in taken) == 6


def test_tenths_of_the_values_come_into_every_part() -> None:
    taken = stratified_places(NUMBERS.strata([float(number) for number in range(200)]), 0.1, seed=3)
    assert np.bincount([number // 20 for number in taken]).tolist() == [2] * 10


def test_labels_that_cannot_be_learnt_are_named() -> None:
    train: list[Any] = [("a",)] * 12 + [("a", "b")] * 4
    with pytest.raises(UsageError, match=r"too few texts without the label 'a' after cleaning \(0\)"):
        LABELS.check_labels({"train": train, "validation": [], "test": []}, LabelRules("texts", 10))
    with pytest.raises(UsageError, match=r"too few rows with the label 'b' after cleaning \(4\)"):
        LABELS.check_labels({"train": [*train, *[()] * 20], "validation": [], "test": []}, LabelRules("rows", 10))
    with pytest.raises(UsageError, match="the test set has labels that the training data lacks: c"):
        LABELS.check_labels({"train": [*train, ()], "validation": [], "test": [("c",)]}, LabelRules("rows", 1))
    with pytest.raises(UsageError, match="no row of the training texts has a label"):
        LABELS.check_labels({"train": [()], "validation": [], "test": []}, LabelRules("texts", 1))
    with pytest.raises(UsageError, match="is 3 in every row"):
        NUMBERS.check_labels({"train": [3.0] * 12}, LabelRules("texts", 10))
    with pytest.raises(UsageError, match="has 2 texts after cleaning, and a regression needs ten"):
        NUMBERS.check_labels({"train": [3.0, 4.0]}, LabelRules("texts", 10))


def test_the_loss_of_several_labels_is_binary_cross_entropy_by_its_formula() -> None:
    stream = np.random.default_rng(0)
    targets = (stream.random((8, 3)) < [0.2, 0.5, 0.8]).astype(np.int64)
    targets[0], targets[1] = 1, 0
    logits = stream.normal(size=(8, 2, 3))  # [rows, members, labels]
    probability = 1 / (1 + np.exp(-logits))
    wanted = targets[:, None, :] * 0.9 + 0.05
    weight = (len(targets) - targets.sum(axis=0)) / targets.sum(axis=0)
    expected = -(weight * wanted * np.log(probability) + (1 - wanted) * np.log(1 - probability)).mean()
    loss = LABELS.loss(targets, 3, TrainingConfig(class_weights="balanced", label_smoothing=0.1))
    computed = loss({"logits": torch.from_numpy(logits)}, torch.from_numpy(targets)).item()
    assert computed == pytest.approx(expected, rel=1e-5)


def test_metrics_of_several_labels_are_scikit_learns_and_those_of_their_formulas() -> None:
    stream = np.random.default_rng(1)
    targets = (stream.random((60, 3)) < 0.4).astype(np.int64)
    logits = stream.normal(size=(60, 3)) + targets
    found = LABELS.metrics(logits, targets, ["a", "b", "c"], counted="texts")
    predicted = (logits >= 0).astype(int)
    assert found["texts"] == 60
    assert found["f1_micro"] == pytest.approx(f1_score(targets, predicted, average="micro"))
    assert found["f1_macro"] == pytest.approx(f1_score(targets, predicted, average="macro"))
    assert found["subset_accuracy"] == np.mean(
        [(row == true).all() for row, true in zip(predicted, targets, strict=True)]
    )
    assert found["hamming_loss"] == pytest.approx((predicted != targets).sum() / 180)
    assert found["auroc"] == pytest.approx(np.mean([roc_auc_score(targets[:, k], logits[:, k]) for k in range(3)]))
    assert found["per_class"]["b"]["average_precision"] == pytest.approx(
        average_precision_score(targets[:, 1], logits[:, 1])
    )
    probability = 1 / (1 + np.exp(-logits))
    assert found["log_loss"] == pytest.approx(-np.log(np.where(targets == 1, probability, 1 - probability)).mean())


def test_what_is_undefined_of_a_label_that_no_row_has_is_none_and_left_out_of_the_means() -> None:
    targets = np.array([[1, 0], [0, 0], [1, 0]])
    found = LABELS.metrics(np.array([[2.0, -1], [-1, -1], [1, 1]]), targets, ["a", "b"], counted="rows")
    assert found["per_class"]["b"]["auroc"] is None
    assert found["auroc"] == found["per_class"]["a"]["auroc"] == 1.0
    json.dumps(found, allow_nan=False)


def test_a_column_that_tells_one_label_of_several_is_suspected() -> None:
    stream = np.random.default_rng(2)
    targets = (stream.random((400, 3)) < 0.3).astype(np.int64)
    numbers = np.stack([stream.normal(size=400), targets[:, 2] + stream.normal(size=400) * 0.01], axis=1)
    schema = [ColumnSchema(name, "number", (), "", False) for name in ("noise", "telling")]
    encoded = TableRows(numbers.astype(np.float32), np.empty((400, 0), dtype=np.int64))
    (suspect,) = leakage_suspects(encoded, targets, schema, LABELS, threshold=0.98)
    assert (suspect.column, suspect.metric) == ("telling", "AUROC")


PAIRS = replace(DataConfig(train="x.csv"), text_pair_column="answer", minimum_class_count=3)


def test_a_pair_is_a_duplicate_only_when_both_texts_are() -> None:
    question = "which of the many teas that you sell here is the best one for a cold winter morning with snow"
    answers = [f"number {number} is the one that I would take myself" for number in range(12)]
    rows = [RawRow("train", question, "yes" if n % 2 else "no", answer) for n, answer in enumerate(answers)]
    rows += [RawRow("train", question.upper() + "!", "no", answers[0])]  # folded the same
    rows += [RawRow("train", answers[1], "yes", question)]  # turned around: another pair
    rows += [RawRow("train", question, "yes", None), RawRow("train", question, "yes", " ")]
    found = clean_texts(rows, PAIRS)
    assert len(found.texts) == 13
    assert found.report.dropped == {
        "missing text or label": 1,
        "blank text": 1,
        "same but for case, punctuation or spaces": 1,
    }


def test_a_pair_with_two_labels_goes_and_the_same_first_text_with_another_second_stays() -> None:
    rows = [RawRow("train", "tea", label, f"answer {n}") for n in range(4) for label in ("yes",)]
    rows += [RawRow("train", "box", "no", f"answer {n}") for n in range(4)]
    rows += [RawRow("train", "cup", "no", "same"), RawRow("train", "cup", "yes", "same")]
    found = clean_texts(rows, PAIRS)
    assert len(found.texts) == 8
    assert found.report.dropped == {"same text, two labels": 2}


def test_pairs_of_a_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("text,answer,label\ntea,good,1.5\nbox,bad,2\n", encoding="utf-8")
    config = replace(PAIRS, train=str(path), task="regression")
    assert read_rows(config) == [RawRow("train", "tea", 1.5, "good"), RawRow("train", "box", 2.0, "bad")]
    with pytest.raises(UsageError, match=r"has no column 'other': set data\.text_pair_column"):
        read_rows(replace(config, text_pair_column="other"))


def test_a_label_whose_rows_all_went_into_one_part_is_named() -> None:
    parts: dict[str, list[Any]] = {"train": [("a",), ()], "validation": [("a",)], "test": [("a", "b")]}
    with pytest.raises(UsageError, match=r"none of the training rows have the label 'b' after splitting"):
        LABELS.check_split(parts, counted="rows")
    parts["train"] = [("a", "b"), ("a",)]
    with pytest.raises(UsageError, match=r"all of the training rows have the label 'a' after splitting"):
        LABELS.check_split(parts, counted="rows")


def test_a_column_of_a_label_that_no_row_has_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flags.csv"
    lines = [f"text number {n} of {n * 7},{n % 2},0" for n in range(40)]
    path.write_text("\n".join(["text,late,rude", *lines]), encoding="utf-8")
    config = replace(SEVERAL, train=str(path), label_columns="late, rude", near_duplicate_threshold=1.0)
    with pytest.raises(UsageError, match=r"too few texts with the label 'rude' after cleaning \(0\)"):
        clean_texts(read_rows(config), config)


@pytest.mark.parametrize("count", [10, 12, 19, 30, 100])
def test_few_numbers_are_split_in_the_wanted_shares(count: int) -> None:
    rows = [RawRow("train", f"text number {n} of {n * 7}", float(n)) for n in range(count)]
    config = DataConfig(train="x.csv", task="regression", near_duplicate_threshold=1.0)
    splits = split_data(clean_texts(rows, config).texts, NUMBERS, config, seed=0)
    assert len(splits.test) == pytest.approx(0.15 * count, abs=3)  # half a row of each of five strata is rounded
    assert 1 <= len(splits.validation) <= 0.15 * count


@pytest.mark.parametrize(
    ("data", "training", "sentence"),
    [
        (
            {"label_columns": "a,b"},
            {},
            r'data\.label_columns is of several labels only: set data\.task = "multi-label"',
        ),
        ({"empty_label": "none"}, {}, r"data\.empty_label is of several labels only"),
        ({"task": "multi-label", "label_columns": "a, a"}, {}, r"data\.label_columns names a column twice"),
        (
            {"task": "multi-label", "label_columns": "a, text"},
            {},
            r"text_column and data\.label_columns \(text\) are both",
        ),
        (
            {"task": "regression"},
            {"label_smoothing": 0.1},
            r"training\.label_smoothing is 0\.1, but this is a regression",
        ),
        ({"text_pair_column": "text"}, {}, r"data\.text_column and data\.text_pair_column are both 'text'"),
        ({"task": "regression"}, {"best_metric": "f1_macro"}, r"training\.best_metric is f1_macro, .* use loss, r2"),
        ({"task": "multi-label"}, {"loss": "mse"}, r"training\.loss is mse, .* use binary-cross-entropy"),
        ({"task": "regression"}, {"class_weights": "balanced"}, r"training\.class_weights is balanced"),
        ({"task": "ranking"}, {}, r"data\.task must be one of"),
    ],
)
def test_options_that_do_not_go_together_are_named(
    data: dict[str, Any], training: dict[str, Any], sentence: str
) -> None:
    config = Config(data=DataConfig(**{"train": "x.csv", **data}), training=TrainingConfig(**training))
    with pytest.raises(UsageError, match=sentence):
        config.check()


@pytest.mark.parametrize("name", registered("names"))
@pytest.mark.parametrize("answer", [np.nan, np.inf])
def test_answers_that_are_not_finite_mean_that_training_diverged(name: str, answer: float) -> None:
    outputs = np.array([[0.5, 0.5], [answer, 1.0]])
    targets = np.array([[0, 1], [1, 0]]) if name == "multi-label" else np.array([0, 1])
    with pytest.raises(ExplicateError, match=r"the training diverged .* lower training\.learning_rate"):
        task_named(name).evaluate(outputs, targets, ["a", "b"], counted="rows")

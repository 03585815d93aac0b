"""Each metric of models of which the right value is known by construction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy.stats import spearmanr

from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.evaluation import Evaluation, MetricResult, chosen_metrics, evaluate, plan
from explicate_standards.held_out_rows import read_rows
from explicate_standards.metrics import comprehensiveness, contradictions, masked_accuracy, randomisation
from explicate_standards.metrics.effective_players import effective_number
from explicate_standards.metrics.plausibility import average_precision
from explicate_standards.subject import Subject
from support.measured_models import (
    LABELS,
    both,
    constant,
    linear,
    publish_table,
    publish_texts,
    table_line,
    write_rows,
)

COLUMNS = 6
WEIGHTS = (8.0, -5.0, 3.0, 2.0, -1.0, 0.5)
ONES = [1.0] * COLUMNS


def measured(
    folder: Path, lines: Sequence[Mapping[str, Any]], tmp_path: Path, *names: str
) -> tuple[EvaluatedModel, Evaluation]:
    model = open_published(folder)
    rows = read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=len(lines))
    planned = plan(model, rows, chosen_metrics(names or None))
    return model, evaluate(model, rows, planned, folder=tmp_path / "partial")


def result(evaluation: Evaluation, name: str) -> MetricResult:
    (found,) = (each for each in evaluation.results if each.metric.id == name)
    return found


def value(evaluation: Evaluation, name: str, statistic: str = "") -> float:
    return result(evaluation, name).figures[statistic].value


def random_lines(count: int, columns: int = COLUMNS, *, seed: int = 0) -> list[dict[str, Any]]:
    stream = np.random.Generator(np.random.Philox(seed))
    return [table_line(row) for row in (stream.uniform(0.5, 1.5, (count, columns))).round(3).tolist()]


@pytest.fixture
def additive(tmp_path: Path) -> Evaluation:
    folder = publish_table(tmp_path / "repository", linear(WEIGHTS), COLUMNS, spread=True)
    return measured(folder, random_lines(8), tmp_path)[1]


def test_an_additive_model_is_all_said_by_its_attributions(additive: Evaluation) -> None:
    figures = result(additive, "additive_r2").figures
    assert all(figure.value == pytest.approx(1, abs=1e-9) for figure in figures.values())


def test_an_additive_model_is_explained_with_the_fewest_rows_that_are_allowed(additive: Evaluation) -> None:
    """2 a player are as many pairs as unknowns, which leave no error to measure; the next round has √2 times more."""
    figures = result(additive, "evaluations_per_player").figures
    assert figures["median"].value == figures["p90"].value == pytest.approx(16 / 6)  # √2 · 12, in whole pairs
    assert figures["at_cap"].value == 0


def test_of_an_additive_model_no_order_of_removal_beats_the_explanations(additive: Evaluation) -> None:
    assert value(additive, "normalised_faithfulness") == pytest.approx(1)
    assert value(additive, "normalised_faithfulness", "sufficiency") == pytest.approx(0)


def test_lime_and_kernel_shap_order_the_parts_of_an_additive_model_alike(tmp_path: Path) -> None:
    """lime's ridge draws effects together: they are well apart here."""
    folder = publish_table(tmp_path / "repository", linear([32, -16, 8, 4, -2, 1]), COLUMNS)
    _, evaluation = measured(folder, [table_line(ONES)], tmp_path, "agreement")
    assert value(evaluation, "agreement") == pytest.approx(1)
    assert value(evaluation, "agreement", "top3") == 1


def test_a_little_noise_leaves_the_order_of_well_parted_effects(tmp_path: Path) -> None:
    """Noise of .02 in columns of spread 1 moves no effect past the next one: weights double from one to the next."""
    folder = publish_table(tmp_path / "repository", linear([1, 2, 4, 8, 16, 32]), COLUMNS, spread=True)
    _, evaluation = measured(folder, [table_line([1.0 + k / 100] * COLUMNS) for k in range(5)], tmp_path, "stability")
    assert value(evaluation, "stability") == pytest.approx(1)
    assert value(evaluation, "stability", "top1_kept") == 1


def test_two_columns_that_work_together_only_are_not_said_by_a_sum(tmp_path: Path) -> None:
    """v is 1 where both are present, else 0: φ is ½ for both. One of the six named: fall 1; both alone: fall 0."""
    folder = publish_table(tmp_path / "repository", both(0, 1, COLUMNS), COLUMNS)
    _, evaluation = measured(folder, [table_line(ONES)], tmp_path)
    assert value(evaluation, "additive_r2", "median") < 0.9
    assert value(evaluation, "evaluations_per_player", "median") > 2
    assert value(evaluation, "comprehensiveness", "value") == pytest.approx(1)
    # The first 1 of the 6 for 1, 5 and 10 %, then 2 and 3 of them.
    assert value(evaluation, "sufficiency", "value") == pytest.approx(3 / 5)
    assert value(evaluation, "effective_players", "median") == pytest.approx(2, abs=0.01)
    # Removal falls at once at best, and when only the two are left at worst: after 5 and 6 of 6 steps.
    assert value(evaluation, "normalised_faithfulness") == pytest.approx(1)
    assert value(evaluation, "normalised_faithfulness", "sufficiency") == pytest.approx(0)


def test_the_bounds_of_removal_are_those_of_an_enumeration(tmp_path: Path) -> None:
    folder = publish_table(tmp_path / "repository", both(0, 1, COLUMNS), COLUMNS)
    model = open_published(folder)
    (row,) = read_rows(write_rows(tmp_path / "rows.jsonl", [table_line(ONES)]), model, count=1).inputs
    lower, upper = comprehensiveness.bounds(Subject(model, row))
    assert (lower, upper) == (pytest.approx(2 / 6), pytest.approx(1))


def test_a_beam_finds_the_bounds_of_a_longer_additive_input(tmp_path: Path) -> None:
    columns = comprehensiveness.EXACT_PLAYERS + 2
    weights = np.arange(columns) - 3.0
    model = open_published(publish_table(tmp_path / "repository", linear(weights.tolist()), columns))
    (row,) = read_rows(write_rows(tmp_path / "rows.jsonl", [table_line([1.0] * columns)]), model, count=1).inputs
    lower, upper = comprehensiveness.bounds(Subject(model, row))
    best = np.cumsum(np.sort(weights)[::-1]).mean()
    worst = np.cumsum(np.sort(weights)).mean()
    assert (lower, upper) == (pytest.approx(worst), pytest.approx(best))


def test_a_model_that_always_says_the_same_has_nothing_to_explain(tmp_path: Path) -> None:
    folder = publish_table(tmp_path / "repository", constant(0.7, COLUMNS), COLUMNS, labels=LABELS)
    lines = [{**line, "label": LABELS[k % 4 == 0]} for k, line in enumerate(random_lines(20))]
    _, evaluation = measured(folder, lines, tmp_path)
    for name in ("additive_r2", "effective_players", "normalised_faithfulness", "agreement", "stability"):
        assert result(evaluation, name).missing
    assert value(evaluation, "comprehensiveness") == value(evaluation, "sufficiency") == 0
    assert value(evaluation, "evaluations_per_player", "median") == 2
    # It says "yes", which is right for 5 of 20, whatever is removed.
    assert value(evaluation, "masked_accuracy") == value(evaluation, "masked_accuracy", "none_removed") == 0.25


def test_a_model_of_one_leaked_column_is_right_as_long_as_the_column_is_there(tmp_path: Path) -> None:
    """Without the column the score is 0, and "no" is said: right for half. With k of 10 removed it is there in 1 − k/10
    of the draws.
    """
    columns, count = 10, 60
    leak = linear([1.0] + [0.0] * (columns - 1))
    folder = publish_table(tmp_path / "repository", leak, columns, labels=LABELS)
    stream = np.random.Generator(np.random.Philox(5))
    lines = []
    for number in range(count):
        yes = number % 2
        lines.append(table_line([2.0 if yes else -2.0, *stream.normal(size=columns - 1).round(3)], label=LABELS[yes]))
    names = ("masked_accuracy", "effective_players", "comprehensiveness")
    _, evaluation = measured(folder, lines, tmp_path, *names)
    assert value(evaluation, "masked_accuracy", "none_removed") == 1
    draws = count * masked_accuracy.DRAWS
    for ratio in masked_accuracy.RATIOS:
        expected = (1 - ratio) + ratio / 2
        found = value(evaluation, "masked_accuracy", f"removed_{round(100 * ratio)}")
        assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / draws))
    assert value(evaluation, "effective_players", "median") == pytest.approx(1, abs=1e-6)
    # Without the leak the probability falls from 1 / (1 + e^-2) to a half, whatever else goes.
    assert value(evaluation, "comprehensiveness", "value") == pytest.approx(1 / (1 + np.exp(-2)) - 0.5, abs=1e-6)


def test_labels_at_random_are_guessed_as_often_as_chance_has_it(tmp_path: Path) -> None:
    folder = publish_table(tmp_path / "repository", linear(WEIGHTS), COLUMNS, labels=LABELS)
    stream = np.random.Generator(np.random.Philox(6))
    lines = [{**line, "label": LABELS[stream.integers(2)]} for line in random_lines(60, seed=2)]
    _, evaluation = measured(folder, lines, tmp_path, "masked_accuracy")
    figure = result(evaluation, "masked_accuracy").figures[""]
    assert figure.lower < 0.5 < figure.upper


def test_a_regression_has_no_accuracy_and_says_so(additive: Evaluation) -> None:
    assert "regression" in result(additive, "masked_accuracy").missing
    assert result(additive, "masked_accuracy").sentence.startswith("Not measured: ")


def test_the_random_models_explanations_are_those_of_the_weights_that_were_drawn(tmp_path: Path) -> None:
    """φ of a linear model is w · (x − mean of the background), so both correlations follow from the graphs."""
    folder = publish_table(tmp_path / "repository", linear(WEIGHTS), COLUMNS, spread=True)
    lines = random_lines(5)
    _, evaluation = measured(folder, lines, tmp_path, "randomisation")
    graph = onnx.load(folder / "model.onnx")
    randomisation.redraw(graph, ["weights"])
    (drawn,) = (numpy_helper.to_array(one) for one in graph.graph.initializer if one.name == "weights")
    expected = []
    for line in lines:
        x = np.array(list(line["row"].values()))
        expected.append(abs(spearmanr(np.array(WEIGHTS) * x, drawn[:, 0] * x).statistic))
    # The only matrix is the last layer and all weights.
    for statistic in ("last_layer", "all_weights"):
        assert value(evaluation, "randomisation", statistic) == pytest.approx(np.mean(expected))


def test_an_explanation_that_does_not_hang_on_the_weights_is_found_out(tmp_path: Path) -> None:
    """The weights are multiplied by 0, and the columns go through by themselves."""
    from onnx import helper

    nodes, constants = linear([1.0] * COLUMNS)
    nodes = [
        helper.make_node("MatMul", ["numbers", "weights"], ["learnt"]),
        helper.make_node("Mul", ["learnt", "zero"], ["nothing"]),
        helper.make_node("Mul", ["numbers", "numbers"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "axis"], ["plain"], keepdims=1),
        helper.make_node("Add", ["nothing", "plain"], ["score"]),
    ]
    more = {"zero": np.array(0, np.float32), "axis": np.array([1])}
    folder = publish_table(tmp_path / "repository", (nodes, {**constants, **more}), COLUMNS)
    _, evaluation = measured(folder, [table_line([1, 2, 3, 4, 5, 6])], tmp_path, "randomisation")
    assert value(evaluation, "randomisation", "all_weights") == pytest.approx(1)


def test_the_last_layer_is_the_products_nearest_to_the_output_on_each_way_to_it(tmp_path: Path) -> None:
    """tanh(numbers · hidden) · last + bias, beside a straight path of its own; the bias is a matrix and no layer."""
    from onnx import helper

    nodes = [
        helper.make_node("MatMul", ["numbers", "hidden"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["bent"]),
        helper.make_node("Transpose", ["last"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["bent", "turned"], ["through"]),
        helper.make_node("Add", ["through", "bias"], ["moved"]),
        helper.make_node("MatMul", ["numbers", "straight"], ["beside"]),
        helper.make_node("Add", ["moved", "beside"], ["score"]),
    ]
    shapes = {"hidden": (COLUMNS, 3), "last": (1, 3), "bias": (1, 1), "straight": (COLUMNS, 1)}
    stream = np.random.Generator(np.random.Philox(8))
    constants = {name: stream.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    folder = publish_table(tmp_path / "repository", (nodes, constants), COLUMNS)
    graph = onnx.load(folder / "model.onnx")
    assert set(randomisation.last_weights(graph)) == {"last", "straight"}
    assert set(randomisation.all_weights(graph)) == set(shapes)


WORDS = {"good": 1.0, "bad": -2.0, "movie": 0.5, "film": 0.51, "the": 0.0, "was": 0.0, "so": 0.0, "it": 0.0}


def test_rationales_that_are_the_words_that_count_are_found_and_others_are_not(tmp_path: Path) -> None:
    folder = publish_texts(tmp_path / "repository", WORDS)
    text = "the movie was so good"
    lines = [
        {"text": text, "label": "yes", "rationale": ["good", "movie"]},
        {"text": text, "label": "yes", "rationale": [[17, 21], [4, 9]]},
    ]
    _, evaluation = measured(folder, lines, tmp_path, "plausibility")
    assert value(evaluation, "plausibility") == pytest.approx(1)
    # "bad" speaks against the answer "yes": it comes last of five.
    against = [{"text": "good good it was bad", "label": "no", "rationale": ["good"]}]
    _, evaluation = measured(folder, [{**against[0], "label": "yes", "rationale": ["bad"]}], tmp_path, "plausibility")
    assert value(evaluation, "plausibility") == pytest.approx((1 / 5 - 1 / 5) / (1 - 1 / 5))


def test_another_word_for_the_same_leaves_the_explanation(tmp_path: Path) -> None:
    """The only edits that the model sees put "film" for "movie": what counts stays in its order."""
    folder = publish_texts(tmp_path / "repository", WORDS)
    _, evaluation = measured(folder, [{"text": "the movie was so good"}], tmp_path, "stability")
    assert value(evaluation, "stability") > 0.8
    assert value(evaluation, "stability", "top1_kept") == 1


def test_as_many_parts_as_count_alike_are_effective() -> None:
    assert effective_number(np.array([1.0, -1.0, 1.0, 0.0, -1.0])) == pytest.approx(4)
    assert effective_number(np.array([0.0, 3.0])) == pytest.approx(1)
    assert effective_number(np.zeros(3)) is None


def test_average_precision_is_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score

    stream = np.random.Generator(np.random.Philox(4))
    for _ in range(20):
        named: NDArray[np.bool_] = stream.random(12) < 0.4
        named[0] = True
        scores = stream.integers(0, 5, 12).astype(float)  # ties
        assert average_precision(scores, named) == pytest.approx(average_precision_score(named, scores))


def test_steps_against_a_monotone_claim_are_counted(tmp_path: Path) -> None:
    """The score rises with c0 and falls with c1, by as many steps. (A server refuses such a bundle at load.)"""
    model = open_published(publish_table(tmp_path / "repository", linear([1.0, -1.0]), 2, labels=LABELS, spread=True))
    rows = read_rows(write_rows(tmp_path / "rows.jsonl", [table_line([0.0, 0.0])]), model, count=1)
    (subject,) = (Subject(model, row) for row in rows.inputs)
    kept, broken = model.bundle.manifest.tabular.columns
    assert contradictions.METRIC.lacks(model)
    kept.monotone.label = broken.monotone.label = "yes"
    assert not contradictions.METRIC.lacks(model)
    assert contradictions.measure(subject) == {"all": 0.5, "monotone": 0.5}
    broken.monotone.decreasing = True
    assert contradictions.measure(subject) == {"all": 0.0, "monotone": 0.0}


def test_a_forbidden_column_that_is_not_read_contradicts_nothing(tmp_path: Path) -> None:
    folder = publish_table(tmp_path / "repository", linear([1.0]), 1, forbidden=["race"])
    lines = [{"row": {"c0": 1.0, "race": cell}} for cell in ("a", 3, True)]
    _, evaluation = measured(folder, lines, tmp_path, "contradictions")
    figures = result(evaluation, "contradictions").figures
    assert figures["forbidden_columns"].value == figures[""].value == 0
    assert figures["forbidden_columns"].inputs == 3


@pytest.mark.parametrize(("weights", "share"), [((3.0, -3.0), 1.0), ((3.0, 2.9), 0.0)])
def test_swaps_of_forbidden_words_that_flip_the_answer_are_counted(
    tmp_path: Path, weights: tuple[float, float], share: float
) -> None:
    """The score of "he was" is +3: with "she" it is −3 in one model, which flips it, and 2.9 in the other."""
    words = {"he": weights[0], "she": weights[1], "was": 0.0, "so": 0.0}
    folder = publish_texts(tmp_path / "repository", words, forbidden=["he", "she"])
    _, evaluation = measured(folder, [{"text": "he was"}, {"text": "so was so"}], tmp_path, "contradictions")
    figure = result(evaluation, "contradictions").figures["forbidden"]
    assert (figure.value, figure.inputs) == (share, 1)

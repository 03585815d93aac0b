"""Options that are refused by field before any work: targets that are not clear, and more than a fit may cost."""

import re
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.errors import InvalidRequest
from explicate_server.explain import explain_game
from explicate_server.inference.asking.targets import Contrast, Target, target_violations
from explicate_server.inference.explain_options import ExplainOptions, ResolvedOptions, check_options
from explicate_server.registry.records import Choices, Scales
from explicate_server.settings import Settings

NUMBERS = ("1", "2", "10")


def resolved(options: ExplainOptions, *, classes: int, players: int) -> ResolvedOptions:
    labels = tuple(f"class {index}" for index in range(classes))
    choices = Choices(labels, Scales(classes), ("attention", "delete"), ("word",), "text")
    return check_options(options, choices=choices, settings=Settings()).for_players(players)


def refused(options: ExplainOptions, *, classes: int, players: int) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        resolved(options, classes=classes, players=players)
    return [(violation.field, violation.description) for violation in caught.value.violations]


@pytest.mark.parametrize("labels", [NUMBERS, ("1.0", "2.0", "10.0"), ("01", "02", "10"), (" 1", "2e0", "10")])
@pytest.mark.parametrize("index", [1, 2])
def test_an_index_that_is_the_number_of_another_class_is_refused(labels: tuple[str, ...], index: int) -> None:
    (violation,) = target_violations(Target(index=index), labels, regression=False)
    assert violation.field == "options.target.index"
    assert f"is {index}: the index of class {labels[index]!r}, and the name of class" in violation.description
    for label in labels:
        assert not target_violations(Target(label=label), labels, regression=False)


def test_sides_of_a_contrast_are_held_to_the_same() -> None:
    (violation,) = target_violations(Target(contrast=Contrast(2, "1")), NUMBERS, regression=False)
    assert violation.field == "options.target.contrast.target.index"
    (violation,) = target_violations(Target(contrast=Contrast("1", 1)), NUMBERS, regression=False)
    assert violation.field == "options.target.contrast.reference.index"


@pytest.mark.parametrize("labels", [("0", "1", "2"), ("bad", "good", "nan"), ("1_0", "inf", "x"), NUMBERS])
def test_an_index_that_means_one_class_is_taken(labels: tuple[str, ...]) -> None:
    """Labels that count from 0 are their own indices; 0 is no label of the last."""
    assert not target_violations(Target(index=0), labels, regression=False)


def test_evaluations_are_bounded_by_players_and_by_classes_together() -> None:
    one = resolved(ExplainOptions(max_evaluations=16_384), classes=1000, players=20)
    assert one.max_evaluations == 16_384
    every = ExplainOptions(target=Target(all=True), max_evaluations=16_384)
    ((path, problem),) = refused(every, classes=1000, players=20)
    assert path == "options.max_evaluations"
    assert problem == "is 16,384; at most 2,086 are possible for 20 players and 1,000 classes"
    assert resolved(ExplainOptions(target=Target(all=True)), classes=1000, players=20).max_evaluations == 640
    # A default is brought within the bound, not refused.
    lime = ExplainOptions(method="lime", target=Target(all=True))
    assert resolved(lime, classes=3000, players=20).max_evaluations < 1000
    assert resolved(every, classes=3, players=20).max_evaluations == 16_384


def test_so_are_the_numbers_of_an_answer() -> None:
    every = ExplainOptions(method="lime", target=Target(all=True))
    ((path, problem),) = refused(every, classes=1000, players=1000)
    assert path == "options.target"
    assert problem.startswith(
        "is all 1,000 classes, for 1,000 players each; an answer has at most 131,072 attributions"
    )
    assert resolved(ExplainOptions(method="lime"), classes=1000, players=1000)
    # Methods that group words have fewer players to tell of.
    assert resolved(ExplainOptions(target=Target(all=True)), classes=1000, players=1000).max_players == 131


@pytest.mark.parametrize("method", ["kernel-shap", "permutation-shap", "lime", "lime-stratified"])
def test_a_fit_at_the_largest_budget_for_many_classes_takes_bounded_memory(method: str) -> None:
    classes, players = 1000, 12
    every = ExplainOptions(method=method, target=Target(all=True), max_evaluations=16_384)
    ((_, problem),) = refused(every, classes=classes, players=players)
    rows = int(re.findall(r"at most ([\d,]+)", problem)[0].replace(",", ""))
    weights = np.random.default_rng(0).normal(size=(players, classes))

    def value(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.tanh(coalitions @ weights)

    tracemalloc.start()
    explain_game(value, players, method=method, max_evaluations=rows, min_evaluations=rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6

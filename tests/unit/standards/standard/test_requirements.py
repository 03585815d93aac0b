"""Verdicts: what a bound that clears its line says, and how often the gate is wrong."""

from pathlib import Path

import fairlearn.metrics as fairness
import numpy as np
import pytest

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.objective import CLASSIFICATION, REGRESSION
from explicate_bundle.standard.verdicts import Bounds, Line, Verdict
from explicate_standards.outcomes.outcomes import Outcomes
from explicate_standards.outcomes.run_figures import trained_disturbances
from explicate_standards.outcomes.suites import SuiteResult
from explicate_standards.standard.requirement import Evidence
from explicate_standards.standard.requirements import (
    FairnessRequirement,
    FlipsRequirement,
    MetricRequirement,
    PriceRequirement,
    RobustnessRequirement,
    SuiteRequirement,
)

AT_LEAST = Line(0.8, at_least=True)


def right_in(right: np.ndarray, name: str = "m") -> Outcomes:
    """A model that has these rows right."""
    logits = np.where(right[:, None], [1.0, -1.0], [-1.0, 1.0])
    return Outcomes(name, CLASSIFICATION, ("a", "b"), logits, np.zeros(len(right), np.intp), name * 20)


def evidence(own: Outcomes, other: Outcomes | None = None, **more: object) -> Evidence:
    given: dict[str, object] = {"slices": {}, "suites": {}, "interpretability": {}, "minimum_rows": 50, **more}
    others = {} if other is None else {"live": other}
    return Evidence(own, others, confidence=0.95, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bounds", "line", "verdict"),
    [
        (Bounds(0.9, 0.8, 0.95, 100), AT_LEAST, Verdict.MET),
        (Bounds(0.85, 0.79, 0.9, 100), AT_LEAST, Verdict.CANNOT_TELL),
        (Bounds(0.7, 0.65, 0.79, 100), AT_LEAST, Verdict.NOT_MET),
        (Bounds(0.7, 0.65, 0.8, 100), Line(0.8, at_least=False), Verdict.MET),
        (Bounds(0.8, 0.65, 0.81, 100), Line(0.8, at_least=False), Verdict.CANNOT_TELL),
        (Bounds(0.9, 0.81, 0.95, 100), Line(0.8, at_least=False), Verdict.NOT_MET),
        (Bounds(float("nan"), -np.inf, np.inf, 100), AT_LEAST, Verdict.CANNOT_TELL),
    ],
)
def test_a_verdict_is_by_the_bounds(bounds: Bounds, line: Line, verdict: Verdict) -> None:
    assert line.verdict(bounds) is verdict


def test_few_rows_cannot_tell_however_good_they_are() -> None:
    requirement = MetricRequirement("x", "accuracy", None, None, Line(0.5, at_least=True))
    (judged,) = requirement.judge(evidence(right_in(np.ones(49, np.bool_))))
    assert judged.verdict is Verdict.CANNOT_TELL
    assert judged.note == "49 rows; the standard wants 50"
    (judged,) = requirement.judge(evidence(right_in(np.ones(50, np.bool_))))
    assert judged.verdict is Verdict.MET


def test_each_slice_is_judged_by_itself_and_an_empty_one_cannot_tell() -> None:
    right = np.arange(200) >= 80
    slices = {"first": np.arange(200) < 100, "race: x": np.arange(200) >= 100, "race: none": np.zeros(200, np.bool_)}
    requirement = MetricRequirement("x", "accuracy", None, ("first", "race"), Line(0.6, at_least=True))
    judged = list(requirement.judge(evidence(right_in(right), slices=slices)))
    assert [one.verdict for one in judged] == [Verdict.NOT_MET, Verdict.MET, Verdict.CANNOT_TELL]
    assert [one.bounds.rows for one in judged] == [100, 100, 0]


def test_flips_count_rows_that_the_other_had_right() -> None:
    own, other = np.ones(400, np.bool_), np.ones(400, np.bool_)
    own[:12], other[100:130] = False, False
    (judged,) = FlipsRequirement("x", "live", 0.06).judge(evidence(right_in(own), right_in(other, "old")))
    assert judged.bounds.value == 12 / 400
    assert judged.verdict is Verdict.MET
    assert judged.note == "12 rows; 30 the other way"
    assert (judged.against, judged.against_sha256) == ("old", "old" * 20)


def test_a_suite_is_judged_by_exact_bounds() -> None:
    suites = {"negation": SuiteResult(200, ()), "names": SuiteResult(20, (3,))}
    (none,) = SuiteRequirement("x", "negation", 0.0149).judge(evidence(right_in(np.ones(1, np.bool_)), suites=suites))
    assert none.verdict is Verdict.MET
    (few,) = SuiteRequirement("x", "names", 0.1).judge(evidence(right_in(np.ones(1, np.bool_)), suites=suites))
    assert (few.verdict, few.note) == (Verdict.CANNOT_TELL, "1 of 20 fail, such as number 3 of the file")


def test_a_suite_that_the_cases_do_not_have_is_told_before_anything_is_asked() -> None:
    known = evidence(right_in(np.ones(0, np.bool_)), suite_names=("negation", "names"))
    SuiteRequirement("x", "names", 0.1).check(known)
    with pytest.raises(UsageError, match="no suite 'typos'; there are negation, names"):
        SuiteRequirement("x", "typos", 0.1).check(known)


def test_a_figure_of_explanations_is_judged_by_its_interval() -> None:
    figure = bundle_pb2.InterpretabilityFigure(
        name="additive_r2.median", value=0.9, interval=bundle_pb2.Interval(lower=0.88, upper=0.92), inputs=200
    )
    known = {"additive_r2.median": figure, "plausibility": "it cannot be measured: nobody gave grounds"}
    given = evidence(right_in(np.ones(60, np.bool_)), interpretability=known)
    for line, verdict in ((0.85, Verdict.MET), (0.9, Verdict.CANNOT_TELL), (0.95, Verdict.NOT_MET)):
        (judged,) = PriceRequirement("x", "additive_r2.median", Line(line, at_least=True)).judge(given)
        assert judged.verdict is verdict
    (judged,) = PriceRequirement("x", "plausibility", AT_LEAST).judge(given)
    assert (judged.verdict, judged.note) == (Verdict.CANNOT_TELL, known["plausibility"])
    (judged,) = PriceRequirement("x", "plausibility.median", AT_LEAST).judge(given)
    assert (judged.verdict, judged.note) == (Verdict.CANNOT_TELL, known["plausibility"])
    (judged,) = PriceRequirement("x", "stability.top1_kept", AT_LEAST).judge(given)
    assert (judged.verdict, judged.note) == (Verdict.CANNOT_TELL, "it is not defined on these rows")


def test_what_does_not_go_with_the_model_is_told() -> None:
    numbers = Outcomes("m", REGRESSION, ("price",), np.zeros((60, 1)), np.zeros(60))
    with pytest.raises(UsageError, match="accuracy is not a metric of a regression"):
        list(MetricRequirement("x", "accuracy", None, None, AT_LEAST).judge(evidence(numbers)))
    with pytest.raises(UsageError, match="no class 'c'; it has a, b"):
        list(MetricRequirement("x", "recall", "c", None, AT_LEAST).judge(evidence(right_in(np.ones(60, np.bool_)))))
    with pytest.raises(UsageError, match="not right or wrong"):
        FlipsRequirement("x", "live", 0.1).check(evidence(numbers))


def test_robustness_is_of_right_answers_to_the_same_rows() -> None:
    right = np.arange(200) >= 20
    robustness = {"typos": right * 1.0, "case": right * 0.8}
    given = evidence(right_in(right), robustness=robustness)
    for disturbance, ratio, verdict in (("typos", 0.97, Verdict.MET), ("case", 0.9, Verdict.NOT_MET)):
        (judged,) = RobustnessRequirement("x", disturbance, ratio, None).judge(given)
        assert judged.verdict is verdict
    (worst,) = RobustnessRequirement("x", "worst", None, 0.6).judge(given)
    assert (round(worst.bounds.value, 6), worst.verdict) == (0.72, Verdict.MET)
    assert worst.note == "case 0.7200, typos 0.9000; whole 0.9000"


def test_a_disturbance_that_training_taught_is_said_to_flatter(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[augmentation]\ntypos = 0.1\nswap = 0.2\nnoise = 0\n")
    taught = trained_disturbances(tmp_path)
    assert taught == {"typos"}
    assert not trained_disturbances(tmp_path / "nowhere")
    right = np.ones(200, np.bool_)
    given = evidence(
        right_in(right), robustness={"typos": right * 1.0, "case": right * 1.0}, trained_disturbances=taught
    )
    notes = [next(RobustnessRequirement("x", one, 0.9, None).judge(given)).note for one in ("typos", "case")]
    assert ["[augmentation] taught it typos, so this flatters it" in note for note in notes] == [True, False]


def test_gaps_of_groups_are_those_of_fairlearn() -> None:
    stream = np.random.Generator(np.random.Philox(9))
    targets, group = stream.integers(0, 2, 400), stream.integers(0, 3, 400)
    answered = np.where(stream.random(400) < 0.6 + 0.1 * group, targets, 1 - targets)
    own = Outcomes("m", CLASSIFICATION, ("a", "b"), np.eye(2)[answered] * 2, targets.astype(np.intp))
    groups = {"race": {str(one): group == one for one in range(3)}}
    given = evidence(own, groups=groups)
    references = {
        "demographic_parity_gap": fairness.demographic_parity_difference,
        "equalised_odds_gap": fairness.equalized_odds_difference,
        "selection_ratio": fairness.demographic_parity_ratio,
        "equal_opportunity_gap": fairness.equal_opportunity_difference,
    }
    for name, of_fairlearn in references.items():
        (judged,) = FairnessRequirement("x", name, "b", "race", Line(0.5, at_least=False)).judge(given)
        assert judged.bounds.value == pytest.approx(of_fairlearn(targets, answered, sensitive_features=group), abs=1e-9)


def test_gaps_of_groups_are_what_can_be_counted_by_hand() -> None:
    """Of group a 30 of 50 that are and 10 of 50 that are not are answered, of b 45 of 50 and 20 of 50."""
    targets = np.tile(np.repeat([1, 0], 50), 2).astype(np.intp)
    answered = np.zeros(200, np.intp)
    for start, count in ((0, 30), (50, 10), (100, 45), (150, 20)):
        answered[start : start + count] = 1
    own = Outcomes("m", CLASSIFICATION, ("a", "b"), np.eye(2)[answered] * 2, targets)
    first = np.arange(200) < 100
    given = evidence(own, groups={"race": {"a": first, "b": ~first, "c": np.arange(200) < 3}})
    expected = {
        "demographic_parity_gap": 0.25,
        "equalised_odds_gap": 0.3,
        "equal_opportunity_gap": 0.3,
        "selection_ratio": 40 / 65,
    }
    for name, value in expected.items():
        (judged,) = FairnessRequirement("x", name, "b", "race", Line(0.9, at_least=False)).judge(given)
        assert judged.bounds.value == pytest.approx(value, abs=1e-9)
        assert judged.note == "answered: a 0.400 of 100, b 0.650 of 100; left out: c (3 rows)"


def test_one_group_of_enough_rows_cannot_tell() -> None:
    own = right_in(np.ones(60, np.bool_))
    given = evidence(own, groups={"race": {"a": np.arange(60) < 55, "b": np.arange(60) >= 55}})
    requirement = FairnessRequirement("x", "equalised_odds_gap", "a", "race", Line(0.1, at_least=False))
    (judged,) = requirement.judge(given)
    assert (judged.verdict, judged.note) == (
        Verdict.CANNOT_TELL,
        "fewer than two groups have 50 rows; left out: b (5 rows)",
    )

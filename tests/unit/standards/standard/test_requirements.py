"""Verdicts: what a bound that clears its line says, and how often the gate is wrong."""

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.objective import CLASSIFICATION, REGRESSION
from explicate_standards.outcomes.outcomes import Outcomes
from explicate_standards.outcomes.suites import SuiteResult
from explicate_standards.standard.bounds import Bounds
from explicate_standards.standard.plan import least_margin
from explicate_standards.standard.requirements import (
    AgainstRequirement,
    Evidence,
    FlipsRequirement,
    Line,
    MetricRequirement,
    PriceRequirement,
    SuiteRequirement,
    Verdict,
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
    assert judged.against == "old (oldoldoldold)"


def test_a_suite_is_judged_by_exact_bounds() -> None:
    suites = {"negation": SuiteResult(200, ()), "names": SuiteResult(20, (3,))}
    (none,) = SuiteRequirement("x", "negation", 0.0149).judge(evidence(right_in(np.ones(1, np.bool_)), suites=suites))
    assert none.verdict is Verdict.MET
    (few,) = SuiteRequirement("x", "names", 0.1).judge(evidence(right_in(np.ones(1, np.bool_)), suites=suites))
    assert (few.verdict, few.note) == (Verdict.CANNOT_TELL, "1 of 20 fail, such as lines 3")
    with pytest.raises(UsageError, match="there are negation, names"):
        list(SuiteRequirement("x", "typos", 0.1).judge(evidence(right_in(np.ones(1, np.bool_)), suites=suites)))


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


def test_what_does_not_go_with_the_model_is_told() -> None:
    numbers = Outcomes("m", REGRESSION, ("price",), np.zeros((60, 1)), np.zeros(60))
    with pytest.raises(UsageError, match="accuracy is not a metric of a regression"):
        list(MetricRequirement("x", "accuracy", None, None, AT_LEAST).judge(evidence(numbers)))
    with pytest.raises(UsageError, match="no class 'c'; it has a, b"):
        list(MetricRequirement("x", "recall", "c", None, AT_LEAST).judge(evidence(right_in(np.ones(60, np.bool_)))))
    with pytest.raises(UsageError, match="not right or wrong"):
        list(FlipsRequirement("x", "live", 0.1).judge(evidence(numbers, numbers)))


def accepted(stream: np.random.Generator, *, worse: float, rows: int = 1000, apart: float = 0.1) -> float:
    """How often a model is accepted that is worse by so much, at the margin that a plan names."""
    margin = least_margin(apart, rows, 0.95)
    requirement = AgainstRequirement("x", "accuracy", None, "live", margin, 1.0)
    trials, met = 120, 0
    for _ in range(trials):
        draw = stream.random(rows)
        both = draw < 0.8
        own = both | ((draw >= 0.8) & (draw < 0.8 + (apart - worse) / 2))
        other = both | ((draw >= 0.8 + (apart - worse) / 2) & (draw < 0.8 + apart))
        (judged,) = requirement.judge(evidence(right_in(own), right_in(other)))
        met += judged.verdict is Verdict.MET
    return met / trials


def test_at_the_margin_of_the_plan_an_equal_model_is_accepted_and_one_on_the_line_is_not() -> None:
    """.8 and .05 are what is promised; 120 trials know them to ±.07 and ±.04."""
    stream = np.random.Generator(np.random.Philox(2))
    assert accepted(stream, worse=0.0) >= 0.73
    assert accepted(stream, worse=least_margin(0.1, 1000, 0.95)) <= 0.09

"""Change and cost: what was forgotten, how much a seed moves, size and time a row."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2, quantile_test

from explicate.errors import UsageError
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.objective import CLASSIFICATION
from explicate_bundle.standard.verdicts import Line, Verdict
from explicate_standards.evaluated_model import open_published
from explicate_standards.outcomes.outcomes import Outcomes
from explicate_standards.outcomes.run_figures import forgotten, of_seeds
from explicate_standards.standard.cost_requirements import (
    ForgettingRequirement,
    LatencyRequirement,
    SeedsRequirement,
    SizeRequirement,
    deviation,
    quantile_bounds,
)
from explicate_standards.standard.requirement import Evidence
from support.measured_models import LABELS, linear, publish_table, table_line, write_rows
from support.run_files import write_record


def outcomes(hits: int, rows: int = 200) -> Outcomes:
    right = np.arange(rows) < hits
    logits = np.where(right[:, None], [1.0, -1.0], [-1.0, 1.0])
    return Outcomes("m", CLASSIFICATION, ("a", "b"), logits, np.zeros(rows, np.intp))


def evidence(**more: object) -> Evidence:
    return Evidence(outcomes(180), {}, {}, {}, {}, 0.95, 50, **more)  # type: ignore[arg-type]


FOUND = {
    "second_task": {
        "about": "a linear probe",
        "measured": "accuracy",
        "rows": 500,
        "before": 0.8,
        "after": 0.76,
        "change": -0.04,
        "change_interval": [-0.06, -0.02],
    }
}


@pytest.mark.parametrize(
    ("line", "verdict"), [(0.06, Verdict.MET), (0.04, Verdict.CANNOT_TELL), (0.019, Verdict.NOT_MET)]
)
def test_what_is_forgotten_is_judged_by_trainings_interval(tmp_path: Path, line: float, verdict: Verdict) -> None:
    model = open_published(publish_table(tmp_path / "r", linear([1, 1]), 2, labels=LABELS))
    (tmp_path / "metrics.json").write_text(json.dumps({"forgetting": FOUND}))
    given = evidence(forgetting=forgotten(tmp_path, model))
    (judged,) = ForgettingRequirement("x", "", Line(line, at_least=False)).judge(given)
    assert (judged.bounds.value, judged.bounds.lower, judged.bounds.upper) == (0.04, 0.02, 0.06)
    assert judged.verdict is verdict
    assert judged.note == "0.8000 before, 0.7600 after"


def test_what_was_not_measured_of_forgetting_cannot_be_told(tmp_path: Path) -> None:
    model = open_published(publish_table(tmp_path / "r", linear([1, 1]), 2, labels=LABELS))
    assert forgotten(tmp_path, model) == {}
    (judged,) = ForgettingRequirement("x", "earlier_run", Line(0.1, at_least=False)).judge(evidence())
    assert judged.verdict is Verdict.CANNOT_TELL
    assert "train with [training.forgetting]" in judged.note
    (tmp_path / "metrics.json").write_text(json.dumps({"forgetting": {"second_task": {"change": "much"}}}))
    with pytest.raises(UsageError, match="is not as training writes it"):
        forgotten(tmp_path, model)


def seed_run(folder: Path, seed: int, *, wrong: int, rate: float = 0.1) -> Path:
    """A finished run whose model has so many of 100 rows wrong."""
    folder.mkdir(parents=True)
    record = TrainingRun(objective="classification", labels=LABELS, seed=seed)
    write_record(folder, record, metrics={}, data={})
    (folder / "config.toml").write_text(f"[training]\nseed = {seed}\nlearning_rate = {rate}\n")
    lines = [table_line([float(n), 0.0], label="yes", outputs=[0, -1 if n < wrong else 1]) for n in range(100)]
    write_rows(folder / "held_out.jsonl", lines)
    return folder


def test_seeds_are_judged_by_the_bounds_of_a_standard_deviation(tmp_path: Path) -> None:
    model = open_published(publish_table(tmp_path / "r", linear([1, 1]), 2, labels=LABELS))
    runs = [seed_run(tmp_path / f"s{seed}", seed, wrong=10 + 2 * seed) for seed in range(3)]
    given = evidence(seeds=of_seeds(runs, model))
    (judged,) = SeedsRequirement("x", "accuracy", None, Line(0.1, at_least=False)).judge(given)
    assert judged.bounds.value == pytest.approx(np.std([0.9, 0.88, 0.86], ddof=1), abs=1e-7)
    assert judged.bounds.upper == pytest.approx(0.02 * np.sqrt(2 / chi2.ppf(0.05, 2)), abs=1e-6)
    assert judged.verdict is Verdict.MET
    (few,) = SeedsRequirement("x", "accuracy", None, Line(0.1, at_least=False)).judge(
        evidence(seeds=of_seeds(runs[:2], model))
    )
    assert few.verdict is Verdict.CANNOT_TELL
    assert few.note == "2 runs of different seeds; it takes 3: give them with --seeds RUN RUN RUN"


def test_runs_that_differ_in_more_than_the_seed_are_refused(tmp_path: Path) -> None:
    model = open_published(publish_table(tmp_path / "r", linear([1, 1]), 2, labels=LABELS))
    first = seed_run(tmp_path / "a", 1, wrong=10)
    with pytest.raises(UsageError, match="differ in more than the seed"):
        of_seeds([first, seed_run(tmp_path / "b", 2, wrong=10, rate=0.2)], model)
    with pytest.raises(UsageError, match="same seed"):
        of_seeds([first, seed_run(tmp_path / "c", 1, wrong=10)], model)
    with pytest.raises(UsageError, match="is not the folder of a finished"):
        of_seeds([tmp_path / "none"], model)


def test_the_bounds_of_a_deviation_hold_as_often_as_they_say() -> None:
    stream = np.random.Generator(np.random.Philox(3))
    found = [deviation(stream.normal(size=4), 0.95, 100) for _ in range(1000)]
    for held in (np.mean([one.lower <= 1 for one in found]), np.mean([one.upper >= 1 for one in found])):
        assert 0.93 <= held <= 0.97


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_bounds_of_a_quantile_are_those_of_scipy(share: float) -> None:
    times = np.random.Generator(np.random.Philox(4)).exponential(size=200)
    found = quantile_bounds(times, share, 0.95)
    # scipy's one-sided intervals have 1 - α of the confidence on the side of the bound.
    at_least = quantile_test(times, p=share, alternative="greater").confidence_interval(0.95)
    at_most = quantile_test(times, p=share, alternative="less").confidence_interval(0.95)
    assert {found.lower, found.upper} == {
        end for ends in (at_least, at_most) for end in (ends.low, ends.high) if np.isfinite(end)
    }
    assert found.value == np.quantile(times, share)


def test_a_time_is_judged_by_its_quantiles_and_names_the_machine() -> None:
    times = np.linspace(1, 3, 200)
    given = evidence(row_times_ms=times, machine="a CPU, 2 cores", runtime="onnxruntime-cpu fp32")
    for line, verdict in ((2.5, Verdict.MET), (2.0, Verdict.CANNOT_TELL), (1.5, Verdict.NOT_MET)):
        (judged,) = LatencyRequirement("x", 0.5, Line(line, at_least=False)).judge(given)
        assert judged.verdict is verdict
    assert judged.what == "ms a row, median, on a CPU, 2 cores, onnxruntime-cpu fp32"
    assert judged.machine == "a CPU, 2 cores"


def test_a_size_is_exact() -> None:
    for line, verdict in ((12.5, Verdict.MET), (12.4, Verdict.NOT_MET)):
        (judged,) = SizeRequirement("x", Line(line, at_least=False)).judge(evidence(size_mb=12.5))
        assert (judged.verdict, judged.bounds.lower, judged.bounds.upper) == (verdict, 12.5, 12.5)

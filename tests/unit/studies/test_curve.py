"""`explicate curve`: its runs, its line, and going on after it was cut off."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from explicate.cli.main import main
from explicate.errors import UsageError
from explicate_studies.curve import points as points_module
from explicate_studies.curve.curve_report import summary, table, write_report
from explicate_studies.curve.doubling import doubling, mean_of, sentences
from explicate_studies.curve.points import Plan, Point, check_identity, config_of, known_points, plan, run_points
from explicate_training.text.config import Config, FewShotConfig
from support.few_labels import few_labels_config


def plan_of(folder: Path, **options: Any) -> Plan:
    """Of a tiny model of texts."""
    config = few_labels_config(folder, labels_per_class=0, few_shot=FewShotConfig(steps=2, batch_size=8))
    given = {"labels": [4, 8], "seeds": 1, "recipes": ["full", "few-shot"], "keep_runs": False, **options}
    return plan(config, folder / "curve", say=lambda _: None, **given)


def points_on(line: tuple[float, float], *, noise: float = 0.0, recipe: str = "full") -> list[Point]:
    """Scores on a line over log2 of the labels, with noise by seed."""
    stream = np.random.default_rng(0)
    return [
        Point(labels, seed, recipe, line[0] + line[1] * math.log2(labels) + noise * stream.normal(), 0.5, 1.0)
        for seed in range(5)
        for labels in (8, 32, 128, 512)
    ]


def test_twice_the_labels_buy_the_slope_of_the_line_with_its_interval() -> None:
    given = points_on((0.5, 0.03), noise=0.01)
    found = doubling(given, "full")
    assert found is not None
    x, y = np.log2([one.labels for one in given]), np.array([one.score for one in given])
    fitted, covariance = np.polyfit(x, y, 1, cov=True)
    half = stats.t.ppf(0.975, len(given) - 2) * math.sqrt(covariance[0, 0])
    assert found.gain.value == pytest.approx(fitted[0])
    assert (found.gain.lower, found.gain.upper) == pytest.approx((fitted[0] - half, fitted[0] + half))
    assert found.promised == pytest.approx(fitted[0] * 10 + fitted[1])


def test_means_have_the_t_interval_of_scipy() -> None:
    values = [0.7, 0.74, 0.71, 0.69]
    found = mean_of(values)
    ends = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.lower, found.upper) == pytest.approx(ends)
    assert math.isnan(mean_of([0.7]).lower)


def test_sentences_say_what_more_labels_buy_and_which_recipe_is_ahead(tmp_path: Path) -> None:
    given = plan_of(tmp_path, labels=[8, 32])
    wide = replace(given, labels=(8, 32, 128, 512), seeds=5)
    few = [replace(one, recipe="few-shot", score=0.7) for one in points_on((0, 0))]
    told = sentences([*points_on((0.5, 0.03), noise=0.001), *few], wide)
    assert "twice the labels ≈ +0.030" in told[0]
    assert "1024 would reach about 0.80" in told[0]
    assert "not shown to buy anything" in told[1]
    assert "at 8 labels a class the recipe for few labels is ahead of" in told[2]
    assert "is behind" in told[-1]


def test_a_curve_that_flattens_is_not_promised_to_rise(tmp_path: Path) -> None:
    flat = [
        replace(one, score=0.9 + 0.0001 * one.seed if one.labels >= 128 else one.score)
        for one in points_on((0.54, 0.05), noise=0.001)
    ]
    (told,) = sentences(flat, replace(plan_of(tmp_path, recipes=["full"]), labels=(8, 32, 128, 512), seeds=5))
    assert "the curve flattens" in told
    assert "if the line went on" not in told


def test_runs_go_on_where_a_killed_process_left_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_module, "_LEAST_STEPS", 2)
    given = plan_of(tmp_path)
    check_identity(given)
    first = next(run_points(given, lambda _: None))
    done = tmp_path / "curve" / "points" / "4-0-full.json"
    stamp = done.stat().st_mtime_ns
    assert [one.key for one in known_points(given)] == [first.key] == [(4, 0, "full")]
    lines: list[str] = []
    found = list(run_points(given, lines.append))
    assert [one.key for one in found] == [(4, 0, "few-shot"), (8, 0, "full"), (8, 0, "few-shot")]
    assert done.stat().st_mtime_ns == stamp
    assert "1 of 4 runs are done already" in lines
    assert any("more runs take about" in line for line in lines)
    assert list(run_points(given, lines.append)) == []
    assert not list((tmp_path / "curve" / "runs").glob("*/model"))
    report = write_report(known_points(given), given)
    assert "what more labels would buy" in report.read_text()
    assert json.loads((tmp_path / "curve" / "curve.json").read_text())["runs"] == 4
    assert len(table(known_points(given), given).splitlines()) == 5
    assert len(summary(known_points(given), given)["means"]) == 4


def test_a_run_that_was_done_but_not_told_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = plan_of(tmp_path)
    check_identity(given)
    run = tmp_path / "curve" / "runs" / "4-0-full"
    run.mkdir(parents=True)
    tested = {"auroc": 0.75}
    (run / "metrics.json").write_text(json.dumps({"test": tested, "simple": {"test": {"auroc": 0.5}}}))
    monkeypatch.setattr(points_module, "train", lambda *_, **__: pytest.fail("trained again"))
    point = next(run_points(given, lambda _: None))
    assert (point.score, point.simple) == (0.75, 0.5)


def test_each_run_has_its_labels_its_seed_and_enough_steps(tmp_path: Path) -> None:
    given = plan_of(tmp_path)
    config = config_of(given, 8, 3, "few-shot", tmp_path / "run")
    assert isinstance(config, Config)
    assert (config.data.labels_per_class, config.training.seed, config.output.explained) == (8, 3, 0)
    assert config.few_shot.enabled
    steps = math.ceil(8 * 2 / config.training.batch_size)
    assert config.training.epochs * steps >= 60


def test_sizes_that_the_data_do_not_have_are_left_out_and_told(tmp_path: Path) -> None:
    config = few_labels_config(tmp_path, labels_per_class=0, few_shot=FewShotConfig())
    lines: list[str] = []
    options: Any = {"seeds": 1, "recipes": ["full"], "keep_runs": False, "say": lines.append}
    found = plan(config, tmp_path / "curve", labels=[8, 32, 4096], **options)
    assert found.labels == (8, 32)
    assert any(line.startswith("4096 labels are left out") for line in lines)
    with pytest.raises(UsageError, match="two sizes at least"):
        plan(config, tmp_path / "curve", labels=[8, 4096], **options)


def test_a_folder_of_another_curve_is_refused(tmp_path: Path) -> None:
    given = plan_of(tmp_path)
    check_identity(given)
    check_identity(given)
    with pytest.raises(UsageError, match="another data"):
        check_identity(replace(given, sha256="0"))


def test_the_command_says_what_it_would_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = few_labels_config(tmp_path, labels_per_class=0).data.train
    arguments = ["curve", texts, "--label", "label", "--text", "text", "--labels", "8,16", "--check"]
    assert main(arguments) == 0
    assert (
        "20 runs: 8, 16 labels a class, 5 draws, full training and pairs, then a linear layer"
        in capsys.readouterr().err
    )
    assert main([*arguments, "--labels", "few"]) == 2
    assert "--labels must be numbers" in capsys.readouterr().err

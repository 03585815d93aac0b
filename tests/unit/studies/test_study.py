"""Whole studies on a tiny table: trials are ordinary runs, and a study goes on after whatever ended it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from explicate.errors import ExplicateError, UsageError
from explicate_studies import study as study_module
from explicate_studies.study import FILE_NAME, locked
from explicate_studies.study_report import findings, table, write_report
from explicate_studies.tune_options import TuneOptions
from support.tuned_table import measured, open_study, points, write_config

TUNE = {"learning_rate": [1e-3, 1e-1], "epochs": [1, 3]}
OPTIONS = TuneOptions(trials=3)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder, whose three trials ran without a break."""
    output = tmp_path_factory.mktemp("whole") / "study"
    study = open_study(path, OPTIONS, TUNE, output=output)
    assert len(list(study.run())) == 3
    write_report(study, findings(study))
    return output


def test_trials_are_ordinary_runs_and_the_first_is_the_config_itself(path: Path, whole: Path) -> None:
    study = open_study(path, OPTIONS, TUNE, output=whole)
    tried = study.tried()
    assert points(tried)[0] == {"training.learning_rate": 2e-3, "training.epochs": 2}
    for one in tried:
        run = Path(one.run)
        assert {"run.json", "metrics.json", "report.html", "model", "held_out.jsonl"} <= {x.name for x in run.iterdir()}
        of_run = json.loads((run / "metrics.json").read_text())["validation"]
        assert one.metric.value == of_run[study.subject.metric]
        assert one.metric.lower <= one.metric.value <= one.metric.upper


def test_the_validation_rows_are_not_the_test_rows(whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "validation.jsonl").read_text().splitlines()]
    held_out = [json.loads(line) for line in (whole / "trials" / "0000" / "held_out.jsonl").read_text().splitlines()]
    assert len(rows) >= 20
    assert not {json.dumps(row["row"]) for row in rows} & {json.dumps(row["row"]) for row in held_out}


def test_the_report_names_the_run_to_take(path: Path, whole: Path) -> None:
    study = open_study(path, OPTIONS, TUNE, output=whole)
    found = findings(study)
    assert found.chosen is not None
    page, summary = (whole / "report.html").read_text(), json.loads((whole / "study.json").read_text())
    assert found.chosen.run in page
    assert page.count("<svg") == 1
    assert (summary["chosen"], summary["why"]) == (found.chosen.number, found.why)
    assert "taken" in table(study, found)
    assert "[tune]" not in (whole / "chosen.toml").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)  # a process of its own, which imports everything again, on a machine that others use
def test_the_same_seed_suggests_the_same_in_a_study_that_was_killed(path: Path, whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "killed"
    tests = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "support.tuned_table", str(path), str(output)]
    process = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": paths})
    assert process.returncode == -9
    assert len(open_trials(output)) == 2
    study = open_study(path, OPTIONS, TUNE, output=output)
    assert not (output / "trials" / "0001").exists()
    assert [one.number for one in study.run()] == [2, 3]
    assert points(study.tried()) == points(open_study(path, OPTIONS, TUNE, output=whole).tried())
    assert [trial.state.name for trial in open_trials(output)] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]


def test_ctrl_c_keeps_what_is_known_and_the_trial_comes_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(path, OPTIONS, TUNE, output=tmp_path / "study")
    run_trial = study_module.run_trial

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    running = study.run()
    next(running)
    monkeypatch.setattr(study_module, "run_trial", stop)
    assert list(running) == []
    assert study.interrupted
    assert len(study.tried()) == 1
    write_report(study, findings(study))
    monkeypatch.setattr(study_module, "run_trial", run_trial)
    again = open_study(path, OPTIONS, TUNE, output=tmp_path / "study")
    assert len(list(again.run())) == 2
    assert not again.interrupted


def test_more_trials_are_added_and_another_config_is_refused(path: Path, whole: Path) -> None:
    with pytest.raises(UsageError, match="holds a study with another seed: choose another folder"):
        open_study(path, replace(OPTIONS, seed=1), TUNE, output=whole)
    with pytest.raises(UsageError, match="another space"):
        open_study(path, OPTIONS, {"epochs": [1, 2]}, output=whole)
    assert list(open_study(path, OPTIONS, TUNE, output=whole).run()) == []


def test_a_grid_ends_when_it_is_used_up(path: Path, tmp_path: Path) -> None:
    options = TuneOptions(sampler="grid", objectives=("metric",))
    study = open_study(path, options, {"epochs": [1, 2]}, output=tmp_path / "study")
    assert {one.point["training.epochs"] for one in study.run()} == {1, 2}
    assert not (tmp_path / "study" / "validation.jsonl").exists()


def test_a_failed_trial_is_told_and_the_study_goes_on(path: Path, tmp_path: Path) -> None:
    options = TuneOptions(trials=4, sampler="grid", objectives=("metric",))
    study = open_study(
        path, options, {"epochs": [1, 2], "learning_rate": {"choices": [1e-3, 1.0]}}, output=tmp_path / "s"
    )
    run_trial, failed = study_module.run_trial, []

    def fails_once(*arguments: object) -> object:
        if not failed:
            failed.append(1)
            raise ExplicateError("the training diverged")
        return run_trial(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "run_trial", fails_once)
        assert len(list(study.run())) == 3
    assert list(study.failures().values()) == ["the training diverged"]


def test_floors_are_constraints(path: Path, tmp_path: Path) -> None:
    options = TuneOptions(trials=2, floors={"evaluations_per_player": 19.5})
    study = open_study(path, options, TUNE, output=tmp_path / "study")
    tried = list(study.run())
    assert [one.feasible for one in tried] == [False, True]  # 20 rows a player, then 19
    assert [trial.number for trial in study.of_optuna.best_trials] == [1]


def test_a_floor_of_what_is_not_measured_is_refused_before_training(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tune\.floors\.speed is not measured: known are .*evaluations_per_player"):
        open_study(path, TuneOptions(floors={"speed": 1}), TUNE, output=tmp_path / "study")
    with pytest.raises(UsageError, match=r"tune\.metric must be auto or one of"):
        open_study(path, TuneOptions(metric="speed"), TUNE, output=tmp_path / "study")


def test_two_studies_do_not_share_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UsageError, match="another explicate tune is at work"), locked(tmp_path):
        pass


def test_a_pruner_stops_runs_that_are_worse(path: Path, tmp_path: Path) -> None:
    options = TuneOptions(trials=8, sampler="grid", objectives=("metric",), pruner="median", metric="auroc")
    rates = {"learning_rate": {"choices": [0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 1e-9, 2e-9]}}
    study = open_study(path, options, rates, output=tmp_path / "study")
    list(study.run())
    pruned = [trial for trial in study.of_optuna.trials if trial.state is optuna.trial.TrialState.PRUNED]
    for trial in pruned:
        assert not (tmp_path / "study" / "trials" / f"{trial.number:04d}").exists()
    assert len(study.tried()) + len(pruned) == 8


def open_trials(output: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="tune", storage=f"sqlite:///{output / FILE_NAME}").trials


def test_measured_figures_are_those_of_the_trial(whole: Path) -> None:
    trials = json.loads((whole / "study.json").read_text())["trials"]
    figures = [one["figures"]["evaluations_per_player"]["value"] for one in trials]
    assert figures == [20.0, 19.0, 18.0]
    assert callable(measured)

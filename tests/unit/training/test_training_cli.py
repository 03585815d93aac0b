"""`explicate train` as a command."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from explicate.cli.main import main
from explicate_training.config.config_file import parse_config
from explicate_training.loop.progress import StepProgress, duration
from support.tiny_text_model import write_tiny_text_model


def test_example_is_a_valid_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--example"]) == 0
    said = capsys.readouterr()
    parse_config(said.out)
    assert said.err == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "explicate train needs a config"),
        (["nowhere.toml"], "there is no config 'nowhere.toml'"),
        (["food-reviews", "--seed", "-1"], "training.seed must be at least 0"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_check_reads_and_splits_without_training(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = "".join(f"text{index} {label},{label}\n" for label in ("good", "bad") for index in range(20))
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}")
    (tmp_path / "a.toml").write_text("[data]\ntrain = 'a.csv'\n")
    assert main(["train", str(tmp_path / "a.toml"), "--check"]) == 0
    assert "40 train" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.toml"]


def test_only_the_run_directory_goes_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_text_model(tmp_path / "base")
    rows = "".join(f"a {label} text{index},{label}\n" for label in ("good", "bad") for index in range(30))
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}")
    (tmp_path / "a.toml").write_text(
        "[data]\ntrain = 'a.csv'\n[model]\nbase = 'base'\nmax_tokens = 16\n[training]\nepochs = 1\nprecision = 'fp32'\n"
    )
    output = tmp_path / "out" / "run"
    assert main(["train", str(tmp_path / "a.toml"), "--output", str(output), "--seed", "7"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{output}\n"
    *_, place, verdict = said.err.splitlines()
    assert place == f"the run is in {output}; its report: {output / 'report.html'}"
    assert verdict.startswith("VERDICT: not shown to have learnt anything: ")  # of 60 texts, in one epoch
    assert "seed = 7" in (output / "config.toml").read_text()


def test_registering_the_command_imports_nothing_heavy() -> None:
    code = (
        "import sys, explicate_training.cli; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def take_steps(stream: io.StringIO, tmp_path: Path, seconds_per_step: float) -> str:
    """What ten steps of a run of twenty look like."""
    now_s = 0.0
    progress = StepProgress(stream, clock=lambda: now_s)
    state, control, args = TrainerState(max_steps=20), TrainerControl(), TrainingArguments(output_dir=str(tmp_path))
    progress.on_train_begin(args, state, control)
    for _ in range(10):
        state.global_step += 1
        now_s += seconds_per_step
        progress.on_log(args, state, control, logs={"loss": 0.5})
        progress.on_step_end(args, state, control)
    metrics: dict[str, Any] = {"eval_loss": 0.4, "eval_accuracy": 0.9, "eval_f1_macro": 0.8}
    progress.on_evaluate(args, state, control, metrics=metrics)
    progress.on_train_end(args, state, control)
    return stream.getvalue()


def test_progress_is_a_line_every_few_seconds_away_from_a_terminal(tmp_path: Path) -> None:
    lines = take_steps(io.StringIO(), tmp_path, seconds_per_step=2.0).splitlines()
    assert lines == [
        "  step 3 of 20, loss 0.500, 34 s left",
        "  step 6 of 20, loss 0.500, 28 s left",
        "  step 9 of 20, loss 0.500, 22 s left",
        "  validation at step 10: loss 0.400, accuracy 0.900, macro F1 0.800",
    ]


def test_progress_is_a_bar_on_a_terminal(tmp_path: Path) -> None:
    drawn = take_steps(Terminal(), tmp_path, seconds_per_step=0.1)
    assert "10/20" in drawn
    assert "loss=0.500" in drawn


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (125, "2 min 05 s"), (3720, "1 h 02 min")])
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text

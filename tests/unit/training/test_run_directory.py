"""The run directory: one run at a time, and what happens when it cannot be written."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from explicate.errors import ExplicateError, UsageError
from explicate_training.run_directory import RunDirectory
from explicate_training.text.config import Config
from explicate_training.train import train
from support.training_runs import Interruption, to_folder

_HOLD = """
import sys, time
from pathlib import Path
from explicate_training.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holding(output: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on a run."""
    command = [sys.executable, "-c", _HOLD, str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_run_beside_a_live_one_is_refused_and_destroys_nothing(text_config: Config) -> None:
    config = replace(text_config, training=replace(text_config.training, epochs=1))
    with pytest.raises(KeyboardInterrupt):
        train(config, progress=Interruption(at_step=6))
    output = Path(config.output.directory)
    work = RunDirectory(output).work
    before = sorted(path.relative_to(work) for path in work.rglob("*"))
    assert before
    with holding(output) as other:
        for resume, restart in ((False, False), (True, False), (False, True)):
            with pytest.raises(UsageError) as caught:
                train(config, resume=resume, restart=restart)
            writer = f"another run (process {other.pid} on {os.uname().nodename})"
            assert f"{writer} is writing to {output}: wait until it ends" in str(caught.value)
    assert sorted(path.relative_to(work) for path in work.rglob("*")) == before
    assert train(config, restart=True) == output  # the other process is dead, its lock file is still there
    assert list(output.parent.glob(".*")) == []


def test_a_lock_file_that_nobody_holds_does_not_stand_in_the_way(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    (tmp_path / ".run.lock").write_text("process 1 on a machine that was started again")
    with directory.locked():
        assert (tmp_path / ".run.lock").read_text() == f"process {os.getpid()} on {os.uname().nodename}"
    assert not (tmp_path / ".run.lock").exists()


def test_a_killed_run_gives_its_lock_back(tmp_path: Path) -> None:
    with holding(tmp_path / "run") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / ".run.lock").exists()
        with RunDirectory(tmp_path / "run").locked():
            pass


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("part", "name"),
    [(0.5, "model.safetensors"), (1.5, "optimizer.pt")],  # of the size of the weights, of which AdamW keeps two copies
)
def test_a_disk_that_is_full_while_it_trains_is_one_sentence_with_file_and_reason(
    text_config: Config, base: Path, part: float, name: str
) -> None:
    config = to_folder(text_config, f"full-{name}")
    size = int(part * (base / "model.safetensors").stat().st_size)
    with largest_file(size), pytest.raises(ExplicateError) as caught:
        train(config)
    said = str(caught.value)
    assert f"{name} (File too large, errno 27): make room" in said
    assert ".unfinished/checkpoints/checkpoint-" in said
    assert "\n" not in said


def test_a_disk_that_is_full_at_the_end_is_one_sentence_and_the_run_can_go_on(text_config: Config) -> None:
    config = to_folder(replace(text_config, training=replace(text_config.training, epochs=1)), "full")
    directory = RunDirectory(Path(config.output.directory))
    taken = directory.finished / "run.json"

    class Filled(Interruption):
        """Something stands where a file of the finished run belongs."""

        def say(self, text: str) -> None:
            if text.startswith("evaluated"):
                taken.mkdir()

    with pytest.raises(
        ExplicateError, match=r"finished/run\.json \(Is a directory, errno 21\): make room, or .*; --resume goes on"
    ):
        train(config, progress=Filled(at_step=-1))
    assert not directory.output.exists()
    assert train(config, resume=True) == directory.output


def test_errors_about_other_things_stay_what_they_are(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    for error in (FileNotFoundError(2, "gone", "/data/cat.png"), RuntimeError("shapes do not fit"), OSError("odd")):
        with pytest.raises(type(error)) as caught, directory.written():
            raise error
        assert caught.value is error


def test_torch_names_no_reason_so_the_file_is_asked(tmp_path: Path) -> None:
    """What torch raises on a full disk, and a disk on which there is room again."""
    directory = RunDirectory(tmp_path / "run")
    directory.checkpoints.mkdir(parents=True)
    part = directory.checkpoints / "optimizer.pt"
    size = 100_000
    full = pytest.raises(ExplicateError, match=r"optimizer\.pt \(File too large, errno 27\)")
    with largest_file(size), full, directory.written():
        torch.save(torch.zeros(10 * size), part)
    error = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
    with pytest.raises(ExplicateError, match=r"optimizer\.pt \(its end could not be written\)"), directory.written():
        raise error

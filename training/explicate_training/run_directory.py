"""The run directory: worked on aside, complete or absent.

While a run `runs/reviews` works, its config and checkpoints are in `runs/.reviews.unfinished`. When all is done the
finished folder is renamed to its name in one step, so an interrupted run never looks complete.

A run holds the lock on `runs/.reviews.lock` while it works. The operating system drops the lock when the process ends,
however it ends, so what a dead run left never stands in the way of the next one.
"""

import errno
import fcntl
import json
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray
from safetensors import SafetensorError

from explicate.errors import ExplicateError, UsageError
from explicate.v1.training_run_pb2 import TrainingRun

HELD_OUT_NAME = "held_out.jsonl"
_OWNER_BYTES = 200
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some network file systems: then nothing is locked
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_OS_CODE = re.compile(r"\b(?:Os \{ code: |os error )(\d+)")  # of Rust
_TORCH_WRITES = ("PytorchStreamWriter", "inline_container")
_TRIED_BYTES = 1 << 20
_WEIGHTS = "model.safetensors"
_LAST_FILE = "trainer_state.json"  # what the Trainer writes last into a checkpoint
_TOOLS = ("explicate", "torch", "transformers", "tokenizers", "accelerate", "numpy", "scikit-learn")


class RunDirectory:
    """The folders of one run, from its start to its completion."""

    def __init__(self, output: Path) -> None:
        """`output` is where the finished run goes; raises UsageError when something stands there already."""
        self.output = output
        self.work = output.parent / f".{output.name}.unfinished"
        self.checkpoints = self.work / "checkpoints"
        self.finished = self.work / "finished"
        if output.is_dir() and not any(output.iterdir()):
            return
        if output.exists() or output.is_symlink():
            raise UsageError(f"{output} exists already: choose another folder with --output, or remove it first")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run directory, so that no other run writes to it; raises UsageError when another one does."""
        lock = self.output.parent / f".{self.output.name}.lock"
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            descriptor = self._take(lock)
        except OSError as error:
            raise self._cannot_write(error) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            os.close(descriptor)

    def _take(self, lock: Path) -> int:
        while True:
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, _OWNER_BYTES).decode(errors="replace")
                os.close(descriptor)
                raise UsageError(
                    f"another run{f' ({owner})' if owner else ''} is writing to {self.output}: wait until it ends, "
                    "stop it, or choose another folder with --output"
                ) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    os.close(descriptor)
                    raise
            if os.fstat(descriptor).st_nlink:  # the run before may have removed the file since it was opened
                os.truncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode()[:_OWNER_BYTES])
                return descriptor
            os.close(descriptor)

    def _cannot_write(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write to {self.output.parent}: {error.strerror}: choose another --output")

    def has_checkpoint(self) -> bool:
        """Whether an interrupted run left something to go on from."""
        return any(self.checkpoints.glob(f"**/checkpoint-*/{_LAST_FILE}"))  # of what comes before the training, too

    def start(self, identity: str, *, resume: bool, restart: bool) -> bool:
        """Makes the work folder and returns whether to go on from its checkpoint.

        Args:
            identity: the config and the data's digest; a run can only be resumed with the same.
            resume: go on where an interrupted run stopped.
            restart: throw away what an interrupted run left.

        Raises:
            UsageError: an interrupted run is there and neither is wanted, or it is another run than this.
        """
        identity_file = self.work / "identity.txt"
        if self.has_checkpoint() and not restart:
            if not resume:
                raise UsageError(
                    f"an interrupted run stands in {self.work}: add --resume to go on from its last checkpoint, "
                    "or --restart to throw it away"
                )
            if identity_file.read_text(encoding="utf-8") != identity:
                raise UsageError(
                    f"the interrupted run in {self.work} had another config, seed or data: train with those, "
                    "or add --restart to throw it away"
                )
            shutil.rmtree(self.finished, ignore_errors=True)
            for checkpoint in list(self.checkpoints.glob("**/checkpoint-*")):
                if not (checkpoint / _LAST_FILE).exists():  # cut off while it was written
                    shutil.rmtree(checkpoint)
            return True
        try:
            if self.work.exists():
                shutil.rmtree(self.work)
            self.checkpoints.mkdir(parents=True)
            identity_file.write_text(identity, encoding="utf-8")
        except OSError as error:
            raise self._cannot_write(error) from None
        return False

    @contextmanager
    def written(self) -> Iterator[None]:
        """Turns what libraries raise when a file cannot be written into an ExplicateError with the file and the reason.

        safetensors and torch raise errors of their own, torch's without the reason.
        """
        try:
            yield
        except (OSError, RuntimeError, SafetensorError) as error:
            failed = _failed_write(error, self.work)
            if failed is None:
                raise
            path, reason = failed
            again = "; --resume goes on from the last checkpoint" if self.has_checkpoint() else ""
            raise ExplicateError(
                f"cannot write {path} ({reason}): make room, or choose another --output{again}"
            ) from error

    def publish(self) -> Path:
        """Renames the finished folder to the output and removes the rest."""
        try:
            self.finished.rename(self.output)
        except OSError as error:
            raise ExplicateError(
                f"the run is finished, but {self.output} cannot be made ({error.strerror}): see {self.finished}"
            ) from None
        shutil.rmtree(self.work, ignore_errors=True)
        return self.output


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON object to be read by people, too: the whole of it or nothing, whenever it is killed."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    unfinished.replace(path)


def write_run(folder: Path, run: TrainingRun) -> None:
    """Writes run.json, which export reads."""
    text = json_format.MessageToJson(run, preserving_proto_field_name=True, indent=2, ensure_ascii=False)
    (folder / "run.json").write_text(text + "\n", encoding="utf-8")


def write_held_out(folder: Path, rows: Iterable[Mapping[str, Any]], outputs: NDArray[np.floating[Any]]) -> None:
    """Writes held_out.jsonl: the inputs of the test part with their labels and what the model answered.

    `outputs` are float [rows, outputs], logits or values. Export encodes the inputs again and must meet them, so they
    have all digits of a float32.
    """
    given = ([float(f"{output:.9g}") for output in of_row] for of_row in outputs.tolist())
    write_json_lines(
        folder / HELD_OUT_NAME, ({**row, "outputs": of_row} for row, of_row in zip(rows, given, strict=True))
    )


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes one JSON object a line."""
    path.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows), encoding="utf-8")


def tool_versions(also: Iterable[str] = ()) -> dict[str, str]:
    """Versions of Python and of the packages that make a run what it is; those not installed are left out."""
    versions = {"python": platform.python_version()}
    for name in (*_TOOLS, *also):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _failed_write(error: Exception, folder: Path) -> tuple[Path, str] | None:
    """Which file of a folder could not be written and why; None if the error is about something else."""
    newest = max((path for path in folder.rglob("*") if path.is_file()), key=_written_ns, default=folder)
    if isinstance(error, OSError):
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else newest
        if error.errno is None or not (error.errno in _NO_ROOM or path.is_relative_to(folder)):
            return None
        return path, _reason(error.errno)
    if isinstance(error, SafetensorError) and (code := _OS_CODE.search(str(error))):
        return newest.with_name(_WEIGHTS), _reason(int(code[1]))  # which it takes away; config.json comes before it
    if isinstance(error, RuntimeError) and any(name in str(error) for name in _TORCH_WRITES):
        return newest, _why_not(newest)
    return None


def _written_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


def _why_not(path: Path) -> str:
    """Why a file cannot grow, by trying: its content is cut off already."""
    try:
        with path.open("ab") as file:
            file.write(bytes(_TRIED_BYTES))
    except OSError as error:
        return _reason(error.errno or 0)
    return "its end could not be written"


def _reason(code: int) -> str:
    return f"{os.strerror(code)}, errno {code}"

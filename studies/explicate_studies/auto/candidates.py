"""What `explicate auto` tries: each candidate trains in the seconds that it is given, and leaves a run directory.

A simple model that is not ours to serve (TF-IDF, nearest neighbours) leaves one too, so that it can be compared with.
"""

# ruff: noqa: ARG002 - candidates are asked alike, and the Trainer hands its callbacks their arguments by name

import io
import json
import math
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar  # Any: runs of any kind; JSON values

import numpy as np
from numpy.typing import NDArray
from transformers import TrainerControl, TrainerState, TrainingArguments

from explicate.errors import ExplicateError
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_export.export import ExportOptions, export_run
from explicate_studies.auto.budget import Budget, Ending, Need, TimedProgress
from explicate_training.config.config_file import AnyConfig, format_config
from explicate_training.loop.progress import StepProgress
from explicate_training.loop.run import Run
from explicate_training.loop.verdict import always_alike, judged, verdict
from explicate_training.run_directory import RunDirectory, tool_versions, write_held_out, write_json, write_run
from explicate_training.train import train

Say = Callable[[str], None]
Answers = NDArray[np.float64]
"""A model's answers to the rows of a split, float64 [rows, outputs], as the objective has them."""

CANDIDATES = "candidates"
"""The folder of their run directories."""

LEAST_EPOCHS = {"text": 1, "table": 20}
"""With which a network is worth trying, by what it reads."""
_LEAST_OF_PICTURES = 8
_AFTERWARDS_S = 2.0  # a run's files, drawings and report
_PROBED_STEPS, _PROBED_S = 12, 3.0


@dataclass(frozen=True)
class Finished:
    """A candidate that came to its end.

    Attributes:
        name, title: of the candidate, for programs and for people.
        run: its run directory.
        seconds: that it took.
        simplicity: how easily it explains itself, by what it is; smaller is easier.
        servable: whether it can become a bundle.
        note: what is to be said of it, such as that it was cut short.
        point: the values that were chosen for it.
    """

    name: str
    title: str
    run: str
    seconds: float
    simplicity: int
    servable: bool = True
    note: str = ""
    point: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Shared:
    """What all candidates of a search have in common. Learns rates while it works.

    Attributes:
        run: the data, read, cleaned and split once, which no candidate changes.
        metric: that validation rows are judged by.
        folder: of the search.
        rows: file of the validation rows, which the best candidates explain.
        baseline: answers of the simple model to "validation" and "test".
        step_s: seconds a step of training, by candidate.
        overhead_s: of a network's run, besides its steps.
    """

    run: Run[Any, Any]
    metric: str
    folder: Path
    rows: Path
    budget: Budget
    say: Say
    baseline: Mapping[str, Answers] = field(default_factory=dict)
    baseline_s: float = 0.0
    step_s: dict[str, float] = field(default_factory=dict)
    overhead_s: float = 0.0

    @property
    def config(self) -> AnyConfig:
        """That of the first model."""
        config: AnyConfig = self.run.config
        return config

    @property
    def smaller_is_better(self) -> bool:
        """Of the metric."""
        return self.metric in self.run.task.errors

    @property
    def title(self) -> str:
        """The metric for people."""
        return self.run.task.titles.get(self.metric, self.metric).removesuffix(", part of the variance explained")

    def candidate_folder(self, name: str) -> Path:
        """A candidate's run directory."""
        return self.folder / CANDIDATES / name

    def answers(self, finished: Finished) -> Answers:
        """A candidate's answers to the validation rows."""
        return np.asarray(np.load(self.candidate_folder(finished.name).with_suffix(".npy")), dtype=np.float64)

    def value(self, answers: Answers) -> float:
        """The metric of answers to the validation rows; raises ExplicateError where it is undefined."""
        found = self.run.evaluate("validation", answers).metrics.get(self.metric)
        if not isinstance(found, int | float):
            raise ExplicateError(f"{self.metric} is undefined on the validation rows: choose another --metric")
        return float(found)


class Candidate(ABC):
    """One kind of model.

    Attributes:
        name, title: for programs and for people.
        simplicity: as `Finished` has it.
    """

    name: str
    title: str
    simplicity: int
    tunable: ClassVar[bool] = False  # whether more time makes it better

    @abstractmethod
    def need(self, shared: Shared) -> Need:
        """The time that it takes, by what was measured."""

    @abstractmethod
    def fit(self, shared: Shared, seconds: float) -> tuple[Finished, Answers]:
        """Trains, and leaves a run directory; also its answers to the validation rows.

        Raises ExplicateError if it comes to nothing.
        """

    @abstractmethod
    def export(self, shared: Shared, finished: Finished, repository: Path, options: ExportOptions, say: Say) -> Path:
        """Publishes it as a bundle; raises what publishing raises."""

    def train(self, shared: Shared, seconds: float) -> Finished:
        """Trains, and keeps that it did so, so that a search that is begun again takes it from there."""
        finished, answers = self.fit(shared, seconds)
        keep(shared, finished, answers)
        return finished


def keep(shared: Shared, finished: Finished, answers: Answers) -> None:
    """Writes what a candidate came to; the last file makes it finished."""
    folder = shared.candidate_folder(finished.name)
    np.save(folder.with_suffix(".npy"), np.asarray(answers, dtype=np.float64))
    write_json(folder.with_suffix(".json"), asdict(finished))
    shared.budget.keep()


def kept(shared: Shared) -> dict[str, Finished]:
    """The candidates that are finished, by name."""
    found = {}
    for file in sorted((shared.folder / CANDIDATES).glob("*.json")):
        with suppress(ValueError, TypeError):
            finished = Finished(**json.loads(file.read_text(encoding="utf-8")))
            found[finished.name] = finished
    return found


class Network(Candidate):
    """A network of ours, by a config.

    Attributes:
        config: what it is trained by.
        slower: how much longer a step takes than one of the first network, until it is measured.
    """

    def __init__(self, name: str, title: str, simplicity: int, config: AnyConfig, *, slower: float = 1.0) -> None:
        self.name, self.title, self.simplicity = name, title, simplicity
        self.config, self.slower = config, slower

    @cached_property
    def epochs(self) -> int:
        """Passes over the training rows, at most."""
        section: Any = self.config.interpretability
        of_form = getattr(section, "form", "free") != "free"
        return int(section.form_epochs if of_form else self.config.training.epochs)

    def need(self, shared: Shared) -> Need:
        """By the rate of this network, or of the first one."""
        step_s = shared.step_s.get(self.name, self.slower * shared.step_s.get("", 0.0))
        epoch_s = step_s * steps_of_epoch(shared.run, self.config)
        least = min(self.epochs, LEAST_EPOCHS.get(self.config.kind, _LEAST_OF_PICTURES))
        return Need(shared.overhead_s + least * epoch_s, shared.overhead_s + self.epochs * epoch_s)

    def fit(self, shared: Shared, seconds: float) -> tuple[Finished, Answers]:
        output, clock = shared.candidate_folder(self.name), shared.budget.clock
        begin_s = clock()
        config = replace(self.config, output=replace(self.config.output, directory=str(output), explained=0))
        ending = Ending(begin_s + max(0.0, seconds - self._afterwards_s(shared)), clock)
        answers: dict[str, Answers] = {}

        def watch(run: Run[Any, Any]) -> None:
            answers["validation"] = np.asarray(run.predict("validation"), dtype=np.float64)

        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(output, ignore_errors=True)  # finished, but its answers were not kept
        with output.with_suffix(".log").open("a", encoding="utf-8") as log:
            progress = TimedProgress(self.name, log, shared.say, ending, keep=shared.budget.keep)
            resume = _can_go_on(output, config, shared)
            train(config, resume=resume, restart=not resume, progress=progress, watch=watch, baseline=shared.baseline)
        self._learn(shared, ending, clock() - begin_s)
        taken = clock() - begin_s
        return self._finished(output, taken, ending.note), answers["validation"]

    def export(self, shared: Shared, finished: Finished, repository: Path, options: ExportOptions, say: Say) -> Path:
        return export_run(Path(finished.run), repository, options, say=say)

    def _finished(self, output: Path, seconds: float, note: str) -> Finished:
        return Finished(self.name, self.title, str(output), round(seconds, 1), self.simplicity, note=note)

    @staticmethod
    def _afterwards_s(shared: Shared) -> float:
        """What comes behind the last step: answers to validation and test rows, and files."""
        return _AFTERWARDS_S + shared.overhead_s / 2

    def _learn(self, shared: Shared, ending: Ending, taken_s: float) -> None:
        if ending.step_s:
            shared.step_s[self.name] = ending.step_s
            shared.overhead_s = max(shared.overhead_s, taken_s - ending.step_s * ending.steps)


def _can_go_on(output: Path, config: AnyConfig, shared: Shared) -> bool:
    """Whether a killed run of the same config left a checkpoint."""
    identity = RunDirectory(output).work / "identity.txt"
    wanted = f"{format_config(config)}\n# data {shared.run.sha256}\n"
    return RunDirectory(output).has_checkpoint() and identity.read_text(encoding="utf-8") == wanted


def steps_of_epoch(run: Run[Any, Any], config: AnyConfig) -> int:
    """Steps of a pass over the training rows."""
    return math.ceil(len(run.splits.train) / config.training.batch_size)


class _Enough(Exception):
    """The rate of a training is known."""


class _Probe(StepProgress):
    """Measures the first steps of a training, the very first one left out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(io.StringIO(), clock=clock)
        self.step_s, self._first_s = 0.0, 0.0

    def say(self, text: str) -> None:
        """Nobody hears of it."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """No bar."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stops the training when it has seen enough; raises _Enough."""
        now_s, done = self._clock(), state.global_step - 1
        if not done:
            self._first_s = now_s
            return
        self.step_s = (now_s - self._first_s) / done
        if done >= _PROBED_STEPS or now_s - self._first_s >= _PROBED_S or state.global_step >= state.max_steps:
            raise _Enough


def probe(shared: Shared) -> None:
    """Measures the rate of the first network, and what a run takes besides its steps."""
    run, clock = shared.run, shared.budget.clock
    begin_s = clock()
    run.load()
    run.check_servable()
    run.start_terms()
    load_s = clock() - begin_s
    watched = _Probe(clock)
    with tempfile.TemporaryDirectory(prefix=".probe-", dir=shared.folder) as checkpoints, suppress(_Enough):
        run.train(checkpoints=Path(checkpoints), resume=False, progress=watched)
    begin_s = clock()
    run.predict("validation")
    answers_s = (clock() - begin_s) * (2 + len(run.splits.test) / max(1, len(run.splits.validation)))
    shared.step_s[""] = watched.step_s
    shared.overhead_s = load_s + answers_s + _AFTERWARDS_S


class SimpleModel(Candidate):
    """The model that trained ones are compared with, where nothing serves it: TF-IDF, or nearest neighbours."""

    name = "baseline"
    simplicity = 1

    def __init__(self, title: str) -> None:
        self.title = title

    def need(self, shared: Shared) -> Need:
        """None: it is fitted when the data are read."""
        return Need(0.0, 0.0)

    def fit(self, shared: Shared, seconds: float) -> tuple[Finished, Answers]:
        output = shared.candidate_folder(self.name)
        write_bare_run(shared, output, self.name, self.title, shared.baseline, seconds=shared.baseline_s)
        note = "to compare with: no server runs it"
        seconds_ = round(shared.baseline_s, 1)
        finished = Finished(self.name, self.title, str(output), seconds_, self.simplicity, servable=False, note=note)
        return finished, shared.baseline["validation"]

    def export(self, shared: Shared, finished: Finished, repository: Path, options: ExportOptions, say: Say) -> Path:
        raise ExplicateError(f"{finished.title} cannot become a bundle")


def write_bare_run(
    shared: Shared,
    output: Path,
    name: str,
    title: str,
    answers: Mapping[str, Answers],
    *,
    seconds: float,
    point: Mapping[str, Any] | None = None,
    graph: bytes = b"",
) -> None:
    """A run directory of a model that training's loop did not make, as leaderboards and export read it."""
    run, labels, counted = shared.run, shared.run.labels, shared.run.config.data.counted
    unfinished = output.with_name(f".{output.name}.unfinished")
    for folder in (unfinished, output):
        shutil.rmtree(folder, ignore_errors=True)
    (unfinished / "model").mkdir(parents=True)
    if graph:
        (unfinished / "model" / "model.onnx").write_bytes(graph)
    test = run.evaluate("test", answers["test"])
    simple = run.evaluate("test", shared.baseline["test"])
    rivals = [
        always_alike(run.task, run.targets["train"], test, labels, counted=counted),
        judged(run.baseline, run.task, simple, labels),
    ]
    model = judged("", run.task, test, labels)
    metrics = {"validation": run.evaluate("validation", answers["validation"]).metrics, "test": model.metrics(labels)}
    record = TrainingRun(
        objective=run.task.name,
        labels=labels,
        target_name=run.config.data.target_name,
        base_model=title,
        seed=run.config.training.seed,
        data_sha256=run.sha256,
        tool_versions=tool_versions(run.packages()),
        train_s=round(seconds, 1),
        verdict=verdict(run.task, model, rivals, counted=counted),
    )
    write_held_out(unfinished, list(run.held_out(unfinished)), answers["test"])
    chosen = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"name": name, **(point or {})}.items())
    (unfinished / "config.toml").write_text(f"{format_config(run.config)}\n[candidate]\n{chosen}", encoding="utf-8")
    write_json(unfinished / "metrics.json", metrics)
    write_json(unfinished / "data.json", run.report)
    write_run(unfinished, record)
    unfinished.rename(output)


def fit_simple_model(shared: Shared) -> None:
    """Fits the model that all are compared with, once for all runs."""
    begin_s = shared.budget.clock()
    shared.baseline = shared.run.fit_baseline()
    shared.baseline_s = shared.budget.clock() - begin_s

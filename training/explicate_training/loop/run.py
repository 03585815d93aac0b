"""What every run does at its stages, whatever it reads: data, model, training, evaluation, files."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar  # Any: JSON values; targets of any number type

import numpy as np
from numpy.typing import NDArray

from explicate.v1.training_run_pb2 import TargetScale, TrainingRun
from explicate_training.config.config_file import AnyConfig, format_config
from explicate_training.data.splits import Part, split_data
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.trainer import Fitting, Outcome
from explicate_training.report.report import write_report
from explicate_training.run_directory import tool_versions, write_held_out, write_json, write_run
from explicate_training.tasks.task import Evaluation, Task

AnyOf = TypeVar("AnyOf", bound=AnyConfig)
Say = Callable[[str], None]


class Run(ABC, Generic[AnyOf, Part]):
    """A run. Making one reads, cleans and splits the data.

    Attributes:
        template: what makes the report.
        tells_evaluation: whether evaluating takes so long that it is worth a line.
    """

    template: ClassVar[str]
    tells_evaluation: ClassVar[bool] = True

    def __init__(self, config: AnyOf, say: Say) -> None:
        """Reads, cleans and splits the data, and says so. Raises UsageError as its parts do."""
        self.config = config
        self.reading: list[str] = []  # how the files were read

        def tell(line: str) -> None:
            self.reading.append(line)
            say(line)

        self.task, data, self.sha256 = self.read(tell)
        self.splits = split_data(data, self.task, config.data, seed=config.training.seed)
        parts = {name: part.labels.tolist() for name, part in self.splits.by_name().items()}
        self.labels = self.task.names(parts["train"])
        self.targets: dict[str, NDArray[Any]] = {
            name: self.task.targets(part, self.labels) for name, part in parts.items()
        }
        self.scale = self.task.scale(self.targets["train"])
        self.report, lines = self.describe_data()
        for line in lines:
            say(line)

    @abstractmethod
    def read(self, tell: Say) -> tuple[Task, Part, str]:
        """The objective, the clean data and their digest; `tell` hears how the files were read."""

    @abstractmethod
    def describe_data(self) -> tuple[dict[str, Any], list[str]]:
        """The content of data.json, and the same for the terminal."""

    @abstractmethod
    def load(self) -> None:
        """Makes the model and encodes the data; raises UsageError when the model cannot be made."""

    @abstractmethod
    def plan(self) -> str:
        """What is about to be trained, and for how long at most."""

    @abstractmethod
    def fit(self, fitting: Fitting) -> Outcome:
        """Trains the model."""

    @abstractmethod
    def predict(self, name: str) -> NDArray[np.floating[Any]]:
        """The model's answers to a split, float [rows, outputs], in the unit of the target."""

    @abstractmethod
    def write_model(self, folder: Path) -> None:
        """Writes the model, and what else explanations need."""

    @abstractmethod
    def held_out(self, folder: Path) -> Iterable[dict[str, Any]]:
        """The test rows as held_out.jsonl has them; what is not JSON goes into files of the folder."""

    def held_out_outputs(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """The model's answers to the test rows as `held_out` wrote them, of its answers to the rows themselves."""
        return outputs

    @abstractmethod
    def describe_model(self) -> TrainingRun:
        """What run.json says of the model and of what it reads."""

    @abstractmethod
    def packages(self) -> list[str]:
        """Packages that the data or the model came from."""

    def compare(self, say: Say) -> dict[str, Any]:  # noqa: ARG002 - says how long it took
        """Metrics of other models on the same splits, by their name."""
        return {}

    def result_lines(self, metrics: dict[str, Any]) -> list[str]:
        """The metrics for the terminal."""
        return self.task.lines(metrics, counted=self.config.data.counted)

    def shown(self, test: Evaluation) -> dict[str, Any]:  # noqa: ARG002 - what it shows of the answers
        """What the report shows besides."""
        return {}

    def curves(self) -> dict[str, str]:
        """Titles of the validation metrics that the report draws, by name."""
        return dict(self.task.curves)

    def train(self, *, checkpoints: Path, resume: bool, progress: StepProgress) -> Outcome:
        """Trains the model. Raises ExplicateError when it diverges."""
        targets, training = self.targets["train"], self.config.training
        return self.fit(Fitting(self.task, training, self.labels, targets, self.scale, checkpoints, resume, progress))

    def standard_targets(self, name: str) -> NDArray[Any]:
        """The targets of a split as the loss compares with them."""
        return self.task.standard(self.targets[name], self.scale)

    def finish(self, folder: Path, outcome: Outcome, say: Say) -> None:
        """Evaluates and writes everything into the run's finished folder, which exists."""
        begin_s = time.monotonic()
        evaluations = {name: self.evaluate(name, self.predict(name)) for name in ("validation", "test")}
        if self.tells_evaluation:
            say(f"evaluated in {duration(time.monotonic() - begin_s)}, fp32")
        metrics: dict[str, Any] = {name: evaluation.metrics for name, evaluation in evaluations.items()}
        metrics |= self.compare(say)
        for line in self.result_lines(metrics):
            say(line)
        metrics |= {"best_step": outcome.best_step, "steps": outcome.steps, "history": outcome.history}
        self.write_model(folder)
        rows = list(self.held_out(folder))
        write_held_out(folder, rows, self.held_out_outputs(evaluations["test"].outputs))
        description, config_toml = self._description(outcome), format_config(self.config)
        (folder / "config.toml").write_text(config_toml, encoding="utf-8")
        for name, content in (("metrics", metrics), ("data", self.report)):
            write_json(folder / f"{name}.json", content)
        write_run(folder, description)
        test, counted = evaluations["test"], self.config.data.counted
        write_report(
            folder / "report.html",
            self.template,
            metrics=metrics,
            curves=self.curves(),
            drawings=self.task.drawings(test, self.labels, self.config.data.target_name, counted=counted),
            task=self.task,
            run=description,
            counted=counted,
            data=self.report,
            config_toml=config_toml,
            **self.shown(test),
        )

    def evaluate(self, name: str, outputs: NDArray[np.floating[Any]]) -> Evaluation:
        """Answers to a split with their metrics."""
        return self.task.evaluate(outputs, self.targets[name], self.labels, counted=self.config.data.counted)

    def _description(self, outcome: Outcome) -> TrainingRun:
        """The content of run.json."""
        record = self.describe_model()
        record.MergeFrom(
            TrainingRun(
                objective=self.task.name,
                labels=self.labels,
                target_name=self.config.data.target_name,
                seed=self.config.training.seed,
                data_sha256=self.sha256,
                tool_versions=tool_versions(self.packages()),
                precision=outcome.precision,
                train_s=round(outcome.train_s, 1),
            )
        )
        return record

    def target_scale(self) -> TargetScale | None:
        """What takes answers in standard deviations to the unit of the target; None for classes and labels."""
        return None if self.labels else TargetScale(mean=self.scale.mean, spread=self.scale.spread)

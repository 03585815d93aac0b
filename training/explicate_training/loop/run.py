"""What every run does at its stages, whatever it reads: data, model, training, evaluation, files."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar  # Any: JSON values; targets of any number type

import numpy as np
from numpy.typing import NDArray
from torch import nn

from explicate.errors import UsageError
from explicate.v1.bundle_pb2 import Verdict
from explicate.v1.training_run_pb2 import TargetScale, TrainingRun
from explicate_bundle.draft import draft_checks, kind_of_run
from explicate_bundle.outcomes.baseline_answers import BaselineAnswers, write_baseline
from explicate_bundle.telling.slice_notes import SLICES_KEY, SliceNotes
from explicate_training.calibration.adjustment import Adjustment
from explicate_training.config.config_file import AnyConfig, format_config
from explicate_training.data.splits import Part, few_rows, split_data
from explicate_training.diagnosis.diagnosis import diagnose
from explicate_training.fairness.weights import side_groups, weights_of
from explicate_training.interpretability.masked_rows import MaskedRows
from explicate_training.interpretability.measurement import Trained, trained
from explicate_training.interpretability.players import Batch, Players
from explicate_training.interpretability.step_loss import StepLoss
from explicate_training.interpretability.terms import active_terms, term_of
from explicate_training.label_review.label_model import LabelModel
from explicate_training.label_review.review import NAME as REVIEWED
from explicate_training.label_review.review import Applied, apply_review
from explicate_training.loop.forgetting import Forgetting, Remembered, forgetting_line
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.trainer import Fitting, Outcome
from explicate_training.loop.training_device import placement
from explicate_training.loop.verdict import always_alike, judged, verdict
from explicate_training.report.explanations import Game, explanations_of
from explicate_training.report.report import write_report
from explicate_training.report.slices import slice_notes
from explicate_training.run_directory import HELD_OUT_NAME, tool_versions, write_held_out, write_json, write_run
from explicate_training.tasks.task import Evaluation, Task

AnyOf = TypeVar("AnyOf", bound=AnyConfig)
Say = Callable[[str], None]


class Run(ABC, Generic[AnyOf, Part]):
    """A run. Making one reads, cleans and splits the data.

    Attributes:
        template: what makes the report.
        baseline: the simple model that the trained one is compared with.
        tells_evaluation: whether evaluating takes so long that it is worth a line.
    """

    template: ClassVar[str]
    baseline: ClassVar[str]
    tells_evaluation: ClassVar[bool] = True

    def __init__(self, config: AnyOf, say: Say) -> None:
        """Reads, cleans and splits the data, and says so. Raises UsageError as its parts do."""
        self.config = config
        self.say = say
        self.reading: list[str] = []  # how the files were read

        def tell(line: str) -> None:
            self.reading.append(line)
            say(line)

        self.task, data, self.sha256 = self.read(tell)
        self.splits = split_data(data, self.task, config.data, seed=config.training.seed)
        self.review: Applied | None = None  # of labels, by a person
        if path := config.data.reviewed_labels:
            reviewed = apply_review(self.splits, self.task, config.data, sha256=self.sha256, path=path)
            self.splits, self.review, self.sha256 = reviewed.splits, reviewed.applied, reviewed.sha256
        parts = {name: part.labels.tolist() for name, part in self.splits.by_name().items()}
        self.labels = self.task.names(parts["train"])
        self.targets: dict[str, NDArray[Any]] = {
            name: self.task.targets(part, self.labels) for name, part in parts.items()
        }
        self.scale = self.task.scale(self.targets["train"])
        self.report, lines = self.describe_data()
        self.adjustment = Adjustment(self)
        self.fairness = weights_of(self)
        self.step_loss: StepLoss | None = None  # the loss with the terms of [interpretability]
        self.term_figures: dict[str, Any] = {}  # what terms of [interpretability] measured on validation rows
        self.known_baseline: Mapping[str, NDArray[np.float64]] | None = None  # of an earlier run on the same splits
        if few := few_rows({name: len(part) for name, part in parts.items()}, config.data):
            self.warn(few)
            lines.append(f"note: {few}")
        if self.review:
            self.report[REVIEWED] = self.review.as_json()
            for sentence in self.review.warnings():
                self.warn(sentence)
            lines += [self.review.told(), *(f"note: {one}" for one in self.review.warnings())]
        for line in lines:
            say(line)

    def sides(self, name: str) -> list[str]:
        """The groups of `[fairness]` that the rows of a split are in; raises UsageError if the data do not tell."""
        return side_groups(self.splits.by_name()[name].sides, self.config.data.origin)

    def warn(self, sentence: str) -> None:
        """Adds a note to data.json and the report."""
        self.report["warnings"] = [*self.report.get("warnings", []), sentence]

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
    def held_out(self, folder: Path, split: str = "test") -> Iterable[dict[str, Any]]:
        """The rows of a split as held_out.jsonl has them; what is not JSON goes into files of the folder."""

    def held_out_outputs(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """The model's answers to the test rows as `held_out` wrote them, of its answers to the rows themselves."""
        return outputs

    @abstractmethod
    def describe_model(self) -> TrainingRun:
        """What run.json says of the model and of what it reads."""

    @abstractmethod
    def packages(self) -> list[str]:
        """Packages that the data or the model came from."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The trained model, with a layer that makes the outputs."""

    @abstractmethod
    def fit_baseline(self) -> dict[str, NDArray[np.float64]]:
        """What the simple model answers on "validation" and "test", float64 [rows, outputs]."""

    @abstractmethod
    def label_model(self, names: Sequence[str]) -> LabelModel:
        """What doubts the labels of the rows of some splits, one after the other, by classes."""

    @abstractmethod
    def game(self, row: int) -> Game | None:
        """A test row as a game of its parts; None if it has none."""

    @abstractmethod
    def players(self) -> Players:
        """How its rows are shown with parts of them absent."""

    @abstractmethod
    def batch_of(self, name: str, rows: Sequence[int]) -> Batch:
        """Some rows of a split as a batch, with what players need."""

    @abstractmethod
    def answers_to(self, inputs: Batch) -> NDArray[np.floating[Any]]:
        """The model's answers float [views, outputs] to its inputs, in the unit of the target."""

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Groups of test rows to measure apart, bool [rows] each, by what they are."""
        return {}

    @abstractmethod
    def row_fields(self, name: str) -> Mapping[str, Sequence[Any]]:
        """What the rows of a split tell of themselves, as slices ask for it, by name."""

    def always_told(self) -> set[str]:
        """Those of them that the report tells however well the model does on them."""
        return set()

    def _slices(self, test: Evaluation) -> SliceNotes:
        by_row = self.task.sliced_by_row(test, self.labels)
        return slice_notes(self.groups(), by_row, sliced=self.task.sliced, always=self.always_told())

    def shown(self, test: Evaluation) -> dict[str, Any]:  # noqa: ARG002 - what it shows of the answers
        """What the report shows besides."""
        return {}

    def figures(self, test: Evaluation) -> dict[str, Any]:  # noqa: ARG002
        """What metrics.json and the report have besides, by name."""
        return {}

    def curves(self) -> dict[str, str]:
        """Titles of the validation metrics that the report draws, by name."""
        return dict(self.task.curves)

    def remembered(self) -> list[Remembered]:
        """What is measured before the training and after it, to tell what the model forgot; after `load`."""
        return []

    def train(self, *, checkpoints: Path, resume: bool, progress: StepProgress) -> Outcome:
        """Trains the model. Raises ExplicateError when it diverges."""
        targets, training = self.targets["train"], self.config.training
        self._forgetting = Forgetting(self.remembered())
        fitting = Fitting(
            self.task,
            training,
            self.labels,
            targets,
            self.scale,
            checkpoints,
            resume,
            progress,
            step_loss=self.step_loss,
            weights={} if self.fairness is None else self.fairness.by_split(self),
        )
        outcome = self.fit(fitting)
        self.adjustment.divide()  # before terms learn what the model answers
        for term in active_terms(self.config.interpretability, self.config.kind):
            term.after(self)
        return outcome

    def start_terms(self) -> None:
        """Makes the loss with the terms of `[interpretability]`; raises UsageError when one does not fit the data."""
        section, training = self.config.interpretability, self.config.training
        active = active_terms(section, self.config.kind)
        if not active:
            return
        loss = self.task.loss(self.targets["train"], len(self.task.outputs(self.labels)), training)
        started = {term.name: term.start(self, loss) for term in active}
        terms = {name: term for name, term in started.items() if term is not None}
        if not terms:
            return
        hides = term_of(section, MaskedRows).active
        self.step_loss = StepLoss(loss, terms, task=self.task, players=self.players(), seed=training.seed, hides=hides)

    def check_servable(self) -> None:
        """Raises UsageError if no server would take the model once it is trained."""
        record = self.describe_model()
        record.MergeFrom(self._predicts())
        kind = kind_of_run(record)
        for holds, otherwise in draft_checks(record, kind) if kind else ():
            if not holds:
                raise UsageError(f"no server would take such a model ({otherwise}), so it is not trained")

    def _predicts(self) -> TrainingRun:
        return TrainingRun(objective=self.task.name, labels=self.labels, target_name=self.config.data.target_name)

    def standard_targets(self, name: str) -> NDArray[Any]:
        """The targets of a split as the loss compares with them."""
        return self.task.standard(self.targets[name], self.scale)

    def finish(self, folder: Path, outcome: Outcome, say: Say) -> None:
        """Evaluates and writes everything into the run's finished folder, which exists."""
        begin_s, counted = time.monotonic(), self.config.data.counted
        validation, test = self.adjustment.decided(), self.evaluate("test", self.predict("test"))
        evaluations = {"validation": validation, "test": test}
        forgotten = self._forgetting.after()
        if self.tells_evaluation:
            say(f"evaluated in {duration(time.monotonic() - begin_s)}, fp32")
        metrics, self.verdict = self._compared(evaluations)
        for line in (*self.task.lines(metrics, counted=counted), *map(forgetting_line, forgotten.values())):
            say(line)
        self.adjustment.measure(validation, test, metrics)
        metrics |= {"forgetting": forgotten} if forgotten else {}
        metrics |= (besides := self.figures(test))
        easier = self._easier(outcome)
        if easier:
            figures = {"figures": self.term_figures} if self.term_figures else {}
            metrics["interpretability"] = {**easier.as_json(), **figures}
        metrics |= {"best_step": outcome.best_step, "steps": outcome.steps, "history": outcome.history}
        explanations, slices = explanations_of(self, test), self._slices(test)
        metrics |= {SLICES_KEY: slices.document(), **explanations.recorded}
        self.write_model(folder)
        write_held_out(folder, list(self.held_out(folder)), self.held_out_outputs(test.outputs))
        write_baseline(folder / HELD_OUT_NAME, self.simple)
        description, diagnosis = self._description(outcome, easier), diagnose(self, evaluations, explanations)
        self._write(folder, description, metrics=metrics, data=self.report, diagnosis=diagnosis.as_json())
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
            config_toml=format_config(self.config),
            title=Path(self.config.data.origin).stem,
            explanations=explanations,
            diagnosis=diagnosis,
            slices=slices.groups,
            sliced=slices.measured,
            forgetting=forgotten,
            easier=easier,
            thresholds=self.task.thresholds(test, self.labels),
            adjustment=self.adjustment,
            besides=besides,
            baseline=(self.baseline, metrics[_key(self.baseline)]["test"]),
            **self.shown(test),
        )

    def _write(self, folder: Path, description: TrainingRun, **documents: Mapping[str, Any]) -> None:
        (folder / "config.toml").write_text(format_config(self.config), encoding="utf-8")
        for name, content in documents.items():
            write_json(folder / f"{name}.json", content)
        write_run(folder, description)

    def _easier(self, outcome: Outcome) -> Trained | None:
        """What `[interpretability]` did; None where it is off."""
        section, seed = self.config.interpretability, self.config.training.seed
        if not active_terms(section, self.config.kind):
            return None
        found = trained(self, section, self.step_loss, outcome.history, best_step=outcome.best_step, seed=seed)
        for line in found.lines():
            self.say(line)
        return found

    def _compared(self, evaluations: Mapping[str, Evaluation]) -> tuple[dict[str, Any], Verdict]:
        """Metrics with intervals, those of the simple model, and how the two and a trivial one compare."""
        begin_s = time.monotonic()
        outputs = self.known_baseline
        if outputs is None:
            outputs = self.fit_baseline()
            self.say(f"fitted {self.baseline} to compare with in {duration(time.monotonic() - begin_s)}")
        task, labels, test, counted = self.task, self.labels, evaluations["test"], self.config.data.counted
        own, theirs = self.adjustment.of_baseline(outputs)
        self.simple = BaselineAnswers(self.baseline, theirs["test"].outputs.astype(np.float64), own.rule)
        model, simple = judged("", task, test, labels), judged(self.baseline, own, theirs["test"], labels)
        trivial = always_alike(task.deciding(None, labels), self.targets["train"], test, labels, counted=counted)
        metrics = {
            "validation": evaluations["validation"].metrics,
            "test": model.metrics(labels),
            _key(self.baseline): {"validation": theirs["validation"].metrics, "test": simple.metrics(labels)},
        }
        return metrics, verdict(task, model, [trivial, simple], counted=counted)

    def evaluate(self, name: str, outputs: NDArray[np.floating[Any]]) -> Evaluation:
        """Answers to a split with their metrics."""
        return self.task.evaluate(outputs, self.targets[name], self.labels, counted=self.config.data.counted)

    def _description(self, outcome: Outcome, easier: Trained | None) -> TrainingRun:
        """The content of run.json."""
        record = self.describe_model()
        record.MergeFrom(self._predicts())
        record.MergeFrom(self.adjustment.as_message())
        record.MergeFrom(
            TrainingRun(
                seed=self.config.training.seed,
                data_sha256=self.sha256,
                tool_versions=tool_versions(self.packages()),
                precision=outcome.precision,
                device=placement(self.config.training).name,
                train_s=round(outcome.train_s, 1),
                verdict=self.verdict,
                interpretability=easier.as_message() if easier else None,
                fairness=None if self.fairness is None else self.fairness.as_message(),
            )
        )
        return record

    def target_scale(self) -> TargetScale | None:
        """What takes answers in standard deviations to the unit of the target; None for classes and labels."""
        return None if self.labels else TargetScale(mean=self.scale.mean, spread=self.scale.spread)


def _key(name: str) -> str:
    """Of a model in metrics.json."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())

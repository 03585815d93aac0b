"""What a run on images does at each stage: data, training, evaluation, files."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explicate.errors import UsageError
from explicate.v1.bundle_pb2 import ImageSchema, Resampling
from explicate.v1.training_run_pb2 import PixelNormalisation, TrainingRun
from explicate.v1.training_run_pb2 import TargetScale as TrainedScale
from explicate_bundle.images import decode
from explicate_training.config.config_file import format_config
from explicate_training.data.labels import TargetScale, columns_with_labels, label_names, plain_label, targets_of
from explicate_training.image.cleaning import clean_images, split_images
from explicate_training.image.config import ImageConfig
from explicate_training.image.data import list_images, read_content
from explicate_training.image.fitting import ImageExamples, fit_images
from explicate_training.image.model import load_image_model, load_processor
from explicate_training.image.report import (
    changed_images,
    image_data_report,
    image_report_lines,
    worst_mistakes,
)
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.trainer import Outcome, one_thread
from explicate_training.report.report import Evaluation, RunRecord, write_record
from explicate_training.run_directory import tool_versions, write_held_out
from explicate_training.tasks.task import task_lines, task_metrics

# Of a batch's answers, from which threads pay. On two cores that others used the digits took 274 s to learn with two
# threads, and 18 to 57 s with one.
_OPERATIONS_TO_SHARE = 10e9
# Held-out images are kept in full up to this edge, so that what is compared on them includes the resizing.
_HELD_OUT_EDGE = 1024
_LABEL_FIELDS = {str: "label", tuple: "labels", float: "value"}


class ImageRun:
    """A run that trains a model of images."""

    def __init__(self, config: ImageConfig, say: Callable[[str], None]) -> None:
        """Reads, cleans and splits the images, and says so. Raises UsageError as its parts do."""
        self._config = config
        self._processor = load_processor(config.model)
        self._clean = clean_images(list_images(config.data), self._processor.preparation, config.data)
        self._splits = split_images(self._clean.images, config.data, seed=config.training.seed)
        self._task = config.data.task
        self._labels = label_names(self._task, self._splits.train.labels.tolist())
        self._targets = {
            name: targets_of(self._task, part.labels.tolist(), self._labels)
            for name, part in vars(self._splits).items()
        }
        self._report = image_data_report(self._clean, self._splits, config.data)
        for line in image_report_lines(self._report):
            say(line)

    @property
    def sha256(self) -> str:
        """Digest of the cleaned data."""
        return self._clean.sha256

    def load(self) -> None:
        """Loads the base model or makes a new one; raises UsageError when that cannot be done."""
        self._model = load_image_model(
            self._config.model,
            self._processor,
            self._labels,
            seed=self._config.training.seed,
            task=self._task,
            target=TargetScale.of(self._task, self._targets["train"]),
        )
        if self._config.training.batch_size == 1 and self._model.normalises_batches:
            raise UsageError(
                "training.batch_size is 1, but this model normalises over the images of a batch (BatchNorm): use 2 or "
                "more"
            )

    def plan(self) -> str:
        """What is about to be trained, and for how long at most."""
        training, preparation = self._config.training, self._processor.preparation
        weights = list(self._model.network.parameters())
        count = sum(weight.numel() for weight in weights if weight.requires_grad)
        of_all = "" if all(weight.requires_grad for weight in weights) else " in its last layer, the rest frozen"
        return (
            f"{self._model.base} ({count:,} weights{of_all}), at most {training.epochs} epochs of batches of "
            f"{training.batch_size} images of {preparation.width} x {preparation.height} pixels"
        )

    def fit(self, *, checkpoints: Path, resume: bool, progress: StepProgress) -> Outcome:
        """Trains the model."""
        with one_thread(when=self._is_small):
            return fit_images(
                self._model,
                self._examples("train"),
                self._examples("validation"),
                self._config.training,
                self._config.augmentation,
                task=self._task,
                checkpoints=checkpoints,
                resume=resume,
                callback=progress,
            )

    def finish(self, folder: Path, outcome: Outcome, say: Callable[[str], None]) -> None:
        """Evaluates and writes everything into the run's finished folder."""
        config, test = self._config, self._splits.test
        begin_s = time.monotonic()
        with one_thread(when=self._is_small):
            evaluations = {name: self._evaluate(name) for name in ("validation", "test")}
        metrics: dict[str, Any] = {name: evaluation.metrics for name, evaluation in evaluations.items()}
        say(f"evaluated in {duration(time.monotonic() - begin_s)}, fp32")
        for line in task_lines(self._task, metrics, counted="images"):
            say(line)
        metrics |= {"best_step": outcome.best_step, "steps": outcome.steps, "history": outcome.history}
        self._model.save(folder / "model")
        self._write_held_out(folder, evaluations["test"].logits)
        changed = changed_images(self._splits.train, config.augmentation, seed=config.training.seed)
        mistakes = worst_mistakes(self._task, evaluations["test"], test, self._labels)
        record = RunRecord(
            task=self._task,
            counted="images",
            config_toml=format_config(config),
            description=self._description(outcome),
            data=self._report,
            metrics=metrics,
            test=evaluations["test"],
        )
        write_record(folder, record, template="image_report.html.jinja", changed=changed, mistakes=mistakes)

    @property
    def _is_small(self) -> bool:
        return self._model.operations() * self._config.training.batch_size < _OPERATIONS_TO_SHARE

    def _description(self, outcome: Outcome) -> TrainingRun:
        processor, preparation, target = self._processor, self._processor.preparation, self._model.target
        return TrainingRun(
            objective=self._task,
            labels=self._labels,
            target_name=", ".join(columns_with_labels(self._config.data).values()),
            target_scale=None if self._labels else TrainedScale(mean=target.mean, spread=target.spread),
            image=ImageSchema(
                width=preparation.width,
                height=preparation.height,
                shortest_edge=preparation.shortest_edge or None,
                resampling=Resampling.Value(f"RESAMPLING_{preparation.resampling.upper()}"),
                patch_size=self._model.patch_size or None,
            ),
            normalisation=PixelNormalisation(mean=processor.mean, std=processor.std, rescale=processor.rescale),
            base_model=self._model.base,
            seed=self._config.training.seed,
            data_sha256=self.sha256,
            tool_versions=tool_versions(["pillow"]),
            precision=outcome.precision,
            train_s=round(outcome.train_s, 1),
        )

    def _examples(self, name: str) -> ImageExamples:
        """What the Trainer learns from: the images of a split, the values of a regression in standard deviations."""
        images, targets = vars(self._splits)[name], self._targets[name]
        if self._task == "regression":
            targets = self._model.target.standard(targets).astype(np.float32)
        return ImageExamples(images.pixels, images.places, targets)

    def _evaluate(self, name: str) -> Evaluation:
        images, targets = vars(self._splits)[name], self._targets[name]
        outputs = self._model.predict(images.pixels, images.places)
        metrics = task_metrics(self._task, outputs, targets, self._labels, counted="images")
        return Evaluation(outputs, targets, metrics)

    def _write_held_out(self, folder: Path, outputs: NDArray[Any]) -> None:
        """The test images as upright PNG files, and held_out.jsonl with their labels and outputs.

        `outputs` are float [images, outputs]. An image that is made smaller gets those of the smaller one.
        """
        (folder / "held_out").mkdir()
        test, rows, smaller = self._splits.test, [], {}
        for number, (content, label) in enumerate(zip(test.contents, test.labels, strict=True)):
            image = decode(read_content(content))
            if max(image.size) > _HELD_OUT_EDGE:
                image.thumbnail((_HELD_OUT_EDGE, _HELD_OUT_EDGE), Image.Resampling.LANCZOS)
                smaller[number] = self._processor.preparation.pixels(image)
            name = f"held_out/{number:05d}.png"
            image.save(folder / name)
            rows.append({"image": name, _LABEL_FIELDS[type(label)]: plain_label(label)})
        if smaller:
            outputs = outputs.copy()
            with one_thread(when=self._is_small):
                outputs[list(smaller)] = self._model.predict(np.stack([*smaller.values()]), np.arange(len(smaller)))
        write_held_out(folder, rows, outputs)

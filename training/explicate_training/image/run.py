"""What a run on images does at each stage."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any  # JSON values

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from explicate.errors import UsageError
from explicate.v1.training_run_pb2 import PixelNormalisation, TrainingRun
from explicate_bundle.images import MASKINGS, Pixels, decode, encode_png, picture_figures
from explicate_training.image.augmentation import Draw, DrawOrder, augment
from explicate_training.image.cleaning import REASONS, clean_images
from explicate_training.image.config import AugmentationConfig, ImageConfig
from explicate_training.image.data import ImageSet, list_images, read_content
from explicate_training.image.forgetting import earlier_images, probe_of_images
from explicate_training.image.game import image_game
from explicate_training.image.masking import FieldPlayers, with_fields
from explicate_training.image.model import load_image_model, load_processor
from explicate_training.image.neighbours import NeighbourLabels, neighbour_outputs, shrink
from explicate_training.interpretability.players import Batch, Players
from explicate_training.label_review.label_model import LabelModel
from explicate_training.loop.forgetting import Remembered
from explicate_training.loop.rows import FetchedRows
from explicate_training.loop.run import Run, Say
from explicate_training.loop.trainer import Fitting, Outcome, fit, one_thread
from explicate_training.report.explanations import Game
from explicate_training.report.report import data_lines, data_report, worst_rows
from explicate_training.report.slices import thirds
from explicate_training.tasks.registry import task_named
from explicate_training.tasks.task import Evaluation, Task

_SHOWN_IMAGES, _SHOWN_CHANGES = 6, 5  # of the augmentation: images, and changes of each
_SHOWN_EDGE = 96  # pixels of a picture in the report, at least; at most twice that

Pictures = list[dict[str, Any]]


def changed_images(train: ImageSet, task: Task, config: AugmentationConfig, *, seed: int) -> list[Pictures]:
    """For a few training images a row: the image as the model reads it, then changes as training draws them."""
    rows = np.linspace(0, len(train) - 1, min(_SHOWN_IMAGES, len(train))).round().astype(int)
    shown = []
    for row in rows.tolist():
        pixels = train.pixels[train.places[row]]
        repeated = torch.from_numpy(np.repeat(pixels[np.newaxis], _SHOWN_CHANGES, axis=0))
        changes = augment(repeated, [(row, 0, row + place) for place in range(_SHOWN_CHANGES)], config, seed=seed)
        shown.append([_picture(one, task.words(train.labels[row])) for one in (pixels, *changes.numpy())])
    return shown


def pictures_of(images: ImageSet, rows: Mapping[int, dict[str, Any]]) -> Pictures:
    """Pictures of some rows with what is told of them."""
    return [
        {**_picture(images.pixels[images.places[row]], str(images.names[row])), **told} for row, told in rows.items()
    ]


def _picture(pixels: Pixels, name: str) -> dict[str, Any]:
    """A picture that needs no file, small ones enlarged with their pixels seen, large ones made smaller."""
    height, width = pixels.shape[:2]
    times = max(1, _SHOWN_EDGE // max(height, width))
    image = Image.fromarray(pixels).resize((width * times, height * times), Image.Resampling.NEAREST)
    image.thumbnail((2 * _SHOWN_EDGE, 2 * _SHOWN_EDGE))
    encoded = base64.b64encode(encode_png(np.asarray(image))).decode()
    return {"name": name, "address": f"data:image/png;base64,{encoded}"}


# Of a batch's answers, from which threads pay. On two cores that others used the digits took 274 s to learn with two
# threads, and 18 to 57 s with one.
_OPERATIONS_TO_SHARE = 10e9
# Held-out images are kept in full up to this edge, so that what is compared on them includes the resizing.
_HELD_OUT_EDGE = 1024
_WORST_MISTAKES = 24
_FIELDS = 1  # in the seed of what cuts an image, beside the one that changes it


class ImageRun(Run[ImageConfig, ImageSet]):
    """A run that trains a model of images."""

    template = "image_report.html.jinja"
    baseline = "nearest neighbours"
    maskings: Sequence[str] = MASKINGS  # what is seen where a field is absent, one of these for each image

    def read(self, tell: Say) -> tuple[Task, ImageSet, str]:
        data = self.config.data
        self._processor = load_processor(self.config.model)
        clean = clean_images(list_images(data, tell, side=self.config.fairness.over), self._processor.preparation, data)
        self._cleaning = clean.report
        return task_named(data.task), clean.images, clean.sha256

    def describe_data(self) -> tuple[dict[str, Any], list[str]]:
        data, cleaning = self.config.data, self._cleaning
        kept, examples = cleaning.test_duplicates_kept, cleaning.examples
        report = data_report(
            data,
            cleaning,
            self.splits.by_name(),
            self.task,
            sha256=self.sha256,
            reading=self.reading,
            reasons=REASONS,
            rows="images",
            test_duplicates_kept=kept,
        )
        report["examples_dropped"] = {reason: examples[reason] for reason in REASONS if reason in examples}
        lines = data_lines(
            report,
            self.task,
            data.counted,
            rows="images",
            told=lambda reason: f"{reason}, such as {examples[reason][0]}",
            notes=[f"  the test set keeps {kept:,} pictures that stand in it more than once"] if kept else [],
        )
        return report, lines

    def load(self) -> None:
        """Loads the base model or makes a new one; raises UsageError when that cannot be done."""
        self._model = load_image_model(
            self.config.model,
            self._processor,
            self.task.outputs(self.labels),
            seed=self.config.training.seed,
            problem_type=self.task.problem_type,
        )
        if self.config.training.batch_size == 1 and self._model.normalises_batches:
            raise UsageError(
                "training.batch_size is 1, but this model normalises over the images of a batch (BatchNorm): use 2 or "
                "more"
            )
        probe = probe_of_images(self.config, self._model)
        earlier = earlier_images(
            self.config,
            self.splits.train,
            self.task,
            self.labels,
            model=self._model,
            answers=lambda pixels: self._answers(pixels, np.arange(len(pixels))),
            say=self.say,
        )
        self._remembered = [one for one in (probe, earlier) if one]

    def remembered(self) -> list[Remembered]:
        return self._remembered

    def plan(self) -> str:
        training, preparation = self.config.training, self._processor.preparation
        weights = list(self._model.network.parameters())
        count = sum(weight.numel() for weight in weights if weight.requires_grad)
        of_all = "" if all(weight.requires_grad for weight in weights) else " in its last layer, the rest frozen"
        return (
            f"{self._model.base} ({count:,} weights{of_all}), at most {training.epochs} epochs of batches of "
            f"{training.batch_size} images of {preparation.width} x {preparation.height} pixels"
        )

    def fit(self, fitting: Fitting) -> Outcome:
        training, augmentation = self.config.training, self.config.augmentation
        train, validation = (self._fetch(name, fitting.weight_columns(name)) for name in ("train", "validation"))

        def changed(draws: list[Draw]) -> dict[str, Tensor]:
            batch = train([row for row, _, _ in draws])
            batch = {**batch, "pixels": augment(batch["pixels"], draws, augmentation, seed=training.seed)}
            return batch if fitting.step_loss is None else self._with_fields(batch, draws)

        def looked_at(rows: list[int]) -> dict[str, Tensor]:
            batch = validation(rows)
            return batch if fitting.step_loss is None else self._with_fields(batch, [(row, 0, row) for row in rows])

        network = self._model.network
        order = DrawOrder(self.targets["train"], training.imbalance, batch_size=training.batch_size, seed=training.seed)
        with one_thread(when=self._is_small):
            outcome = fit(
                network,
                FetchedRows(len(self.splits.train), changed),
                FetchedRows(len(self.splits.validation), looked_at),
                fitting,
                order=order,
            )
        network.cpu().train(False)
        return outcome

    def _fetch(
        self, name: str, columns: Mapping[str, NDArray[Any]] = MappingProxyType({})
    ) -> Callable[[list[int]], dict[str, Tensor]]:
        """What makes a batch of some images of a split, as they are, with what else their rows carry."""
        images, targets = self.splits.by_name()[name], self.standard_targets(name)
        return lambda rows: {
            "pixels": torch.from_numpy(images.pixels[images.places[rows]]),
            "labels": torch.from_numpy(targets[rows]),
            **{column: torch.from_numpy(values[rows]) for column, values in columns.items()},
        }

    def _with_fields(self, batch: dict[str, Tensor], draws: Sequence[Draw]) -> dict[str, Tensor]:
        """With the fields of each image, cut by its own draw, not the one that it is changed by."""
        seed = self.config.training.seed
        streams = [np.random.Generator(np.random.Philox([seed, _FIELDS, epoch, place])) for _, epoch, place in draws]
        return with_fields(batch, streams, patch_size=self._model.patch_size, maskings=self.maskings)

    def players(self) -> Players:
        return FieldPlayers()

    def batch_of(self, name: str, rows: Sequence[int]) -> Batch:
        return self._with_fields(self._fetch(name)(list(rows)), [(row, 0, row) for row in rows])

    def answers_to(self, inputs: Batch) -> NDArray[np.floating[Any]]:
        with one_thread(when=self._is_small):
            return self._answers(inputs["pixels"].numpy(), np.arange(len(inputs["pixels"])))

    def predict(self, name: str) -> NDArray[np.floating[Any]]:
        images = self.splits.by_name()[name]
        return self._answers(images.pixels, images.places)

    def _answers(self, pixels: Pixels, places: NDArray[np.intp]) -> NDArray[np.floating[Any]]:
        with one_thread(when=self._is_small):
            return self.task.in_unit(self._model.predict(pixels, places), self.scale)

    @property
    def _is_small(self) -> bool:
        return self._model.operations() * self.config.training.batch_size < _OPERATIONS_TO_SHARE

    @property
    def network(self) -> nn.Module:
        return self._model.network

    def fit_baseline(self) -> dict[str, NDArray[np.float64]]:
        parts = [shrink(part.pixels, part.places, self.targets[name]) for name, part in self.splits.by_name().items()]
        return self.task.baseline(neighbour_outputs, parts, classes=len(self.labels))

    def label_model(self, names: Sequence[str]) -> LabelModel:
        parts = [self.splits.by_name()[name] for name in names]
        places = np.concatenate([part.places for part in parts])
        pictures = shrink(parts[0].pixels, places, np.concatenate([self.targets[name] for name in names]))
        called = [str(name) for part in parts for name in part.names]
        return NeighbourLabels(pictures, called, len(self.labels), self.labels)

    def game(self, row: int) -> Game | None:
        test = self.splits.test
        with one_thread(when=self._is_small):
            return image_game(self._model, np.asarray(test.pixels[test.places[row]]))

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """By brightness."""
        test = self.splits.test
        brightness = np.array([float(test.pixels[place].mean()) for place in test.places])
        return dict(thirds(brightness, ("darkest third", "middle third", "brightest third")))

    def row_fields(self, name: str) -> dict[str, Sequence[Any]]:
        found = [picture_figures(decode(read_content(one))) for one in self.splits.by_name()[name].contents]
        return {key: [one[key] for one in found] for key in found[0]}

    def write_model(self, folder: Path) -> None:
        self._model.save(folder / "model")

    def held_out(self, folder: Path, split: str = "test") -> Iterable[dict[str, Any]]:
        """The images of a split, which become upright PNG files, with their labels."""
        (folder / "held_out").mkdir()
        self._smaller: dict[int, NDArray[np.uint8]] = {}
        part = self.splits.by_name()[split]
        for number, (content, label) in enumerate(zip(part.contents, part.labels, strict=True)):
            image = decode(read_content(content))
            if max(image.size) > _HELD_OUT_EDGE:
                image.thumbnail((_HELD_OUT_EDGE, _HELD_OUT_EDGE), Image.Resampling.LANCZOS)
                self._smaller[number] = self._processor.preparation.pixels(image)
            name = f"held_out/{number:05d}.png"
            image.save(folder / name)
            side = {} if part.sides is None else {self.config.fairness.over: part.sides[number]}
            yield {"image": name, **side, self.task.label_field: self.task.plain(label)}

    def held_out_outputs(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """An image that was made smaller for its file gets the answers to the smaller one."""
        if self._smaller:
            outputs = outputs.copy()
            pixels = np.stack([*self._smaller.values()])
            outputs[list(self._smaller)] = self._answers(pixels, np.arange(len(pixels)))
        return outputs

    def describe_model(self) -> TrainingRun:
        """How images become pixels, and the base."""
        processor = self._processor
        return TrainingRun(
            target_scale=self.target_scale(),
            image=processor.preparation.schema(self._model.patch_size),
            normalisation=PixelNormalisation(mean=processor.mean, std=processor.std, rescale=processor.rescale),
            base_model=self._model.base,
        )

    def packages(self) -> list[str]:
        return ["pillow"]

    def shown(self, test: Evaluation) -> dict[str, Any]:
        """How training changes images, and the worst mistakes."""
        worst = worst_rows(self.task, test, self.labels, _WORST_MISTAKES)
        augmentation, seed = self.config.augmentation, self.config.training.seed
        return {
            "changed": changed_images(self.splits.train, self.task, augmentation, seed=seed),
            "mistakes": pictures_of(self.splits.test, worst),
        }

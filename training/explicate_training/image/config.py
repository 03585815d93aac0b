"""The options of a training run on images; `config.options` has those that all kinds share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from explicate.errors import UsageError
from explicate_training.calibration.answer_options import CalibrationOptions, ThresholdOptions
from explicate_training.config.checks import check_data, check_forgetting, check_layers, check_values
from explicate_training.config.sections import LabelledData, OutputConfig, TrainingOptions, option
from explicate_training.data.demos import DEMO_IMAGES
from explicate_training.fairness.group_options import FairnessOptions
from explicate_training.interpretability.terms import Interpretability, absent, check_terms
from explicate_training.tasks.registry import task_named

ARCHITECTURES = ("resnet", "vit", "mobilenet-v2")


@dataclass(frozen=True)
class ImageDataConfig(LabelledData):
    """Where the labelled images are, and how they are cleaned and split."""

    counted = "images"
    source = "images"
    demos = tuple(DEMO_IMAGES)

    demo: str = option("", f"a named demo set instead of files: {', '.join(DEMO_IMAGES)}", choices=("", *DEMO_IMAGES))
    images: str = option(
        "",
        "folder with a folder of images for each class (or train/, validation/, test/ with such folders), or a .csv, "
        ".tsv, .json, .jsonl, .parquet or .xlsx file with paths of images",
        before="validation",
    )
    validation: str = option("", "validation images, given like images; empty: a part of images")
    test: str = option("", "test images, never trained on, given like images; empty: a part of images")
    image_column: str = option(
        "image", "of a file: name of the column with the paths, from the file's folder", before="label_column"
    )
    label_column: str = option("label", "of a file: name of the column with the class, the labels or the number")
    empty_label: str = option(
        "missing",
        "a cell without labels: missing (the image is left out) or none (no label applies)",
        choices=("missing", "none"),
    )
    group_column: str = option(
        "", "of a file: images with the same value here never stand in two splits", before="validation_fraction"
    )
    minimum_edge: int = option(
        4, "images with an edge of fewer pixels are left out", minimum=1, maximum=10_000, before="minimum_class_count"
    )
    minimum_class_count: int = option(10, "fewest images that a class or label may have after cleaning", minimum=3)


@dataclass(frozen=True)
class ImageModelConfig:
    """Which model is fine-tuned, or what a new one looks like."""

    base: str = option(
        "", "Hugging Face directory or hub name of an image classifier with preprocessor_config.json; or architecture"
    )
    architecture: str = option(
        "", f"a new model, trained from nothing: {', '.join(ARCHITECTURES)}", choices=("", *ARCHITECTURES)
    )
    image_size: int = option(32, "of a new model: pixels of an edge of what it reads", minimum=8, maximum=1024)
    width: int = option(
        32, "of a new model: channels of the first stage (resnet), size of a token (vit)", minimum=8, maximum=4096
    )
    depth: int = option(3, "of a new model: stages, each twice as wide, or layers (vit)", minimum=1, maximum=48)
    trained: str = option(
        "all", "all: every weight; head: only the last layer, the backbone is frozen", choices=("all", "head")
    )


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of the training images, drawn from the seed; 0 turns one off."""

    flip: float = option(0.5, "part that is mirrored; 0 where left and right matter", minimum=0, maximum=1)
    crop: float = option(0.1, "part of an edge that is cut away at most, anywhere", minimum=0, below=1)
    rotation: float = option(10.0, "degrees that it is turned at most, either way", minimum=0, maximum=180)
    colour: float = option(
        0.2, "brightness, contrast and saturation are changed by this part at most", minimum=0, below=1
    )
    noise: float = option(0.02, "standard deviation of noise, as a part of white, at most", minimum=0, maximum=1)


@dataclass(frozen=True)
class ImageTrainingConfig(TrainingOptions):
    """How it is trained."""

    epochs: int = option(10, "passes over the training images, at most", minimum=1, maximum=100_000)
    batch_size: int = option(32, "images in a step", minimum=1, maximum=65536)
    evaluations_per_epoch: int = option(1, "validations (and checkpoints) in an epoch", minimum=1, maximum=1000)
    early_stopping_patience: int = option(5, "validations without a better one before it stops; 0: never", minimum=0)
    imbalance: str = option(
        "none",
        "what helps rare classes: class-weights (of labels, too), over-sampling, under-sampling or none",
        choices=("none", "class-weights", "over-sampling", "under-sampling"),
        before="loss",
    )


@dataclass(frozen=True)
class ImageConfig:
    """All options of a training run on images, by the sections of its TOML file."""

    kind: ClassVar[str] = "image"
    example: ClassVar[Mapping[str, str]] = {"data.images": "photos", "model.architecture": "resnet"}

    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    model: ImageModelConfig = field(default_factory=ImageModelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    training: ImageTrainingConfig = field(default_factory=ImageTrainingConfig)
    interpretability: Interpretability = field(default_factory=absent)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    fairness: FairnessOptions = field(default_factory=FairnessOptions)
    output: OutputConfig = field(default_factory=OutputConfig)

    def check(self) -> None:
        """Raises UsageError, naming the option, when a value is out of its range or two options do not go together."""
        check_values(self)
        check_terms(self)
        check_data(self.data, "the images", ("image_column", "group_column"), fixed=("task",))
        task_named(self.data.task).check_options(self.training)
        check_forgetting(self.training, "data", "label")
        model = self.model
        if bool(model.base) == bool(model.architecture):
            raise UsageError(
                "model.base or model.architecture must be set, one of the two: a Hugging Face directory or name to "
                f"fine-tune, or a new {', '.join(ARCHITECTURES)}"
            )
        if model.architecture and model.trained == "head":
            raise UsageError(
                "model.trained is head, but a new model has learnt nothing yet: train all, or set model.base"
            )
        if model.architecture:
            check_layers(self.training, "this one is new: leave it out, or set model.base")
        if model.trained == "head":
            check_layers(self.training, "model.trained is head, which freezes them: leave one of the two out")
        # A stage that halves a single pixel learns nothing, and torch's bf16 gradients of it are of memory that nobody
        # wrote.
        if model.architecture == "resnet" and 2**model.depth >= model.image_size:
            raise UsageError(
                f"model.depth {model.depth} is too much for a resnet and model.image_size {model.image_size}, of which "
                f"the stages leave less than a pixel: use {int(math.log2(model.image_size - 1))} at most, or larger "
                "images"
            )
        if model.architecture == "vit" and model.image_size % 4:
            raise UsageError(f"model.image_size must be divisible by 4 for a vit, not {model.image_size}")

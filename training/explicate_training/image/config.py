"""The options of a training run on images; `config` has those of a run on texts, and what all kinds share."""

import math
from dataclasses import dataclass, field
from typing import Literal

from explicate.errors import UsageError
from explicate_training.data.labels import TASKS, check_columns_differ, check_label_options, columns_with_labels
from explicate_training.tasks.task_options import ALL_CHECKPOINT_METRICS, ALL_LOSSES, check_task_options
from explicate_training.text.config import LoopConfig, OutputConfig, check_values, option

IMAGE_DEMO_SETS = ("digits",)
ARCHITECTURES = ("resnet", "vit", "mobilenet-v2")


@dataclass(frozen=True)
class ImageDataConfig:
    """Where the labelled images are, and how they are cleaned and split."""

    demo: str = option(
        "", f"a named demo set instead of files: {', '.join(IMAGE_DEMO_SETS)}", choices=("", *IMAGE_DEMO_SETS)
    )
    images: str = option(
        "",
        "folder with a folder of images for each class (or train/, validation/, test/ with such folders), or a .csv, "
        ".tsv, .jsonl or .parquet file with paths of images",
    )
    validation: str = option("", "validation images, given like images; empty: a part of images")
    test: str = option("", "test images, never trained on, given like images; empty: a part of images")
    image_column: str = option("image", "of a file: name of the column with the paths, from the file's folder")
    label_column: str = option("label", "of a file: name of the column with the class, the labels or the number")
    task: Literal["classification", "multi-label", "regression"] = option(
        "classification", "classification, multi-label (any number of labels), or regression", choices=TASKS
    )
    label_columns: str = option("", "instead, of several labels: 0/1 columns, one for each, separated by commas")
    label_separator: str = option(",", "what stands between several labels in a cell; lists need none")
    empty_label: str = option(
        "missing",
        "a cell without labels: missing (the image is left out) or none (no label applies)",
        choices=("missing", "none"),
    )
    group_column: str = option("", "of a file: images with the same value here never stand in two splits")
    validation_fraction: float = option(0.15, "part of the training images for validation", above=0, maximum=0.5)
    test_fraction: float = option(0.15, "part of the images for the test, when none are given", above=0, maximum=0.5)
    minimum_edge: int = option(4, "images with an edge of fewer pixels are left out", minimum=1, maximum=10_000)
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
        "all",
        "all: every weight; head: only the last layer, the backbone is frozen",
        choices=("all", "head"),
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
class ImageTrainingConfig(LoopConfig):
    """How it is trained."""

    epochs: int = option(10, "passes over the training images, at most", minimum=1, maximum=100_000)
    batch_size: int = option(32, "images in a step", minimum=1, maximum=65536)
    evaluations_per_epoch: int = option(1, "validations (and checkpoints) in an epoch", minimum=1, maximum=1000)
    early_stopping_patience: int = option(5, "validations without a better one before it stops; 0: never", minimum=0)
    best_metric: str = option(
        "auto",
        "validation metric that chooses the best checkpoint: loss; accuracy, f1_macro, auroc of classes; f1_micro, "
        "f1_macro, auroc, average_precision, subset_accuracy of labels; r2, mae, rmse; auto: f1_macro or mae",
        choices=("auto", "loss", *ALL_CHECKPOINT_METRICS),
    )
    imbalance: str = option(
        "none",
        "what helps rare classes: class-weights (of labels, too), over-sampling, under-sampling or none",
        choices=("none", "class-weights", "over-sampling", "under-sampling"),
    )
    loss: str = option(
        "auto",
        "cross-entropy, binary-cross-entropy of several labels; mse, mae or huber of a regression; auto: the first",
        choices=("auto", *ALL_LOSSES),
    )
    huber_delta: float = option(
        1.0, "error, in standard deviations of the target, from which huber grows linearly", above=0, maximum=1e6
    )


@dataclass(frozen=True)
class ImageConfig:
    """All options of a training run on images, by the sections of its TOML file."""

    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    model: ImageModelConfig = field(default_factory=ImageModelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    training: ImageTrainingConfig = field(default_factory=ImageTrainingConfig)
    output: OutputConfig = field(default_factory=OutputConfig)


def check_image_config(config: ImageConfig) -> None:
    """Raises UsageError, naming the option, when a value is out of its range or two options do not go together."""
    check_values(config)
    data, model = config.data, config.model
    if bool(data.demo) == bool(data.images):
        raise UsageError("data.images or data.demo must be set, one of the two: the images, or a demo set")
    if data.demo and (data.validation or data.test):
        raise UsageError("data.validation and data.test do not go with data.demo: leave them out")
    for name in ("image_column", "label_column"):
        if not getattr(data, name):
            raise UsageError(f"data.{name} must not be empty: give the name of the column")
    if data.demo and data.task != "classification":
        raise UsageError("data.task does not go with data.demo: leave it out")
    _check_task(config)
    if bool(model.base) == bool(model.architecture):
        raise UsageError(
            "model.base or model.architecture must be set, one of the two: a Hugging Face directory or name to "
            f"fine-tune, or a new {', '.join(ARCHITECTURES)}"
        )
    if model.architecture and model.trained == "head":
        raise UsageError("model.trained is head, but a new model has learnt nothing yet: train all, or set model.base")
    # A stage that halves a single pixel learns nothing, and torch's bf16 gradients of it are of memory never written.
    if model.architecture == "resnet" and 2**model.depth >= model.image_size:
        raise UsageError(
            f"model.depth {model.depth} is too much for a resnet and model.image_size {model.image_size}, of which the "
            f"stages leave less than a pixel: use {int(math.log2(model.image_size - 1))} at most, or larger images"
        )
    if model.architecture == "vit" and model.image_size % 4:
        raise UsageError(f"model.image_size must be divisible by 4 for a vit, not {model.image_size}")


def _check_task(config: ImageConfig) -> None:
    task, training = config.data.task, config.training
    check_label_options(config.data, task)
    columns = {"data.image_column": config.data.image_column, "data.group_column": config.data.group_column}
    check_columns_differ({**columns, **columns_with_labels(config.data)})
    check_task_options(task, training)
    allowed = {"classification": None, "multi-label": ("none", "class-weights"), "regression": ("none",)}[task]
    if allowed is not None and training.imbalance not in allowed:
        raise UsageError(
            f"training.imbalance is {training.imbalance}, but this is a {task}: use {' or '.join(allowed)}"
        )

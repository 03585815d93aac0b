"""What became of labelled images: data.json and report.html of a run on them, and the lines for the terminal."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any  # JSON values

import numpy as np
import torch
from PIL import Image

from explicate_bundle.images import Pixels, encode_png
from explicate_training.data.labels import SPLITS, Task, label_summary, shown_label, summary_words
from explicate_training.image.augmentation import augment
from explicate_training.image.cleaning import REASONS, CleanImages, ImageSplits
from explicate_training.image.config import AugmentationConfig, ImageDataConfig
from explicate_training.image.data import ImageSet
from explicate_training.report.report import Evaluation, worst_rows

_SHOWN_IMAGES, _SHOWN_CHANGES = 6, 5  # of the augmentation: images, and changes of each
_WORST_MISTAKES = 24
_SHOWN_EDGE = 96  # pixels of a picture in the report, at least; at most twice that

Pictures = list[dict[str, Any]]


def image_data_report(clean: CleanImages, splits: ImageSplits, config: ImageDataConfig) -> dict[str, Any]:
    """The content of data.json."""
    report = clean.report
    return {
        "source": config.demo or config.images,
        "sha256": clean.sha256,
        "images_read": {split: report.read[split] for split in SPLITS if report.read[split]},
        "images_dropped": {reason: report.dropped[reason] for reason in REASONS},
        "test_duplicates_kept": report.test_duplicates_kept,
        "splits": {
            name: {"images": len(part), **label_summary(config.task, part.labels.tolist())}
            for name, part in vars(splits).items()
        },
        "examples_dropped": {reason: report.examples[reason] for reason in REASONS if reason in report.examples},
    }


def image_report_lines(report: Mapping[str, Any]) -> list[str]:
    """The same for the terminal."""
    read = report["images_read"]
    parts = ", ".join(f"{count:,} {split}" for split, count in read.items())
    lines = [f"read {sum(read.values()):,} images of {report['source']} ({parts})"]
    dropped = {reason: count for reason, count in report["images_dropped"].items() if count}
    lines.append(f"cleaning dropped {sum(dropped.values()):,} images:" if dropped else "cleaning dropped nothing")
    for reason, count in dropped.items():
        lines.append(f"  {count:>6,} {reason}, such as {report['examples_dropped'][reason][0]}")
    if report["test_duplicates_kept"]:
        lines.append(
            f"  the test set keeps {report['test_duplicates_kept']:,} pictures that stand in it more than once"
        )
    lines.append("splits:")
    lines += [
        f"  {name:<11}{split['images']:>6,} images: {summary_words(split)}" for name, split in report["splits"].items()
    ]
    return lines


def changed_images(train: ImageSet, config: AugmentationConfig, *, seed: int) -> list[Pictures]:
    """For a few training images a row: the image as the model reads it, then changes as training draws them."""
    rows = np.linspace(0, len(train) - 1, min(_SHOWN_IMAGES, len(train))).round().astype(int)
    shown = []
    for row in rows.tolist():
        pixels = train.pixels[train.places[row]]
        repeated = torch.from_numpy(np.repeat(pixels[np.newaxis], _SHOWN_CHANGES, axis=0))
        changes = augment(repeated, [(row, 0, row + place) for place in range(_SHOWN_CHANGES)], config, seed=seed)
        shown.append([_picture(one, shown_label(train.labels[row])) for one in (pixels, *changes.numpy())])
    return shown


def worst_mistakes(task: Task, test: Evaluation, images: ImageSet, labels: Sequence[str]) -> Pictures:
    """The wrong answers that the model was surest of, surest first; of a regression those that are furthest off."""
    return [
        {**_picture(images.pixels[images.places[row]], str(images.names[row])), **told}
        for row, told in worst_rows(task, test, labels, _WORST_MISTAKES).items()
    ]


def _picture(pixels: Pixels, name: str) -> dict[str, Any]:
    """A picture that needs no file, small ones enlarged with their pixels seen, large ones made smaller."""
    height, width = pixels.shape[:2]
    times = max(1, _SHOWN_EDGE // max(height, width))
    image = Image.fromarray(pixels).resize((width * times, height * times), Image.Resampling.NEAREST)
    image.thumbnail((2 * _SHOWN_EDGE, 2 * _SHOWN_EDGE))
    encoded = base64.b64encode(encode_png(np.asarray(image))).decode()
    return {"name": name, "address": f"data:image/png;base64,{encoded}"}

"""Small random image models of three families, images of shapes to learn from, and run directories of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any  # JSON values; configs of transformers

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoModelForImageClassification, MobileNetV2Config, ResNetConfig, ViTConfig

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import PixelNormalisation, TargetScale, TrainingRun
from explicate_training.loop.trainer import one_thread
from support.run_files import read_lines, write_lines, write_record

LABELS = ("circle", "square", "stripe")
TARGET_MEAN, TARGET_SPREAD = 100.0, 25.0  # of a regression
EDGE = 32  # pixels that the models read
FAMILIES = ("resnet", "vit", "mobilenet-v2")
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def shape_image(label: str, stream: np.random.Generator, *, width: int = 40, height: int = 36) -> Image.Image:
    """A noisy picture with a shape of any colour somewhere."""
    pixels = stream.integers(0, 60, (height, width, 3)).astype(np.uint8)
    y, x = np.indices((height, width))
    centre_x, centre_y = stream.integers(12, width - 12), stream.integers(12, height - 12)
    radius = stream.integers(7, 11)
    inside = {
        "circle": (x - centre_x) ** 2 + (y - centre_y) ** 2 <= radius**2,
        "square": np.maximum(abs(x - centre_x), abs(y - centre_y)) <= radius,
        "stripe": (abs(y - centre_y) <= 2) & (abs(x - centre_x) <= 2 * radius),
    }[label]
    pixels[inside] = stream.integers(120, 256, 3)
    return Image.fromarray(pixels)


def write_images(folder: Path, labels: Sequence[str] = LABELS, *, each: int = 20, seed: int = 0) -> Path:
    """Folders of PNG files, one for each label."""
    stream = np.random.default_rng(seed)
    for label in labels:
        (folder / label).mkdir(parents=True)
        for number in range(each):
            shape_image(label, stream).save(folder / label / f"{number}.png")
    return folder


def write_base(
    directory: Path, family: str, *, labels: Sequence[str] = LABELS, seed: int = 0, config: Any = None, edge: int = EDGE
) -> Path:
    """A Hugging Face directory of a random model that reads `edge` x `edge` pixels: small, or of a given config."""
    configs: dict[str, Any] = {
        "resnet": ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
        "vit": ViTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=EDGE,
            patch_size=8,
            initializer_range=0.3,
        ),
        "mobilenet-v2": MobileNetV2Config(depth_multiplier=0.25, min_depth=8, image_size=EDGE),
    }
    config = config or configs[family]
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    with torch.random.fork_rng(devices=[]), torch.no_grad(), one_thread(when=True):
        torch.manual_seed(seed)
        model = AutoModelForImageClassification.from_config(config)  # type: ignore[no-untyped-call]
        if family != "vit":  # whose statistics of normalisation are those of nothing: let it see some noise
            model.train()
            for _ in range(30):
                model(pixel_values=torch.randn(16 if edge == EDGE else 2, 3, edge, edge))
        model.train(False)
        logits = model(pixel_values=torch.randn(64 if edge == EDGE else 16, 3, edge, edge)).logits
        head = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
        # Answers that differ; not by more, because rounding is enlarged along with them.
        head.weight.mul_((0.7 / logits.std(dim=0))[:, None])
        head.bias.zero_()
    model.save_pretrained(directory)
    settings = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"shortest_edge": edge + 4},
        "resample": 3, "do_center_crop": True, "crop_size": {"height": edge, "width": edge}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": MEAN, "image_std": STD,
    }  # fmt: skip
    (directory / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return directory


def write_image_run(
    directory: Path,
    family: str,
    *,
    kind: str = "image-classification",
    labels: Sequence[str] = LABELS,
    images: int = 24,
    width: int = 40,
    config: Any = None,
    edge: int = EDGE,
    patch_size: int = 8,
) -> Path:
    """A whole run, as `explicate train` leaves it, of a random model: a small one, or of a given config."""
    outputs = labels or ["height"]
    write_base(directory / "model", family, labels=outputs, config=config, edge=edge)
    stream = np.random.default_rng(1)
    (directory / "held_out").mkdir()
    lines = []
    for number in range(images):
        shape = LABELS[number % len(LABELS)]
        shape_image(shape, stream, width=width).save(directory / "held_out" / f"{number:05d}.png")
        target: dict[str, Any] = {"label": shape}
        if kind == "image-regression":
            target = {"value": float(stream.normal(TARGET_MEAN, TARGET_SPREAD))}
        elif kind == "image-multi-label":
            target = {"labels": [shape]}
        lines.append({"image": f"held_out/{number:05d}.png", **target})
    record = TrainingRun(
        objective=kind.removeprefix("image-"),
        labels=labels,
        target_name="shape" if labels else "height",
        target_scale=None if labels else TargetScale(mean=TARGET_MEAN, spread=TARGET_SPREAD),
        image=bundle_pb2.ImageSchema(
            width=edge,
            height=edge,
            shortest_edge=edge + 4,
            resampling=bundle_pb2.RESAMPLING_BICUBIC,
            patch_size=patch_size if family == "vit" else None,
        ),
        normalisation=PixelNormalisation(mean=MEAN, std=STD, rescale=1 / 255),
        base_model=f"tiny-{family}",
        seed=7,
        data_sha256="0" * 64,
        tool_versions={"torch": "0"},
    )
    test = {"accuracy": 0.75} if labels else {"r2": 0.5}
    write_record(directory, record, metrics={"test": test}, data={"images": images})
    write_lines(directory, lines)
    write_outputs(directory, edge=edge)
    return directory


def write_outputs(
    directory: Path, *, resampling: Image.Resampling = Image.Resampling.BICUBIC, edge: int = EDGE
) -> None:
    """Puts what the run's model answers into held_out.jsonl, as training does."""
    lines, pixels = read_lines(directory), []
    for line in lines:
        with Image.open(directory / line["image"]) as image:
            pixels.append(prepared(image, resampling, edge=edge))
    values = (np.stack(pixels) / 255 - MEAN) / STD
    with torch.no_grad(), one_thread(when=True):
        model = AutoModelForImageClassification.from_pretrained(directory / "model").train(False)
        outputs = model(pixel_values=torch.from_numpy(np.moveaxis(values, 3, 1).astype(np.float32))).logits.numpy()
    if "value" in lines[0]:
        outputs = outputs * TARGET_SPREAD + TARGET_MEAN
    write_lines(directory, ({**line, "outputs": row} for line, row in zip(lines, outputs.tolist(), strict=True)))


def prepared(
    image: Image.Image, resampling: Image.Resampling = Image.Resampling.BICUBIC, *, edge: int = EDGE
) -> NDArray[np.uint8]:
    """What the models of this module read of an upright RGB image, written down again in the simplest way."""
    width, height = image.size
    short = edge + 4
    size = (round(width * short / height), short) if height <= width else (short, round(height * short / width))
    resized = image.resize(size, resampling)
    left, top = (size[0] - edge) // 2, (size[1] - edge) // 2
    return np.asarray(resized)[top : top + edge, left : left + edge]

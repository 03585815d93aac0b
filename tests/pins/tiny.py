"""The nine tiny models that are pinned: three kinds of input with three objectives each.

The one place that imports the builders of `tests/`, which move while the code is refactored.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # cells and JSON values

import numpy as np
from PIL import Image

from support.tiny_bundle import write_tiny_run
from support.tiny_image_run import shape_image, write_image_run
from support.tiny_table_run import write_table_run
from support.tiny_text_model import WORDS, write_tiny_text_model

KINDS = ("text", "table", "image")
OBJECTIVES = ("classification", "multi-label", "regression")
NAMES = tuple(f"{kind}-{objective}" for kind in KINDS for objective in OBJECTIVES)
FLAGS = ("late", "rude", "wrong")
_PLAIN = [word for word in WORDS if word not in ("great", "bad", "late")]
_EDGE = 16


def kind_of(name: str) -> str:
    """ "table" of "table-regression"."""
    return name.partition("-")[0]


# Run directories of random models, as `explicate train` leaves them.


def write_run(name: str, folder: Path) -> Path:
    """Writes the run directory of one of the models; the text regression reads pairs."""
    kind, _, objective = name.partition("-")
    return _RUNS[kind](folder, objective)


def _text_run(folder: Path, objective: str) -> Path:
    if objective == "classification":
        return write_tiny_run(folder)
    if objective == "multi-label":
        return write_tiny_run(folder, kind="text-multi-label", labels=FLAGS)
    return write_tiny_run(folder, kind="text-regression", labels=(), pairs=True)


def _table_run(folder: Path, objective: str) -> Path:
    if objective == "classification":
        return write_table_run(folder)
    kind, labels = f"tabular-{objective}", FLAGS if objective == "multi-label" else ()
    return write_table_run(folder, labels=labels, kind=kind)


def _image_run(folder: Path, objective: str) -> Path:
    if objective == "classification":
        return write_image_run(folder, "vit")
    if objective == "multi-label":
        return write_image_run(folder, "resnet", kind="image-multi-label")
    return write_image_run(folder, "resnet", kind="image-regression", labels=())


_RUNS: Mapping[str, Callable[[Path, str], Path]] = {"text": _text_run, "table": _table_run, "image": _image_run}


# Inputs to ask the models about.

TEXT, TEXT_PAIR = "this tea is great", "the box was late"
LONG_TEXT = "We never had any of it. The tea was good, but the box came very late and cold!"
ROW: Mapping[str, float | str | bool | None] = {
    "city": "Köln", "age": 34.5, "member": True, "income": None, "size": "large", "distance": -2.25,
}  # fmt: skip
ODD_ROW = {**ROW, "city": "nowhere", "age": 7, "member": None, "size": "small", "income": 12}


def write_pictures(folder: Path) -> tuple[Path, Path]:
    """Two image files: a noisy shape, and a wide one that is partly transparent."""
    stream = np.random.default_rng(3)
    first, second = folder / "circle.png", folder / "wide.png"
    shape_image("circle", stream).save(first)
    wide = shape_image("stripe", stream, width=70, height=40).convert("RGBA")
    wide.paste((0, 0, 0, 0), (0, 0, 10, 40))
    wide.save(second)
    return first, second


# Labelled data to train on, with a config for each.


@dataclass(frozen=True)
class _Example:
    """What every kind of input is made of: its labels and its number."""

    label: str
    labels: list[str]
    number: float

    def targets(self) -> dict[str, Any]:
        return {"label": self.label, "labels": self.labels, "number": self.number}


def write_training(name: str, folder: Path) -> Path:
    """Writes data and a config for `explicate train`; returns the config."""
    kind, _, objective = name.partition("-")
    folder.mkdir(parents=True, exist_ok=True)
    settings = _TRAININGS[kind](folder)
    column = {"classification": "label", "multi-label": "labels", "regression": "number"}[objective]
    data = {**settings.pop("data"), "task": objective, "label_column": column}
    settings.get("data.columns", {}).pop(column, None)
    if objective == "regression":
        settings["training"] = {**settings["training"], "loss": "huber"}
    sections = {"data": data, **settings, "output": {"explained": 6}}
    lines = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
    config = folder / f"{name}.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    return config


def _text_training(folder: Path) -> dict[str, dict[str, Any]]:
    write_tiny_text_model(folder / "base", seed=3)
    stream = random.Random(0)
    rows = []
    for index in range(90):
        label = "great" if index % 3 else "bad"
        labels = [name for name in ("great", "bad", "late") if stream.random() < 0.5] or ["late"]
        text = " ".join([*stream.sample(_PLAIN, 6), label, *labels])
        rows.append({"text": text, **_Example(label, labels, round(100 + 5 * stream.gauss(0, 1), 3)).targets()})
    rows.append({"text": "", **_Example("great", ["great"], 1.0).targets()})
    rows.append(rows[5])
    _write_lines(folder / "texts.jsonl", rows)
    return {
        "data": {"train": "texts.jsonl", "minimum_class_count": 3, "test_fraction": 0.2, "validation_fraction": 0.2},
        "model": {"base": "base", "max_tokens": 24},
        "training": {"epochs": 1, "batch_size": 16, "learning_rate": 2e-3, "precision": "fp32", "device": "cpu"},
    }


def _table_training(folder: Path) -> dict[str, dict[str, Any]]:
    stream = random.Random(1)
    rows: list[dict[str, Any]] = []
    for index in range(160):
        price, city = round(stream.gauss(50, 10), 3), stream.choice(["rome", "oslo", "<b>bonn</b>"])
        score = (price - 50) / 10 + 2 * (city == "oslo") + 0.3 * stream.gauss(0, 1)
        labels = [name for name, flag in (("dear", score > 0.5), ("far", city == "oslo")) if flag] or ["near"]
        cells = {"price": price, "city": city, "adult": stream.random() < 0.5, "size": stream.choice(["S", "L"])}
        kept = {key: value if stream.random() > 0.1 else None for key, value in cells.items()}
        targets = _Example("no" if score > 0.7 else "yes", labels, round(100 + 20 * score, 2)).targets()
        rows.append({"row": index, **kept, "country": "it", **targets})
    _write_lines(folder / "table.jsonl", rows)
    return {
        "data": {"table": "table.jsonl", "background_rows": 5, "minimum_class_count": 3, "leakage_threshold": 1.0},
        "data.columns": {"size": ["S", "L"], "label": "ignore", "labels": "ignore", "number": "ignore"},
        "data.groups": {"person": ["adult", "size"]},
        "model": {"width": 16, "blocks": 1, "members": 2, "bins": 4},
        "training": {"epochs": 3, "batch_size": 32, "learning_rate": 1e-2, "device": "cpu"},
    }


def _image_training(folder: Path) -> dict[str, dict[str, Any]]:
    stream = np.random.default_rng(0)
    rows = []
    for number in range(60):
        shape, light = ("circle", "square")[number % 2], float(stream.uniform(0, 120))
        pixels = np.asarray(shape_image(shape, stream)).astype(float)
        Image.fromarray(np.clip(pixels / 2 + light, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        labels = [shape, *(["bright"] if light > 60 else [])]
        rows.append({"image": f"{number}.png", **_Example(shape, labels, round(light, 3)).targets()})
    rows.append({"image": "gone.png", **_Example("circle", ["circle"], 1.0).targets()})
    _write_lines(folder / "images.jsonl", rows)
    return {
        "data": {"images": "images.jsonl", "minimum_class_count": 3},
        "model": {"architecture": "resnet", "image_size": _EDGE, "width": 8, "depth": 2},
        "training": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "precision": "fp32", "device": "cpu"},
    }


_TRAININGS: Mapping[str, Callable[[Path], dict[str, dict[str, Any]]]] = {
    "text": _text_training,
    "table": _table_training,
    "image": _image_training,
}


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")

"""Images with several labels and with a number: runs whose saved models answer as their metrics say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score
from transformers import AutoModelForImageClassification

from explicate.errors import UsageError
from explicate_training.config.config_file import parse_config
from explicate_training.config.sections import OutputConfig
from explicate_training.image.config import ImageConfig, ImageDataConfig, ImageModelConfig, ImageTrainingConfig
from explicate_training.train import train
from support.tiny_image_run import shape_image

EDGE = 24
IMAGES = 100


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a circle or a square, bright or dark; the shape and "bright" are labels, the brightness a number."""
    folder = tmp_path_factory.mktemp("rows")
    stream = np.random.default_rng(0)
    lines = []
    for number in range(IMAGES):
        shape = ("circle", "square")[number % 2]
        light = float(stream.uniform(0, 120))
        pixels = np.asarray(shape_image(shape, stream)).astype(float)
        Image.fromarray(np.clip(pixels / 2 + light, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        labels = [shape, *(["bright"] if light > 60 else [])] if number % 10 else []
        lines.append(json.dumps({"image": f"{number}.png", "labels": labels, "light": round(light, 3)}))
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder / "rows.jsonl"


@pytest.fixture
def config(rows: Path, tmp_path: Path) -> ImageConfig:
    return ImageConfig(
        data=ImageDataConfig(images=str(rows), label_column="labels", task="multi-label"),
        model=ImageModelConfig(architecture="resnet", image_size=EDGE, width=8, depth=2),
        training=ImageTrainingConfig(epochs=6, batch_size=16, learning_rate=1e-2, precision="fp32"),
        output=OutputConfig(str(tmp_path / "run"), explained=0),
    )


def answers(run: Path) -> tuple[np.ndarray[Any, Any], list[dict[str, Any]]]:
    """What the saved model answers its held-out images, stretched and normalised by hand, and their lines."""
    lines = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    pixels = []
    for line in lines:
        with Image.open(run / line["image"]) as image:
            pixels.append(np.asarray(image.resize((EDGE, EDGE), Image.Resampling.BILINEAR)))
    values = torch.from_numpy(np.moveaxis((np.stack(pixels) / 255 - 0.5) / 0.5, 3, 1).astype(np.float32))
    with torch.no_grad():
        outputs = AutoModelForImageClassification.from_pretrained(run / "model")(pixel_values=values).logits
    return outputs.numpy(), lines


def test_several_labels_are_learnt_and_none_of_them_is_an_answer(config: ImageConfig) -> None:
    run = train(replace(config, training=replace(config.training, imbalance="class-weights")))
    description = json.loads((run / "run.json").read_text())
    assert description["objective"] == "multi-label"
    assert description["labels"] == ["bright", "circle", "square"]
    logits, lines = answers(run)
    wanted = np.array([[label in line["labels"] for label in description["labels"]] for line in lines])
    assert not wanted.any(axis=1).all()  # some have none
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert metrics["f1_micro"] == pytest.approx(f1_score(wanted, logits >= 0, average="micro", zero_division=0.0))
    assert metrics["f1_micro"] > 0.5
    assert "any of 3 labels" in (run / "report.html").read_text()


def test_a_number_is_learnt_and_answered_in_its_own_unit(config: ImageConfig) -> None:
    data = replace(config.data, label_column="light", task="regression")
    augmentation = replace(config.augmentation, colour=0.0)  # which would change what is to be learnt
    run = train(replace(config, data=data, augmentation=augmentation))
    description = json.loads((run / "run.json").read_text())
    assert (description["objective"], description["target_name"]) == ("regression", "light")
    assert "labels" not in description
    outputs, lines = answers(run)
    values = outputs[:, 0] * description["target_scale"]["spread"] + description["target_scale"]["mean"]
    np.testing.assert_allclose([line["outputs"][0] for line in lines], values, rtol=1e-4)
    wanted = np.array([line["value"] for line in lines])
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert metrics["mae"] == pytest.approx(np.abs(values - wanted).mean(), rel=1e-3)
    assert metrics["r2"] > 0.5
    assert "to predict light" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            "task = 'regression'\n[training]\nimbalance = 'over-sampling'",
            "imbalance is over-sampling, but this is a reg",
        ),
        ("task = 'multi-label'\n[training]\nimbalance = 'under-sampling'", "use none or class-weights"),
        ("task = 'regression'\n[training]\nbest_metric = 'auroc'", "training.best_metric is auroc"),
        ("task = 'multi-label'\n[training]\nloss = 'mse'", "training.loss is mse"),
        ("label_columns = 'a,b'", "data.label_columns is of several labels only"),
    ],
)
def test_options_that_do_not_fit_the_task_are_named(toml: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_config(f"[model]\narchitecture = 'resnet'\n[data]\nimages = 'a.csv'\n{toml}")


def test_a_folder_of_classes_holds_classes_only(config: ImageConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.task goes with a file of paths, and data\.images is a folder"):
        train(replace(config, data=ImageDataConfig(images=str(tmp_path), task="regression")))


def test_labels_that_are_too_rare_are_named(config: ImageConfig) -> None:
    with pytest.raises(UsageError, match="too few images with the label 'bright' after cleaning"):
        train(replace(config, data=replace(config.data, minimum_class_count=50)))

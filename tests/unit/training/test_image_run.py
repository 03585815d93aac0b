"""Whole runs on small images: the run directory, three families, freezing, repeatability, resumption, refusals."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from transformers import AutoModelForImageClassification

from explicate.errors import UsageError
from explicate_training.config.config_file import example_config, format_config, load_config, parse_config
from explicate_training.config.sections import OutputConfig
from explicate_training.image.config import (
    AugmentationConfig,
    ImageConfig,
    ImageDataConfig,
    ImageModelConfig,
    ImageTrainingConfig,
)
from explicate_training.train import train
from support.tiny_image_run import EDGE, FAMILIES, LABELS, MEAN, STD, prepared, write_base, write_images
from support.training_runs import to_folder, weights

HOSTILE = "<script>alert('$x$')"  # a folder's name holds no slash


@pytest.fixture
def config(image_config: ImageConfig) -> ImageConfig:
    return image_config


def held_out(run: Path) -> tuple[list[Image.Image], list[str]]:
    rows = [json.loads(line) for line in (run / "held_out.jsonl").read_text().splitlines()]
    images = []
    for row in rows:
        with Image.open(run / row["image"]) as image:
            images.append(image.copy())
    return images, [row["label"] for row in rows]


def answers(run: Path) -> np.ndarray[Any, Any]:
    """Logits that the saved model gives its held-out images, prepared and normalised by hand."""
    pixels = np.stack([prepared(image) for image in held_out(run)[0]]) / 255
    values = torch.from_numpy(np.moveaxis((pixels - MEAN) / STD, 3, 1).astype(np.float32))
    with torch.no_grad():
        logits = AutoModelForImageClassification.from_pretrained(run / "model")(pixel_values=values).logits
    given = [json.loads(line)["outputs"] for line in (run / "held_out.jsonl").read_text().splitlines()]
    np.testing.assert_allclose(given, logits, rtol=1e-4, atol=1e-4)
    return np.asarray(logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_run_directory_holds_all_that_export_needs(
    config: ImageConfig, bases: Path, family: str, capfd: pytest.CaptureFixture[str]
) -> None:
    config = replace(config, model=ImageModelConfig(base=str(bases / family)))
    run = train(config)
    assert sorted(entry.name for entry in run.iterdir()) == [
        "config.toml", "data.json", "diagnosis.json", "held_out", "held_out.jsonl", "metrics.json", "model", "report.html", "run.json",
    ]  # fmt: skip
    assert parse_config((run / "config.toml").read_text()) == config
    description = json.loads((run / "run.json").read_text())
    data = json.loads((run / "data.json").read_text())
    assert (description["objective"], description["labels"]) == ("classification", list(LABELS))
    assert description["base_model"] == str(bases / family)
    assert description["data_sha256"] == data["sha256"]
    assert description["image"] == {
        "width": EDGE, "height": EDGE, "shortest_edge": EDGE + 4, "resampling": "RESAMPLING_BICUBIC",
        **({"patch_size": 8} if family == "vit" else {}),
    }  # fmt: skip
    assert description["normalisation"] == {"mean": MEAN, "std": STD, "rescale": 1 / 255}
    assert {name: split["images"] for name, split in data["splits"].items()} == {
        "train": 66, "validation": 12, "test": 12,
    }  # fmt: skip

    logits, (images, labels) = answers(run), held_out(run)
    assert {image.size for image in images} == {(40, 36)}
    right = np.array(LABELS)[logits.argmax(axis=1)] == np.array(labels)
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert metrics["accuracy"] == pytest.approx(right.mean())
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = chances[np.arange(len(labels)), [LABELS.index(label) for label in labels]]
    assert metrics["log_loss"] == pytest.approx(-np.log(true).mean(), rel=1e-4)

    said = capfd.readouterr()
    assert said.out == ""
    assert "66 images: " in said.err
    assert "Warning" not in said.err


def test_a_run_can_be_the_base_of_another(config: ImageConfig, bases: Path) -> None:
    first = train(replace(to_folder(config, "a"), model=ImageModelConfig(base=str(bases / "vit"))))
    again = replace(
        to_folder(config, "b"),
        model=ImageModelConfig(base=str(first / "model")),
        training=replace(config.training, epochs=1, learning_rate=1e-12, warmup_fraction=0.0),
    )
    second = train(again)
    # Without a step to speak of it answers as the first: the last layer for the same classes is kept.
    np.testing.assert_allclose(answers(second), answers(first), atol=1e-4)
    assert (
        json.loads((second / "run.json").read_text())["image"] == json.loads((first / "run.json").read_text())["image"]
    )


def test_a_small_new_model_learns_and_its_report_shows_pictures(config: ImageConfig, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "two", ("circle", "stripe"), each=40)
    (folder / "stripe").rename(folder / HOSTILE)
    run = train(
        replace(
            config,
            data=ImageDataConfig(images=str(folder)),
            model=ImageModelConfig(architecture="resnet", image_size=24, width=8, depth=2),
            training=replace(config.training, epochs=8, learning_rate=1e-2),
        )
    )
    assert json.loads((run / "metrics.json").read_text())["test"]["accuracy"] > 0.8
    assert json.loads((run / "run.json").read_text())["base_model"] == "new resnet"
    report = (run / "report.html").read_text()
    assert "<script>" not in report
    assert "&lt;script&gt;" in report
    assert report.count("data:image/png;base64,") >= 36  # six images and five changes of each
    assert "http" not in report.replace("http://www.w3.org", "")


@pytest.mark.parametrize("architecture", ["vit", "mobilenet-v2"])
def test_other_new_models_are_trained(config: ImageConfig, architecture: str) -> None:
    model = ImageModelConfig(architecture=architecture, image_size=32, width=16, depth=1)
    run = train(replace(config, model=model, training=replace(config.training, epochs=1)))
    patch = json.loads((run / "run.json").read_text())["image"].get("patch_size", 0)
    assert patch == (4 if architecture == "vit" else 0)


@pytest.mark.parametrize("family", ["resnet", "vit"])
def test_a_frozen_backbone_keeps_its_weights_and_statistics(config: ImageConfig, bases: Path, family: str) -> None:
    base = bases / family
    run = train(replace(config, model=ImageModelConfig(base=str(base), trained="head")))
    before, after = load_file(base / "model.safetensors"), weights(run)
    assert set(before) == set(after)
    changed = {
        name for name in before if before[name].shape != after[name].shape or (before[name] != after[name]).any()
    }
    assert changed
    assert all(name.startswith("classifier") for name in changed), changed
    trained = train(replace(to_folder(config, "all"), model=ImageModelConfig(base=str(base))))
    assert any(not name.startswith("classifier") and (weights(trained)[name] != before[name]).any() for name in before)


def test_augmentation_is_for_training_only(config: ImageConfig) -> None:
    wild = AugmentationConfig(flip=0.5, crop=0.5, rotation=90, colour=0.9, noise=0.5)
    still = replace(config.training, epochs=1, learning_rate=1e-12, early_stopping_patience=0)
    model = replace(config.model, trained="head")  # whose statistics of normalisation do not follow the images
    runs = [
        train(replace(to_folder(config, name), model=model, training=still, augmentation=augmentation))
        for name, augmentation in (("wild", wild), ("plain", AugmentationConfig(0.0, 0.0, 0.0, 0.0, 0.0)))
    ]
    metrics = [json.loads((run / "metrics.json").read_text()) for run in runs]
    for split in ("validation", "test"):
        assert metrics[0][split]["log_loss"] == pytest.approx(metrics[1][split]["log_loss"], rel=1e-6)
    assert metrics[0]["history"][0]["loss"] != metrics[1]["history"][0]["loss"]


def test_held_out_images_are_kept_upright_and_at_most_1024_pixels_long(config: ImageConfig, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "few", ("circle", "stripe"), each=10)
    test = write_images(tmp_path / "test", ("circle", "stripe"), each=1, seed=9)
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (50, 100, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((3000, 1500)).save(test / "circle" / "0.png", exif=exif)
    data = ImageDataConfig(images=str(folder), test=str(test))
    run = train(replace(config, data=data, training=replace(config.training, epochs=1)))
    assert [image.size for image in held_out(run)[0]] == [(512, 1024), (40, 36)]
    answers(run)  # and the outputs are those of the smaller image


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[data]\nimages = 'a'", "model.base or model.architecture must be set"),
        ("[data]\nimages = 'a'\ndemo = 'digits'", "data.images or data.demo must be set, one of the two"),
        ("[data]\ndemo = 'digits'\ntest = 'a'", "data.validation and data.test do not go with data.demo"),
        ("[data]\nimages = 'a'\nimage_column = 'label'", "data.image_column and data.label_column are both 'label'"),
        ("[data]\nimages = 'a'\n[model]\narchitecture = 'vgg'", "model.architecture must be one of"),
        ("[data]\nimages = 'a'\n[model]\narchitecture = 'vit'\ntrained = 'head'", "a new model has learnt nothing yet"),
        ("[data]\nimages = 'a'\n[model]\narchitecture = 'vit'\nimage_size = 30", "divisible by 4 for a vit"),
        (
            "[data]\nimages = 'a'\n[model]\narchitecture = 'resnet'\nimage_size = 16\ndepth = 4",
            "model.depth 4 .* use 3 at",
        ),
        ("[data]\nimages = 'a'\n[augmentation]\nflip = 1.5", "augmentation.flip must be at most 1"),
        ("[data]\nimages = 'a'\n[augmentation]\nblur = 1.0", "augmentation.blur is not an option"),
    ],
)
def test_wrong_options_are_named(toml: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_config(toml)


def test_example_holds_every_option_at_its_default() -> None:
    example = example_config("image")
    expected = parse_config('[data]\nimages = "photos"\n[model]\narchitecture = "resnet"\n[interpretability]')
    assert parse_config(example) == expected
    assert parse_config(format_config(expected)) == expected
    for section in fields(ImageConfig()):
        for declared in fields(getattr(ImageConfig(), section.name)):
            written = (f"\n{declared.name} = ", f"[{section.name}.{declared.name}]")  # an option, or a section inside
            assert any(one in example for one in written), declared.name


def test_paths_of_a_config_are_taken_from_its_folder(tmp_path: Path, bases: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "my-base").mkdir()
    (tmp_path / "my.toml").write_text('[data]\nimages = "photos"\ntest = "t.csv"\n[model]\nbase = "my-base"\n')
    config = load_config(str(tmp_path / "my.toml"))
    assert isinstance(config, ImageConfig)
    assert (config.data.images, config.data.test) == (str(tmp_path / "photos"), str(tmp_path / "t.csv"))
    assert (config.model.base, config.output.directory) == (str(tmp_path / "my-base"), "runs/my")


def test_a_base_that_cannot_be_used_is_named(config: ImageConfig, bases: Path, tmp_path: Path) -> None:
    for name, sentence in (("nothing", "cannot load"), ("half", "preprocessor_config.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        with pytest.raises(UsageError, match=rf"model\.base: .*{sentence}"):
            train(replace(config, model=ImageModelConfig(base=str(tmp_path / name))))
    other = tmp_path / "other"
    write_base(other, "vit")
    settings = json.loads((other / "preprocessor_config.json").read_text())
    settings["crop_size"] = {"height": 40, "width": 40}
    (other / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match=r"does not read images of 40 x 40 pixels"):
        train(replace(config, model=ImageModelConfig(base=str(other))))


@pytest.mark.slow
def test_the_digits_are_told_apart(tmp_path: Path) -> None:
    config = load_config("digits")
    assert isinstance(config, ImageConfig)
    assert config.augmentation.flip == 0
    run = train(replace(config, output=OutputConfig(str(tmp_path / "run"), explained=0)))
    assert json.loads((run / "metrics.json").read_text())["test"]["accuracy"] >= 0.97


def test_the_last_image_of_an_epoch_is_not_normalised_alone(shapes: Path, tmp_path: Path) -> None:
    # 66 training images in batches of 13: the last one alone has a single value a channel in the last stage.
    config = ImageConfig(
        data=ImageDataConfig(images=str(shapes)),
        model=ImageModelConfig(architecture="resnet", image_size=32, width=8, depth=4),
        training=ImageTrainingConfig(epochs=1, batch_size=13, precision="fp32"),
        output=OutputConfig(str(tmp_path / "run"), explained=0),
    )
    run = train(config)
    assert json.loads((run / "data.json").read_text())["splits"]["train"]["images"] == 66
    assert json.loads((run / "metrics.json").read_text())["steps"] == 5


def test_batches_of_one_image_are_refused_where_batches_are_normalised(config: ImageConfig) -> None:
    with pytest.raises(UsageError, match=r"training\.batch_size is 1, .* use 2 or more"):
        train(replace(config, training=replace(config.training, batch_size=1)))

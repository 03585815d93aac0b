"""Configs of small runs of every kind, and the data that they learn from."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from explicate_training.config.sections import OutputConfig
from explicate_training.image.config import ImageConfig, ImageDataConfig, ImageModelConfig, ImageTrainingConfig
from explicate_training.table.config import TableConfig, TableDataConfig, TableModelConfig, TableTrainingConfig
from explicate_training.text.config import Config, DataConfig, ModelConfig, TrainingConfig
from support.tiny_image_run import FAMILIES, write_base, write_images
from support.tiny_text_model import WORDS, write_tiny_text_model
from support.training_runs import MARKUP


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("base")
    write_tiny_text_model(directory, seed=3)
    return directory


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 random texts, of class "great" when they say so; one of them would be markup if it were not escaped."""
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    stream = random.Random(0)
    plain = [word for word in WORDS if word not in ("great", "bad")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for index in range(200):
            label = "great" if index % 3 else "bad"
            writer.writerow([" ".join([*stream.sample(plain, 6), label, label]), label])
        writer.writerow(["", "great"])
        writer.writerow([f"{MARKUP} & the rest twice", "<b>奇"])
        for index in range(4):
            writer.writerow([f"{MARKUP} & the rest {' '.join(stream.sample(plain, 4))} {index}", "<b>奇"])
    return path


@pytest.fixture
def text_config(base: Path, reviews: Path, tmp_path: Path) -> Config:
    return Config(
        data=DataConfig(train=str(reviews), minimum_class_count=3, test_fraction=0.2, validation_fraction=0.2),
        model=ModelConfig(base=str(base), max_tokens=32),
        training=TrainingConfig(
            epochs=2,
            batch_size=16,
            learning_rate=2e-3,
            precision="fp32",
            class_weights="balanced",
            label_smoothing=0.05,
        ),
        output=OutputConfig(str(tmp_path / "run"), explained=0),
    )


@pytest.fixture(scope="session")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customers who leave when they pay much or live in a certain city; cells are missing; one city is markup."""
    path = tmp_path_factory.mktemp("data") / "customers.csv"
    stream = np.random.default_rng(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "price", "city", "adult", "size", "spend", "stays", "country"])
        for number in range(240):
            price, city = stream.normal() * 10 + 50, stream.choice(["rome", "oslo", MARKUP])
            score = (price - 50) / 10 + 2 * (city == "oslo") + 0.3 * stream.normal()
            cells = [f"{price:.3f}", city, stream.choice(["true", "false"]), stream.choice(["small", "large"])]
            cells = [cell if stream.random() > 0.1 else "" for cell in cells]
            writer.writerow([number, *cells, f"{100 + 20 * score:.2f}", "no" if score > 0.7 else "yes", "it"])
    return path


@pytest.fixture
def table_config(customers: Path, tmp_path: Path) -> TableConfig:
    return TableConfig(
        data=TableDataConfig(
            table=str(customers),
            label_column="stays",
            columns={"size": ["small", "large"], "spend": "ignore"},
            groups={"person": ["adult", "size"]},
            background_rows=5,
        ),
        model=TableModelConfig(width=16, blocks=1, members=2),
        training=TableTrainingConfig(epochs=6, batch_size=32, learning_rate=1e-2),
        output=OutputConfig(str(tmp_path / "run"), explained=0),
    )


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "shapes", each=30)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    for family in FAMILIES:
        write_base(folder / family, family, labels=("yes", "no"))  # for other classes than those of the images
    return folder


@pytest.fixture
def image_config(shapes: Path, bases: Path, tmp_path: Path) -> ImageConfig:
    return ImageConfig(
        data=ImageDataConfig(images=str(shapes)),
        model=ImageModelConfig(base=str(bases / "resnet")),
        training=ImageTrainingConfig(epochs=2, batch_size=16, learning_rate=5e-3, precision="fp32"),
        output=OutputConfig(str(tmp_path / "run"), explained=0),
    )

"""Texts of three classes, 65, 25 and 10 % of them: templates with a word that tells the class, and noise."""

import csv
import json
import random
from pathlib import Path

from explicate_training.config.sections import OutputConfig
from explicate_training.text.config import Config, DataConfig, ModelConfig, TrainingConfig
from support.tiny_text_model import WORDS, write_tiny_text_model

CUES = {
    "fine": ("good", "great", "love", "perfect"),
    "late": ("slow", "week", "year", "month"),
    "broken": ("bad", "return", "waste", "stale"),
}
SHARES = {"fine": 0.65, "late": 0.25, "broken": 0.10}
_PLAIN = [word for word in WORDS if word not in {cue for cues in CUES.values() for cue in cues}]


def write_imbalanced_texts(path: Path, *, seed: int, honest: float = 0.9, rows: int = 600) -> Path:
    """Writes a CSV file; a part `honest` of the texts has a word of its own class, the others one of any class."""
    stream = random.Random(seed)
    labels = [label for label, share in SHARES.items() for _ in range(round(rows * share))]
    stream.shuffle(labels)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for label in labels:
            told = label if stream.random() < honest else stream.choice(list(CUES))
            words = stream.choices(_PLAIN, k=stream.randint(6, 10))
            words.insert(stream.randrange(len(words)), stream.choice(CUES[told]))
            writer.writerow([" ".join(words), label])
    return path


def imbalanced_config(folder: Path, *, seed: int, honest: float = 0.9, **training: object) -> Config:
    """A run on such texts; its model answers the largest class alone until it has learnt more than how many there are.

    Texts without any honest word have nothing to teach.
    """
    base = folder / "base"
    write_tiny_text_model(base, seed=seed)
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**settings, "initializer_range": 0.001}))  # of the new last layer
    texts = write_imbalanced_texts(folder / "texts.csv", seed=seed, honest=honest)
    options = {"epochs": 12, "learning_rate": 2e-4, "precision": "fp32", "seed": seed, **training}
    return Config(
        data=DataConfig(train=str(texts)),
        model=ModelConfig(base=str(base), max_tokens=32),
        training=TrainingConfig(**options),  # type: ignore[arg-type]  # options by name
        output=OutputConfig(str(folder / "run")),
    )

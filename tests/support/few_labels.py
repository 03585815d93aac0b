"""Texts of two classes whose labels are few, and a run on them."""

import csv
import random
from pathlib import Path
from typing import Any

from explicate_training.config.sections import OutputConfig
from explicate_training.text.config import Config, DataConfig, FewShotConfig, ModelConfig, TrainingConfig
from support.tiny_text_model import WORDS, write_tiny_text_model

CUES = {"fine": ("good", "great", "love", "perfect"), "broken": ("bad", "return", "waste", "stale")}
_PLAIN = [word for word in WORDS if word not in {cue for cues in CUES.values() for cue in cues}]


def write_texts(path: Path, *, rows: int, seed: int = 0) -> Path:
    """Writes a CSV file of as many texts of each class, each with words of its own class."""
    stream = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(rows):
            label = list(CUES)[row % 2]
            words = stream.choices(_PLAIN, k=stream.randint(5, 8)) + stream.choices(CUES[label], k=2)
            stream.shuffle(words)
            writer.writerow([" ".join(words), label])
    return path


def few_labels_config(folder: Path, *, rows: int = 160, labels_per_class: int = 20, **sections: Any) -> Config:
    """A run with a tiny random base, by the recipe for few labels unless `sections` say otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tiny_text_model(folder / "base", seed=0)
    given: dict[str, Any] = {
        "few_shot": FewShotConfig(enabled=True, steps=8, batch_size=8, learning_rate=1e-3),
        "training": TrainingConfig(precision="fp32", device="cpu", batch_size=8, learning_rate=1e-3),
        **sections,
    }
    return Config(
        data=DataConfig(train=str(write_texts(folder / "texts.csv", rows=rows)), labels_per_class=labels_per_class),
        model=ModelConfig(base=str(folder / "base"), max_tokens=32),
        output=OutputConfig(str(folder / "run"), explained=0),
        **given,
    )

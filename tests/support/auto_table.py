"""Tables for `explicate auto`, a clock that a test moves, and candidates that only take time."""

import csv
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from explicate_export.export import ExportOptions
from explicate_studies.auto.budget import Budget, Need
from explicate_studies.auto.candidates import Answers, Candidate, Finished, Say, Shared, write_bare_run
from explicate_training.config.config_file import load_config
from explicate_training.train import prepare_data

CONFIG = """
[data]
table = "stays.csv"
label_column = "stays"
minimum_class_count = 3
leakage_threshold = 1
validation_fraction = 0.2
[model]
width = 8
blocks = 0
members = 2
[training]
epochs = 2
batch_size = 64
"""
CITIES = ("bern", "oslo", "rome")


class Clock:
    """Seconds that pass when a test says so, and a little at each look."""

    def __init__(self, of_a_look: float = 0.0) -> None:
        self.now_s, self._of_a_look = 0.0, of_a_look

    def __call__(self) -> float:
        self.now_s += self._of_a_look
        return self.now_s


def write_stays(folder: Path, *, rows: int = 400, label: str = "stays") -> Path:
    """Who stays: by price, city, day, and whether breakfast is included; some prices and cities are missing."""
    stream = random.Random(0)
    path = folder / "stays.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["price", "city", "breakfast", "day", label])
        for number in range(rows):
            price, city, breakfast = stream.gauss(0, 1), stream.choice(CITIES), stream.random() < 0.5
            day = f"2021-{1 + number % 12:02}-{1 + number % 28:02}"
            likes = price + (city == "oslo") - breakfast + stream.gauss(0, 0.5)
            cells = ["" if number % 17 == 3 else f"{price:.3f}", "" if number % 19 == 4 else city]
            answer = f"{likes:.3f}" if label == "likes" else "yes" if likes > 0 else "no"
            writer.writerow([*cells, str(breakfast).lower(), day, answer])
    return path


def write_config(folder: Path, text: str = CONFIG) -> Path:
    """The table and a config of tiny networks on it."""
    write_stays(folder)
    path = folder / "stays.toml"
    path.write_text(text, encoding="utf-8")
    return path


def shared_of(config: Path, folder: Path, *, minutes: float, clock: Callable[[], float], say: Say = print) -> Shared:
    """What the candidates of a search have in common, with the simple model fitted."""
    run = prepare_data(load_config(str(config)), lambda _: None)
    (folder / "candidates").mkdir(parents=True, exist_ok=True)
    budget = Budget(minutes, folder / "spent.json", clock=clock)
    shared = Shared(run, "auroc", folder, folder / "validation.jsonl", budget, say)
    targets = run.targets["validation"], run.targets["test"]
    named = zip(("validation", "test"), targets, strict=True)
    shared.baseline = {name: np.log(np.full((len(one), 2), 0.5)) for name, one in named}
    return shared


class Waiting(Candidate):
    """A candidate that answers with a known accuracy after a known time.

    Attributes:
        calls: seconds that it was given, each time.
    """

    def __init__(self, name: str, clock: Clock, *, takes_s: float, right: float = 0.8, simplicity: int = 3) -> None:
        self.name, self.title, self.simplicity = name, f"a model called {name}", simplicity
        self.clock, self.takes_s, self.right = clock, takes_s, right
        self.calls: list[float] = []
        self.raises: BaseException | None = None

    def need(self, shared: Shared) -> Need:
        return Need(self.takes_s, self.takes_s)

    def fit(self, shared: Shared, seconds: float) -> tuple[Finished, Answers]:
        self.calls.append(seconds)
        self.clock.now_s += self.takes_s
        if self.raises is not None:
            raise self.raises
        answers = {name: self._answers(shared.run.targets[name]) for name in ("validation", "test")}
        output = shared.candidate_folder(self.name)
        write_bare_run(shared, output, self.name, self.title, answers, seconds=self.takes_s)
        return Finished(self.name, self.title, str(output), self.takes_s, self.simplicity), answers["validation"]

    def export(self, shared: Shared, finished: Finished, repository: Path, options: ExportOptions, say: Say) -> Path:
        raise NotImplementedError

    def _answers(self, targets: Any) -> Answers:
        """Right in the first part of the rows, wrong in the others, surer of some than of others."""
        count, sure = len(targets), np.linspace(1, 2, len(targets))
        right = np.arange(count) < round(self.right * count)
        signs = np.where((targets == 1) == right, 1.0, -1.0)
        return np.stack([-signs * sure, signs * sure], axis=1)


def names(found: Sequence[Finished]) -> list[str]:
    """Of candidates."""
    return [one.name for one in found]

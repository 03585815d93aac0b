"""A table to tune on: 160 rows, a second a run; and a process that is killed in the middle of a trial."""

import csv
import os
import random
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from explicate_studies.choice import Measured, Tried
from explicate_studies.space import read_space
from explicate_studies.study import Study, locked
from explicate_studies.trial import prepare
from explicate_studies.tune_options import TuneOptions
from explicate_training.config.config_file import load_config

CONFIG = """
[data]
table = "stays.csv"
label_column = "stays"
minimum_class_count = 3
leakage_threshold = 1
validation_fraction = 0.3
[model]
width = 8
blocks = 0
members = 2
[training]
epochs = 2
batch_size = 32
"""
TUNE = """
[tune]
learning_rate = [1e-3, 1e-1]
epochs = [1, 3]
"""
FIGURES = {"evaluations_per_player": "rows a player"}


def write_config(folder: Path, tune: str = TUNE) -> Path:
    """The config and its table."""
    stream = random.Random(0)
    with (folder / "stays.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["price", "city", "stays"])
        for _ in range(160):
            price, city = stream.gauss(0, 1), stream.choice(["oslo", "rome"])
            writer.writerow([f"{price:.3f}", city, "yes" if price + (city == "oslo") > 0.5 else "no"])
    path = folder / "stays.toml"
    path.write_text(CONFIG + tune, encoding="utf-8")
    return path


def measured(run: Path, rows: Path, options: TuneOptions) -> Mapping[str, Measured]:
    """In place of explanations, which take long: a figure of the run's own number."""
    assert (run / "run.json").is_file()
    assert rows.is_file()
    assert options.explains
    number = float(run.name)
    return {"evaluations_per_player": Measured(20 - number, 19 - number, 21 - number)}


def open_study(path: Path, options: TuneOptions, tune: Mapping[str, object], *, output: Path) -> Study:
    """The study that `explicate tune` makes, with explanations measured by `measured`."""
    config = load_config(str(path))
    subject = prepare(config, output, options, FIGURES, lambda _: None)
    return Study(subject, read_space(config, tune), measured, lambda line: print(line, file=sys.stderr))


def killed(path: Path, options: TuneOptions, tune: Mapping[str, object], *, output: Path, at: int) -> None:
    """Runs trials and kills its own process, as `kill -9` does, when trial `at` has been trained."""

    def kill(run: Path, rows: Path, options: TuneOptions) -> Mapping[str, Measured]:
        if int(run.name) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return measured(run, rows, options)

    config = load_config(str(path))
    with locked(output):
        subject = prepare(config, output, options, FIGURES, lambda _: None)
        list(Study(subject, read_space(config, tune), kill, lambda _: None).run())


def points(tried: list[Tried]) -> list[Mapping[str, object]]:
    """What was tried, in order."""
    return [one.point for one in tried]


if __name__ == "__main__":
    path, output = Path(sys.argv[1]), Path(sys.argv[2])
    killed(
        path, replace(TuneOptions(), trials=3), {"learning_rate": [1e-3, 1e-1], "epochs": [1, 3]}, output=output, at=1
    )

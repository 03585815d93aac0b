"""Whether `explicate auto` chooses well: its winner beside each candidate that had the whole time alone.

    python -m benchmarks.auto [--sets credit,churn,reviews,digits] [--minutes 4] [--only-auto]

A fifth of the rows is kept apart before anything is trained; neither a search nor a candidate ever sees them. On these
rows the winner's bundle, asked in the server's own runtime, is compared with the best of the candidates that had as
many minutes alone (`--only NAME`), best by these very rows, which flatters it. It is not worse if the interval of the
difference (paired bootstrap) holds 0 or is above it. Each search is a process of its own, kept in
benchmarks/results/auto/ and not run again; one that was cut off goes on.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # cells; labels

import numpy as np

from benchmarks.report import RESULTS
from explicate_bundle.outcomes.resampling import draws, interval
from explicate_standards.evaluated_model import open_published
from explicate_standards.held_out_rows import read_rows
from explicate_standards.outcomes.measures import MEASURES, Measure
from explicate_standards.outcomes.outcomes import Outcomes, answered, labelled
from explicate_training.data.demos import DEMO_IMAGES, DEMO_TABLES, DEMO_TEXTS
from explicate_training.data.splits import stratified_places

_OUTER = 0.2  # of the rows, which nothing sees
_ALL_ROWS = 1 << 30
_TABLES = ("linear", "trees", "network", "interpretable", "additive")
_OTHERS = ("network", "interpretable")


@dataclass(frozen=True)
class Given:
    """A set as a stranger would give it.

    Attributes:
        write: writes DATA and the outer rows into a folder, and returns DATA.
        flags: what the command is told of it.
        alone: candidates that get the whole time alone.
    """

    write: Callable[[Path], Path]
    flags: tuple[str, ...]
    alone: tuple[str, ...]


def _columns_written(columns: Mapping[str, Sequence[Any]], label: str, text: str = "") -> Callable[[Path], Path]:
    """A CSV file, and beside it the outer rows as training writes held-out ones."""

    def write(folder: Path) -> Path:
        labels = list(map(str, columns[label]))
        outer = stratified_places(labels, _OUTER, seed=1)
        path = folder / "data.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for place, row in enumerate(zip(*columns.values(), strict=True)):
                if place not in outer:
                    writer.writerow(["" if cell is None else cell for cell in row])
        _write_lines(
            folder, ({**_input(columns, place, label, text), "label": labels[place]} for place in sorted(outer))
        )
        return path

    return write


def _input(columns: Mapping[str, Sequence[Any]], place: int, label: str, text: str) -> dict[str, Any]:
    if text:
        return {"text": columns[text][place]}
    return {"row": {name: cells[place] for name, cells in columns.items() if name != label}}


def _pictures_written(folder: Path) -> Path:
    """A folder of pictures for each class, and the outer ones beside it."""
    from explicate_bundle.images import encode_png

    pictures = list(DEMO_IMAGES["digits"]())
    outer = stratified_places([label for _, label in pictures], _OUTER, seed=1)
    data, apart = folder / "data", folder / "outer"
    lines = []
    for place, (pixels, label) in enumerate(pictures):
        target = apart if place in outer else data / label
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{place:05}.png").write_bytes(encode_png(pixels))
        if place in outer:
            lines.append({"image": f"outer/{place:05}.png", "label": label})
    _write_lines(folder, lines)
    return data


def _write_lines(folder: Path, lines: Any) -> None:
    text = "".join(f"{json.dumps(line, default=str)}\n" for line in lines)
    (folder / "outer.jsonl").write_text(text, encoding="utf-8")


def _reviews() -> dict[str, list[Any]]:
    parts = DEMO_TEXTS["food-reviews"]()
    return {name: [cell for part in parts for cell in part.values[name]] for name in ("review", "score")}


def given_sets() -> dict[str, Callable[[], Given]]:
    """The sets by name, read when they are wanted."""
    return {
        "credit": lambda: Given(_columns_written(DEMO_TABLES["credit"](), "Status"), ("--label", "Status"), _TABLES),
        "churn": lambda: Given(_columns_written(DEMO_TABLES["churn"](), "churn"), ("--label", "churn"), _TABLES),
        "reviews": lambda: Given(
            _columns_written(_reviews(), "score", "review"), ("--label", "score", "--text", "review"), _OTHERS
        ),
        "digits": lambda: Given(_pictures_written, (), _OTHERS),
    }


def search(folder: Path, data: Path, flags: Sequence[str], minutes: float, only: str = "") -> dict[str, Any]:
    """What a search came to; run, or gone on with, if it is not finished."""
    output = folder / (f"alone-{only}" if only else "auto")
    result = output / "result.json"
    if not result.is_file() or json.loads(result.read_text(encoding="utf-8"))["interrupted"]:
        command = [sys.executable, "-m", "explicate.cli.main", "auto", str(data), *flags, "--name", folder.name]
        command += ["--minutes", f"{minutes:g}", "--output", str(output), *(["--only", only] if only else [])]
        print(" ".join(command), file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if not result.is_file():
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def outcomes_of(result: Mapping[str, Any], rows: Path) -> Outcomes:
    """What a winner's bundle answers to the outer rows."""
    model = open_published(Path(result["bundle"]))
    return answered(model, labelled(read_rows(rows, model, count=_ALL_ROWS)))


@dataclass(frozen=True)
class Beside:
    """The winner beside the best candidate alone, on rows that nobody saw."""

    name: str
    winner: str
    metric: str
    value: float
    best: str
    best_value: float
    difference: float
    lower: float
    upper: float
    spent_s: float
    rows: int

    @property
    def not_worse(self) -> bool:
        """Whether chance explains that it is behind, or it is ahead."""
        return self.upper >= 0

    def line(self) -> str:
        """For the table."""
        told = f"{self.difference:+.4f} [{self.lower:+.4f}, {self.upper:+.4f}]"
        ours, best = f"{self.winner:<15}{self.metric:<10}{self.value:>8.4f}", f"{self.best:<15}{self.best_value:>8.4f}"
        verdict = "not worse" if self.not_worse else "WORSE"
        return f"{self.name:<9}{ours}  {best}  {told:<28}{self.spent_s:>7.0f} s  {verdict}"


def beside(name: str, auto: Mapping[str, Any], alone: Mapping[str, Mapping[str, Any]], rows: Path) -> Beside:
    """Compares on the outer rows; by the metric that the search chose by."""
    measure = MEASURES[auto["metric"]]
    ours, others = outcomes_of(auto, rows), {only: outcomes_of(one, rows) for only, one in alone.items()}
    sign = 1.0 if measure.better == "higher" else -1.0
    best = max(others, key=lambda only: sign * measure.value(others[only]))
    apart = sign * (_samples(measure, ours) - _samples(measure, others[best]))
    value, best_value = measure.value(ours), measure.value(others[best])
    lower, upper = interval(apart) or (float("nan"), float("nan"))
    return Beside(
        name,
        auto["winner"]["name"],
        auto["metric"],
        value,
        best,
        best_value,
        sign * (value - best_value),
        lower,
        upper,
        auto["spent_s"],
        len(ours),
    )


def _samples(measure: Measure, outcomes: Outcomes) -> Any:
    return np.concatenate([measure.samples(outcomes, counts, None) for counts in draws(len(outcomes))])


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = given_sets()
    parser.add_argument("--sets", default=",".join(sets))
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--only-auto", action="store_true", help="the searches themselves, without those alone")
    parser.add_argument("--alone", default="", help="candidates that get the time alone (default: all)")
    parser.add_argument("--results", type=Path, default=RESULTS / "auto")
    arguments = parser.parse_args()
    found = []
    for name in arguments.sets.split(","):
        given = sets[name]()
        folder = arguments.results / f"{arguments.minutes:g}-minutes" / name
        data = folder / ("data" if name == "digits" else "data.csv")
        if not (folder / "outer.jsonl").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            given.write(folder)
        auto = search(folder, data, given.flags, arguments.minutes)
        print(f"{name}: {auto['paragraph']}\n", file=sys.stderr, flush=True)
        if arguments.only_auto:
            continue
        names = [one for one in given.alone if not arguments.alone or one in arguments.alone.split(",")]
        alone = {only: search(folder, data, given.flags, arguments.minutes, only) for only in names}
        found.append(beside(name, auto, alone, folder / "outer.jsonl"))
    if found:
        print(
            "set      winner         metric       outer  best alone         outer  difference                    spent"
        )
        print("\n".join(one.line() for one in found))
        lines = [vars(one) | {"not_worse": one.not_worse} for one in found]
        path = arguments.results / f"{arguments.minutes:g}-minutes.json"
        path.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

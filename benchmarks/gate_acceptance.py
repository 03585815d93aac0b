"""`python -m benchmarks.gate_acceptance`: how often the gate of a standard lets an equal model in, and one on the line.

One requirement of non-inferiority, at the margin that `explicate check --plan` names, judged by the requirement's own
code over 2,000 re-samples of row outcomes. An equal model must be accepted in at least 80 % of them, the power that the
plan promises; one that is worse by exactly the margin in at most 5 %, one less the confidence. Each figure has its
interval of 95 % (Clopper and Pearson), for 2,000 re-samples know a share to ±.01 to ±.02.

The outcomes: of two runs of the demo `credit` whose seeds differ, which are trained for it, and made ones of a given
accuracy. To make the recorded pair equal, each row's two outcomes change places with probability 1/2; to put it on the
line, with the probability that leaves the model worse by the margin. So the rows, and how many of them only one of the
two has right, stay those on record.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explicate.cli.main import main as explicate
from explicate.views.tables import table
from explicate_bundle.objective import CLASSIFICATION
from explicate_bundle.standard.verdicts import Bounds, Verdict
from explicate_standards.leaderboard.runs import read_run
from explicate_standards.outcomes.outcomes import Outcomes
from explicate_standards.standard.bounds import clopper_pearson
from explicate_standards.standard.plan import POWER, named_margin
from explicate_standards.standard.requirement import Evidence
from explicate_standards.standard.requirements import AgainstRequirement
from explicate_training.data.demos import DEMO_TABLES

CONFIDENCE = 0.95
RESAMPLES = 2_000
_ONE_SIDED = 0.975  # of each end of a 95 % interval
_DEMO, _SEEDS = "credit", (1, 2)
_TEST_FRACTION = 0.15
_ACCURACY = 0.84  # as the plan's default
Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Pair:
    """Which rows a model and the live one have right, bool[rows] each; `name` says where from."""

    name: str
    own: Right
    live: Right

    @property
    def apart(self) -> float:
        """The share of rows that one of the two alone has right."""
        return float((self.own != self.live).mean())

    def resampled(self, stream: np.random.Generator, *, worse: float) -> tuple[Right, Right]:
        """As many rows drawn with replacement, with the model worse than the live one by so much, before the draw.

        Where only one of the two is right, that is the live one in a share ½ (1 + worse / apart) of the rows.
        """
        rows = stream.integers(0, len(self.own), len(self.own))
        own, live = self.own[rows], self.live[rows]
        only_one = own != live
        of_live = stream.random(len(rows)) < (1 + worse / self.apart) / 2
        return np.where(only_one, ~of_live, own), np.where(only_one, of_live, live)


@dataclass(frozen=True)
class Acceptance:
    """How often a model was accepted in the place of another; `bounds` are those of 95 %."""

    pair: Pair
    margin: float
    worse: float
    bounds: Bounds

    @property
    def holds(self) -> bool:
        """Whether what is promised may be true: 80 % of equal models at least, 5 % of those on the line at most."""
        return self.bounds.lower <= 1 - CONFIDENCE if self.worse else self.bounds.upper >= POWER


def made(rows: int, apart: float, accuracy: float = _ACCURACY) -> Pair:
    """Outcomes of two models of that accuracy, of which one alone is right in a share `apart` of the rows."""
    places = np.arange(rows) / rows
    both = places < accuracy - apart / 2
    own = both | (places >= 1 - apart / 2)
    live = both | ((places >= 1 - apart) & (places < 1 - apart / 2))
    return Pair(f"made, {accuracy:.2f} right", own, live)


def recorded(first: Path, second: Path) -> Pair:
    """Those of two run directories, which must have answered the same rows."""
    runs = [read_run(path) for path in (first, second)]
    if runs[0].group != runs[1].group:
        raise SystemExit(f"{first} and {second} answered other rows, so that they cannot be compared row by row")
    return Pair(f"{_DEMO}, seeds {runs[0].seed} and {runs[1].seed}", *(run.outcomes.right for run in runs))


def acceptance(pair: Pair, *, on_the_line: bool, resamples: int = RESAMPLES, seed: int = 0) -> Acceptance:
    """How often the gate accepts, at the margin that the plan names for as many rows."""
    rows, stream = len(pair.own), np.random.Generator(np.random.Philox(seed))
    margin = named_margin(pair.apart, rows, CONFIDENCE)
    worse = margin if on_the_line else 0.0
    requirement = AgainstRequirement("no-worse", "accuracy", None, "live", margin, 1.0)
    met = 0
    for _ in range(resamples):
        own, live = (_outcomes(right) for right in pair.resampled(stream, worse=worse))
        (judged,) = requirement.judge(Evidence(own, {"live": live}, {}, {}, {}, CONFIDENCE, 1))
        met += judged.verdict is Verdict.MET
    return Acceptance(pair, margin, worse, clopper_pearson(met, resamples, _ONE_SIDED))


def _outcomes(right: Right) -> Outcomes:
    """Answers of a classifier that has these rows right."""
    targets = np.zeros(len(right), np.intp)
    return Outcomes("model", CLASSIFICATION, ("a", "b"), np.eye(2)[np.where(right, 0, 1)], targets)


def _trained(folder: Path) -> Pair:
    """The demo with two seeds, and the same test rows for both: a seed would draw others."""
    runs = [folder / f"{_DEMO}-{seed}" for seed in _SEEDS]
    config = _config(folder)
    for seed, run in zip(_SEEDS, runs, strict=True):
        if not (run / "run.json").exists():
            print(f"training {_DEMO} with the seed {seed} in {run}", file=sys.stderr, flush=True)
            with redirect_stdout(sys.stderr):
                if explicate(["train", str(config), "--seed", str(seed), "--output", str(run)]):
                    raise SystemExit(f"{_DEMO} could not be trained")
    return recorded(runs[0], runs[1])


def _config(folder: Path) -> Path:
    """The demo's table in two files, and the config that trains on the one and tests on the other."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(DEMO_TABLES[_DEMO]()).sample(frac=1, random_state=0)
    tested = round(_TEST_FRACTION * len(frame))
    frame[:tested].to_csv(folder / "test.csv", index=False)
    frame[tested:].to_csv(folder / "train.csv", index=False)
    path = folder / f"{_DEMO}.toml"
    path.write_text(
        '[data]\ntable = "train.csv"\ntest = "test.csv"\nlabel_column = "Status"\n[output]\nexplained = 0\n',
        encoding="utf-8",
    )
    return path


def _pairs(folder: Path) -> Iterator[Pair]:
    yield _trained(folder)
    for rows, apart in ((300, 0.08), (500, 0.12), (1_000, 0.08), (1_000, 0.12), (2_000, 0.12)):
        yield made(rows, apart)


def _line(told: Acceptance) -> tuple[str, ...]:
    bounds, pair = told.bounds, told.pair
    return (
        "on the line" if told.worse else "equal",
        pair.name,
        f"{len(pair.own):,}",
        f"{pair.apart:.3f}",
        f"{told.margin:.3f}",
        f"{bounds.value:.3f}",
        f"[{bounds.lower:.3f}, {bounds.upper:.3f}]",
        f"≤ {1 - CONFIDENCE:.2f}" if told.worse else f"≥ {POWER:.2f}",
        "yes" if told.holds else "NO",
    )


def main() -> int:
    """Print the table; 1 if the gate does not do what it promises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", metavar="DIR", type=Path, help="keep the trained runs there, or take them from there")
    parser.add_argument("--resamples", metavar="N", type=int, default=RESAMPLES, help="default: %(default)s")
    arguments = parser.parse_args()
    found: list[Acceptance] = []
    with TemporaryDirectory() as temporary:
        pairs = list(_pairs(arguments.runs or Path(temporary)))
    for pair in pairs:
        for on_the_line in (False, True):
            print(f"{len(pair.own):,} rows, {pair.name}", file=sys.stderr, flush=True)
            found.append(acceptance(pair, on_the_line=on_the_line, resamples=arguments.resamples))
    header = ("MODEL", "OUTCOMES", "ROWS", "APART", "MARGIN", "ACCEPTED", "95 %", "PROMISED", "HOLDS")
    print(table(header, [_line(one) for one in found], right=(2, 3, 4, 5)))
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())

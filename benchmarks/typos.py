"""`python -m benchmarks.typos`: what masked fine-tuning does to answers to disturbed texts.

The models of `python -m benchmarks.interpretability --only text`: fine-tuned by cross-entropy, and by the defaults of
`[interpretability]`, with the same seeds and test texts. Each disturbance of `explicate check` is tried on both: the
share of right answers that is left, and by how much that differs, with 95 % intervals of a bootstrap over texts that
draws the same texts for both. Answers of a model are kept, so that a run that was cut off goes on.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.interpretability_runs import ROOT, Size, Variant, config_of
from benchmarks.report import RESULTS
from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.held_out_rows import LabelledInput, read_rows
from explicate_standards.outcomes.outcomes import answered, labelled
from explicate_standards.outcomes.robustness import disturbances_of, right_when_disturbed
from explicate_training.run_directory import write_json_lines
from explicate_training.train import prepare_data

_DATA = "reviews"
_BEFORE, _AFTER = "cross-entropy", "defaults"
_WHOLE = "whole"
_DRAWS = 4_000
_ALL = 1 << 20
_KEPT = RESULTS / "typos"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    lower: float
    upper: float

    def told(self, form: str = ".3f") -> str:
        return f"{self.value:{form}} [{self.lower:{form}}, {self.upper:{form}}]"


def test_rows(variant: Variant, size: Size, model: EvaluatedModel) -> Sequence[LabelledInput]:
    """The rows that a variant's training held out; its config and seed split them as they did then."""
    run = prepare_data(config_of(variant, size), lambda _: None)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "held_out.jsonl"
        write_json_lines(path, run.held_out(Path(folder)))
        return labelled(read_rows(path, model, count=_ALL))


def right(variant: Variant, size: Size, bar: "tqdm[None]") -> dict[str, Floats]:
    """The share of right answers to each text, float64[rows], as it is and by disturbance."""
    path = _KEPT / f"{variant.key}.npz"
    if path.exists():
        with np.load(path) as kept:
            return {name: kept[name] for name in kept.files}
    model = open_published(size.folder / "repository" / variant.key / "1")
    rows = test_rows(variant, size, model)
    bar.set_postfix_str(variant.key)
    outcomes = answered(model, rows)
    found: dict[str, Floats] = {_WHOLE: outcomes.right.astype(np.float64)}
    for name in disturbances_of(model):
        found[name] = np.asarray(right_when_disturbed(model, outcomes, rows, name), dtype=np.float64)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **found)  # type: ignore[arg-type]  # its stubs know no dictionary
    bar.update()
    return found


def interval(values: Floats, value: float) -> Interval:
    lower, upper = np.quantile(values, [0.025, 0.975]).tolist()
    return Interval(value, lower, upper)


def left(of: Sequence[dict[str, Floats]], name: str, draws: NDArray[np.intp]) -> tuple[float, Floats]:
    """Right answers to disturbed texts as a part of those to whole ones, the mean over seeds; and of each draw."""
    ratios = [one[name].mean() / one[_WHOLE].mean() for one in of]
    drawn = [one[name][draws].mean(axis=1) / one[_WHOLE][draws].mean(axis=1) for one in of]
    return float(np.mean(ratios)), np.asarray(np.mean(drawn, axis=0))


def report(before: Sequence[dict[str, Floats]], after: Sequence[dict[str, Floats]]) -> str:
    rows = len(before[0][_WHOLE])
    draws = np.random.default_rng(0).integers(0, rows, (_DRAWS, rows))
    lines = [f"| disturbance | accuracy left, {_BEFORE} | accuracy left, {_AFTER} | difference |", "|---|---|---|---|"]
    for name in (name for name in before[0] if name != _WHOLE):
        (was, of_was), (now, of_now) = left(before, name, draws), left(after, name, draws)
        difference = interval(of_now - of_was, now - was)
        lines.append(
            f"| {name} | {interval(of_was, was).told()} | {interval(of_now, now).told()} | {difference.told('+.3f')} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="models of each (default: 3)")
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs" / "interpretability", help="of benchmarks.interpretability"
    )
    given = parser.parse_args()
    size = Size(folder=given.runs)
    with tqdm(total=2 * given.seeds, unit="model") as bar:
        before, after = (
            [right(Variant(_DATA, name, seed), size, bar) for seed in range(given.seeds)] for name in (_BEFORE, _AFTER)
        )
    for one, other in zip(before, after, strict=True):
        if len(one[_WHOLE]) != len(other[_WHOLE]):
            raise SystemExit("the two were tested on other texts: train them again")
    print(report(before, after))


if __name__ == "__main__":
    main()

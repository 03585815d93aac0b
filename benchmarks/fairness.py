"""What weighing rows does for a model that is unfair to groups: mortgages in Boston, 1990 (Ecdat's Hdma), by race.

    python -m benchmarks.fairness [--seeds 5]

Each run is kept in benchmarks/results/fairness/ and not trained again; a seed is another split, too. "denied" is
answered from the threshold that the validation rows give the best F1, for every way alike. Gaps are means over the
seeds on test rows of 40 % of the data, with the interval of a bootstrap over the rows of each; differences are of the
same rows. A gap of a few rows is above 0 by chance: a difference tells more than a gap.
"""

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray

from benchmarks.report import RESULTS
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.objective import CLASSIFICATION
from explicate_bundle.outcomes.resampling import Counts, area_under_roc, draws, mean
from explicate_standards.outcomes.fairness import demographic_parity_gap, equalised_odds_gap
from explicate_training.config.config_file import parse_config
from explicate_training.loop.progress import StepProgress
from explicate_training.train import train

Floats = NDArray[np.float64]
OVER, DENIED = "black", "yes"
BASE = """
[data]
demo = "hdma"
label_column = "deny"
test_fraction = 0.4
[training]
rare_classes = "plain"
[thresholds]
f1 = ["yes"]
"""
_HIDDEN = '[interpretability]\nmasked_fraction = 0\nadditivity = 0\nform = "free"\nforbidden = ["black"]\n'
_WEIGHED = '[fairness]\nover = "black"\nmethod = "{}"\n'
WAYS: Mapping[str, str] = {
    "as it is": "",
    "race hidden": _HIDDEN,
    "reweighing": _WEIGHED.format("reweighing"),
    "reweighing, race hidden": _HIDDEN + _WEIGHED.format("reweighing"),
    "group weights": _WEIGHED.format("group_weights"),
}
_MEASURES = ("equalised odds gap", "demographic parity gap", "AUROC", "accuracy")


@dataclass(frozen=True)
class Answers:
    """Of the test rows of a run: scores of "denied", whether it is answered, whether it is so, and the groups."""

    scores: Floats
    answered: NDArray[np.bool_]
    true: NDArray[np.bool_]
    groups: NDArray[np.bool_]

    def measured(self, counts: Counts) -> Floats:
        """The measures on draws of the rows, float64[measures, draws]."""
        return np.stack(
            [
                equalised_odds_gap(self.answered, self.true, self.groups, counts),
                demographic_parity_gap(self.answered, self.true, self.groups, counts),
                area_under_roc(self.scores, self.true, counts),
                mean(self.answered == self.true, counts),
            ]
        )


def run(way: str, seed: int, results: Path) -> Path:
    """The run's folder, trained if it is not there."""
    folder = results / f"{way.replace(',', '').replace(' ', '-')}-{seed}"
    if not (folder / "metrics.json").exists():
        print(f"training {folder.name}", file=sys.stderr)
        config: Any = parse_config(BASE + WAYS[way])
        output = replace(config.output, directory=str(folder), explained=0)
        config = replace(config, output=output, training=replace(config.training, seed=seed))
        train(config, restart=True, progress=StepProgress(io.StringIO()))
    return folder


def answers_of(folder: Path) -> Answers:
    """What a run answers to its test rows, by its own threshold."""
    record = json_format.Parse((folder / "run.json").read_text(encoding="utf-8"), TrainingRun())
    lines = (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    rows = sorted((json.loads(line) for line in lines), key=lambda row: json.dumps(row["row"], sort_keys=True))
    denied = list(record.labels).index(DENIED)
    objective = CLASSIFICATION.deciding(record.decision, record.labels)
    scores = objective.scores(np.array([row["outputs"] for row in rows]))
    assert objective.decisions is not None
    races = np.array([str(row["row"][OVER]) for row in rows])
    return Answers(
        scores[:, denied],
        np.asarray(objective.decisions(scores) == denied),
        np.array([row["label"] == DENIED for row in rows]),
        np.stack([races == race for race in np.unique(races)]),
    )


def measured(answers: Sequence[Answers]) -> tuple[Floats, Floats]:
    """Means over seeds: values float64[measures], and on draws of the rows of each, float64[measures, draws]."""
    ones = [one.measured(np.ones((1, len(one.true)), np.float32))[:, 0] for one in answers]
    drawn = [
        np.concatenate([one.measured(counts) for counts in draws(len(one.true), seed=seed)], axis=1)
        for seed, one in enumerate(answers)
    ]
    return np.mean(ones, axis=0), np.mean(drawn, axis=0)


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS / "fairness")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    found = {}
    for way in WAYS:
        found[way] = measured([answers_of(run(way, seed, arguments.results)) for seed in range(arguments.seeds)])
    print(f"$ python -m benchmarks.fairness --seeds {arguments.seeds}\n")
    print(f"| {'way':<23} | measure | value [95 %] | less as it is [95 %] |\n|---|---|---|---|")
    plain, plain_drawn = found["as it is"]
    for way, (values, drawn) in found.items():
        for place, name in enumerate(_MEASURES):
            low, high = np.nanpercentile(drawn[place], [2.5, 97.5])
            less = drawn[place] - plain_drawn[place]
            lower, upper = np.nanpercentile(less, [2.5, 97.5])
            change = "" if way == "as it is" else f"{values[place] - plain[place]:+.3f} [{lower:+.3f}, {upper:+.3f}]"
            print(f"| {way:<23} | {name} | {values[place]:.3f} [{low:.3f}, {high:.3f}] | {change} |")


if __name__ == "__main__":
    main()

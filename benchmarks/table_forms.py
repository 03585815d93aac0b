"""What forms of a table's network cost: test AUROC of free, pairs, additive, and additive with monotone columns.

    python -m benchmarks.table_forms [--sets credit,churn,hdma] [--seeds 3]

Each run is kept in benchmarks/results/table_forms/ and not trained again. A seed is another split, too. Differences
from the free form are of the same test rows, with the interval of a paired bootstrap over them.
"""

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.report import RESULTS
from explicate_training.config.config_file import load_config, parse_config, ready_configs
from explicate_training.loop.progress import StepProgress
from explicate_training.train import train

FORMS = ("free", "pairs", "additive", "monotone")
MONOTONE: Mapping[str, Mapping[str, str]] = {
    "credit": {"Seniority": "increasing", "Income": "increasing", "Assets": "increasing", "Debt": "decreasing"},
    "churn": {"number_customer_service_calls": "increasing", "total_day_minutes": "increasing"},
    "hdma": {"dir": "increasing", "lvr": "increasing", "ccs": "increasing", "mcs": "increasing"},
}
"""Of the second class: good, yes (left), yes (denied)."""
_DRAWS = 2000


def config_of(name: str, form: str, seed: int, folder: Path, extra: str = "") -> Any:
    """A run of a packaged set in one form."""
    section = ""
    if form != "free":
        wanted = "additive" if form == "monotone" else form
        section = f'\n[interpretability]\nmasked_fraction = 0\nadditivity = 0\nform = "{wanted}"\n{extra}'
    if form == "monotone":
        ways = "".join(f'{column} = "{way}"\n' for column, way in MONOTONE[name].items())
        section += f"[interpretability.monotone]\n{ways}"
    known = parse_config(ready_configs()[name])
    if "additivity" not in vars(known.interpretability):
        section = section.replace("additivity = 0\n", "")
    config = load_config(name) if not section else parse_config(ready_configs()[name] + section)
    output = replace(config.output, directory=str(folder), explained=0)
    return replace(config, output=output, training=replace(config.training, seed=seed))


def run(name: str, form: str, seed: int, results: Path, extra: str = "") -> Path:
    """The run's folder, trained if it is not there."""
    folder = results / f"{name}-{form}-{seed}"
    if not (folder / "metrics.json").exists():
        print(f"training {folder.name}", file=sys.stderr)
        train(config_of(name, form, seed, folder, extra), restart=True, progress=StepProgress(io.StringIO()))
    return folder


def scores(folder: Path) -> tuple[Any, Any]:
    """Whether each test row is of the second class, and how sure the model is of it."""
    rows = [json.loads(line) for line in (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    labels = json.loads((folder / "run.json").read_text(encoding="utf-8"))["labels"]
    outputs = np.array([row["outputs"] for row in rows])
    return np.array([row["label"] == labels[1] for row in rows]), outputs[:, 1] - outputs[:, 0]


def difference(ours: Sequence[Path], free: Sequence[Path]) -> tuple[float, float, float]:
    """Mean over seeds of AUROC less that of the free form, and the ends of its 95 % interval."""
    stream = np.random.default_rng(0)
    draws = np.zeros((_DRAWS, len(ours)))
    plain = []
    for seed, (one, other) in enumerate(zip(ours, free, strict=True)):
        truth, mine = scores(one)
        _, theirs = scores(other)
        plain.append(roc_auc_score(truth, mine) - roc_auc_score(truth, theirs))
        for draw in range(_DRAWS):
            rows = stream.integers(0, len(truth), len(truth))
            draws[draw, seed] = roc_auc_score(truth[rows], mine[rows]) - roc_auc_score(truth[rows], theirs[rows])
    low, high = np.percentile(draws.mean(axis=1), [2.5, 97.5])
    return float(np.mean(plain)), float(low), float(high)


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(MONOTONE))
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--extra", default="", help="more lines of [interpretability], for trials")
    parser.add_argument("--results", type=Path, default=RESULTS / "table_forms")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    extra = arguments.extra.replace(";", "\n") + "\n"
    print(f"{'set':<8}{'form':<10}{'AUROC of each seed':<26}{'mean':>7}  less free [95 %]            trees   seconds")
    for name in arguments.sets.split(","):
        folders: dict[str, list[Path]] = {}
        for form in arguments.forms.split(","):
            folders[form] = [run(name, form, seed, arguments.results, extra) for seed in range(arguments.seeds)]
            metrics = [json.loads((one / "metrics.json").read_text()) for one in folders[form]]
            values = [one["test"]["auroc"] for one in metrics]
            trees = np.mean([one["gradient_boosted_trees"]["test"]["auroc"] for one in metrics])
            seconds = np.mean([json.loads((one / "run.json").read_text())["train_s"] for one in folders[form]])
            told = ""
            if form != "free" and "free" in folders:
                mean, low, high = difference(folders[form], folders["free"])
                told = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
            each = ", ".join(f"{value:.4f}" for value in values)
            print(
                f"{name:<8}{form:<10}{each:<26}{np.mean(values):>7.4f}  {told:<28}{trees:.4f}  {seconds:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

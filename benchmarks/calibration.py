"""What a temperature does to probabilities: Brier score, calibration error and log loss of test rows, before and after.

    python -m benchmarks.calibration [--runs runs/food-reviews ...] [--sets credit,churn] [--seeds 3]

Of a finished run of texts or rows the temperature is fitted now, on its validation rows, which are made again from its
config; its answers to the test rows must be those of its held_out.jsonl. Sets are trained with three seeds each and
kept in benchmarks/results/calibration/. Intervals are those of a bootstrap over the test rows.
"""

import argparse
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from benchmarks.report import RESULTS
from explicate_training.calibration.reliability import TITLES, reliability
from explicate_training.calibration.temperature import fitted_temperature
from explicate_training.config.config_file import load_config, parse_config
from explicate_training.loop.progress import StepProgress
from explicate_training.train import prepare_data, train

_SAME_LOGITS = 1e-3


def after_the_fact(folder: Path) -> dict[str, Any]:
    """As metrics.json has it, of a run that was trained without a temperature."""
    config = parse_config((folder / "config.toml").read_text(encoding="utf-8"))
    if config.kind == "image":
        raise SystemExit(f"{folder} is a run of images: give one of texts or rows")
    run = prepare_data(config, lambda _: None)
    run.load()
    run.network.load_state_dict(load_file(folder / "model" / "model.safetensors"))
    run.network.eval()
    logits = {name: run.predict(name).astype(np.float64) for name in ("validation", "test")}
    lines = (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()
    told = np.array([json.loads(line)["outputs"] for line in lines])
    if not np.allclose(told, logits["test"], atol=_SAME_LOGITS):
        raise SystemExit(
            f"{folder}: the model does not answer as held_out.jsonl says: the data or the code has changed"
        )
    temperature = fitted_temperature(logits["validation"], run.targets["validation"])
    before, targets = logits["test"], run.targets["test"]
    found = reliability(run.task, before, before / temperature, targets, temperature=temperature, applied=False)
    return {**found.as_json(), "validation": len(run.targets["validation"]), "rows": len(targets)}


def trained(name: str, seed: int, results: Path) -> dict[str, Any]:
    """As metrics.json has it, of a packaged set trained with a temperature."""
    folder = results / f"{name}-{seed}"
    if not (folder / "metrics.json").exists():
        print(f"training {folder.name}", file=sys.stderr)
        config: Any = load_config(name)
        config = replace(
            config,
            calibration=replace(config.calibration, temperature=True),
            output=replace(config.output, directory=str(folder), explained=0),
            training=replace(config.training, seed=seed),
        )
        train(config, restart=True, progress=StepProgress(io.StringIO()))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rows = {part: metrics[part]["rows"] for part in ("validation", "test")}
    return {**metrics["calibration"], "validation": rows["validation"], "rows": rows["test"]}


def show(name: str, told: Mapping[str, Any]) -> None:
    """Prints the lines of a run."""
    for measure, title in TITLES.items():
        one = told["test"][measure]
        low, high = one["change_interval"]
        print(
            f"| {name} | {told['temperature']:.3f} | {title} | {one['before']:.4f} | {one['after']:.4f} | "
            f"{one['change']:+.4f} [{low:+.4f}, {high:+.4f}] | {told['rows']:,} |",
            flush=True,
        )


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--sets", default="credit,churn")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS / "calibration")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    print(f"$ python -m benchmarks.calibration {' '.join(sys.argv[1:])}\n")
    print("| run | temperature | test | before | after | change [95 %] | rows |\n|---|---|---|---|---|---|---|")
    for folder in arguments.runs:
        show(folder.name, after_the_fact(folder))
    for name in filter(None, arguments.sets.split(",")):
        for seed in range(arguments.seeds):
            show(f"{name}, seed {seed}", trained(name, seed, arguments.results))


if __name__ == "__main__":
    main()

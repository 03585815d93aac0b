"""`python -m benchmarks.masked_images`: what `[interpretability]` does to a model of images, each masking by itself.

The 1,797 digits, a small ResNet trained from nothing, by cross-entropy and with the defaults of the section; accuracy
of whole test images, mean accuracy with .1 to .9 of the fields removed, and R² of additive fits, with absent fields in
their mean colour, blurred, and grey. Each run is kept as JSON, so that one that was cut off goes on.
"""

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any  # records are JSON

import numpy as np

from explicate_bundle.images import MASKINGS
from explicate_training.config.config_file import load_config
from explicate_training.config.sections import OutputConfig
from explicate_training.image.config import ImageConfig, ImageModelConfig
from explicate_training.image.run import ImageRun
from explicate_training.interpretability.measurement import additive_fits, masked_figures
from explicate_training.interpretability.terms import Interpretability, InterpretabilityConfig, absent
from explicate_training.train import train

_FOLDER = Path("benchmarks/results/masked_images")
_SECTIONS = {"cross-entropy": absent, "defaults": InterpretabilityConfig}


def measured(config: ImageConfig, section: Interpretability, folder: Path) -> dict[str, Any]:
    """Trains a model and measures it with each masking."""
    run_folder = folder / "run"
    shutil.rmtree(run_folder, ignore_errors=True)
    config = replace(config, interpretability=section, output=OutputConfig(str(run_folder), explained=0))
    train(config, restart=True)
    metrics = json.loads((run_folder / "metrics.json").read_text(encoding="utf-8"))
    seconds = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))["train_s"]
    record: dict[str, Any] = {"accuracy": metrics["test"]["accuracy"], "steps": metrics["steps"], "train_s": seconds}
    again = ImageRun(replace(config, model=ImageModelConfig(base=str(run_folder / "model"))), say=lambda _: None)
    again.load()
    for masking in MASKINGS:
        again.maskings = [masking]
        masked = [one.value for one in masked_figures(again, seed=0) if one.removed]
        fits = additive_fits(again, seed=0)["probability"]
        record[masking] = {"masked_accuracy": float(np.mean(masked)), "additive_r2": float(np.median(fits))}
    return record


def table(records: dict[str, list[dict[str, Any]]]) -> str:
    """Means over the seeds, as Markdown."""
    lines = [
        f"| trained by | accuracy | {' | '.join(f'masked, {one}' for one in MASKINGS)} | "
        f"{' | '.join(f'R², {one}' for one in MASKINGS)} | ms a step |",
        "|---" * 8 + "|",
    ]
    for name, runs in records.items():
        cells = [np.mean([run["accuracy"] for run in runs])]
        for figure in ("masked_accuracy", "additive_r2"):
            cells += [np.mean([run[masking][figure] for run in runs]) for masking in MASKINGS]
        pace = np.mean([1000 * run["train_s"] / run["steps"] for run in runs])
        lines.append(f"| {name} | {' | '.join(f'{cell:.3f}' for cell in cells)} | {pace:.0f} |")
    return "\n".join(lines)


def main() -> int:
    """Trains what is not there yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind (default: 3)")
    parser.add_argument("--epochs", type=int, help="instead of the digits' own 20")
    args = parser.parse_args()
    config = load_config("digits")
    assert isinstance(config, ImageConfig)
    if args.epochs:
        config = replace(config, training=replace(config.training, epochs=args.epochs))
    _FOLDER.mkdir(parents=True, exist_ok=True)
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in _SECTIONS}
    for seed in range(args.seeds):
        for name, section in _SECTIONS.items():
            kept = _FOLDER / f"{name}-{config.training.epochs}-{seed}.json"
            if not kept.exists():
                print(f"masked images: {name}, seed {seed}", file=sys.stderr, flush=True)
                seeded = replace(config, training=replace(config.training, seed=seed))
                kept.write_text(json.dumps(measured(seeded, section(), _FOLDER), indent=2) + "\n", encoding="utf-8")
            records[name].append(json.loads(kept.read_text(encoding="utf-8")))
    print(table(records))
    return 0


if __name__ == "__main__":
    sys.exit(main())

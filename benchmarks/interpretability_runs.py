"""The runs of `benchmarks.interpretability`: which variants there are, and what is measured of one of them.

A run is trained, exported and measured as any user would do it, and becomes one JSON file: the answers on its test
rows, the figures of each explained input, whether negations are understood, and how long training took. Variants
differ in `[interpretability]` alone.
"""

import csv
import hashlib
import json
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any  # TOML and JSON values

import numpy as np
import tomlkit

from benchmarks.negation import negations_understood
from benchmarks.report import RESULTS
from benchmarks.sentiment_words import WORDS, lexicon_half, rationale
from explicate_export.export import ExportOptions, export_run
from explicate_standards.evaluated_model import open_published
from explicate_standards.evaluation import chosen_metrics, evaluate, plan
from explicate_standards.held_out_rows import read_rows
from explicate_training.config.config_file import AnyConfig, format_config, load_config, parse_config
from explicate_training.data.demos import DEMO_TABLES, DEMO_TEXTS
from explicate_training.train import train

Say = Callable[[str], None]
RECORDS = RESULTS / "interpretability"
ROOT = Path(__file__).parent.parent
BASELINE, DEFAULTS, RATIONALES = "cross-entropy", "defaults", "rationales"
_ALONE = {"masked_fraction": 0.0, "additivity": 0.0}  # what a variant of one term turns off
TEXT_VARIANTS: Mapping[str, Mapping[str, Any] | None] = {
    BASELINE: None,
    "masked": {**_ALONE, "masked_fraction": 0.5},
    "additivity": {**_ALONE, "additivity": 0.05},
    "consistency": {**_ALONE, "consistency": 0.5},
    RATIONALES: {**_ALONE, "rationales": "LEXICON"},
    DEFAULTS: {},
}
"""`[interpretability]` of each; None: without the section."""
MONOTONE: Mapping[str, Mapping[str, str]] = {
    "credit": {"Income": "increasing good", "Seniority": "increasing good", "Assets": "increasing good"},
    "churn": {"number_customer_service_calls": "increasing yes", "total_day_minutes": "increasing yes"},
    "hdma": {"dir": "increasing yes", "lvr": "increasing yes"},
}
"""What a lender, or a telephone company, would promise."""
TABLE_VARIANTS = ("free", "pairs", "additive", "monotone")
TABLES = tuple(MONOTONE)
TEXT_METRICS = (
    "masked_accuracy", "additive_r2", "evaluations_per_player", "comprehensiveness", "sufficiency", "plausibility",
)  # fmt: skip
TABLE_METRICS = ("masked_accuracy", "additive_r2", "evaluations_per_player", "contradictions")
_TEXT = "reviews"


@dataclass(frozen=True)
class Size:
    """How much is trained and measured; `rehearsal` is what fits into a minute."""

    inputs: int = 200
    rows: int = 0  # of each data set; 0: all
    training: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    compared: int = 256
    folder: Path = ROOT / "runs" / "interpretability"
    records: Path = RECORDS


@dataclass(frozen=True)
class Variant:
    """One run: a data set, what its section has, and a seed."""

    data: str
    name: str
    seed: int

    @property
    def kind(self) -> str:
        """ "text" or "table"."""
        return "text" if self.data == _TEXT else "table"

    @property
    def key(self) -> str:
        """Of its file."""
        return f"{self.data}-{self.name}-{self.seed}"


def variants(only: str, names: Sequence[str], seeds: int, tables: Sequence[str] = TABLES) -> list[Variant]:
    """All runs, seed by seed, so that a part of them is a fair comparison already."""
    found = []
    for seed in range(seeds):
        if only != "tables":
            found += [Variant(_TEXT, name, seed) for name in TEXT_VARIANTS]
        if only != "text":
            found += [Variant(data, name, seed) for data in tables for name in TABLE_VARIANTS]
    return [one for one in found if not names or one.name in names]


def config_of(variant: Variant, size: Size) -> AnyConfig:
    """The config of a run: the demo's own, with the variant's section."""
    demo = "food-reviews" if variant.kind == "text" else variant.data
    document = tomllib.loads(format_config(load_config(demo)))
    document.pop("interpretability", None)
    section = _section(variant, size)
    if section is not None:
        document["interpretability"] = section
    if size.rows:
        document["data"].update(_small_data(demo, size))
    document["model"].update(size.model if variant.kind == "text" else {})
    document["training"].update({**size.training, "seed": variant.seed})
    config = parse_config(tomlkit.dumps(document), source=variant.key)
    return replace(config, output=replace(config.output, directory=str(size.folder / variant.key), explained=0))


def _section(variant: Variant, size: Size) -> dict[str, Any] | None:
    if variant.kind == "text":
        given = TEXT_VARIANTS[variant.name]
        section = None if given is None else dict(given)
        if section is not None and "rationales" in section:
            section["rationales"] = str(_lexicon(size))
        return section
    if variant.name == "free":
        return None
    form = "additive" if variant.name == "monotone" else variant.name
    section = {**_ALONE, "form": form}
    if "epochs" in size.training:
        section["form_epochs"] = size.training["epochs"]
    return {**section, "monotone": dict(MONOTONE[variant.data])} if variant.name == "monotone" else section


def _lexicon(size: Size) -> Path:
    """The half of the lexicon that the head learns from; the other half measures."""
    path = size.folder / "lexicon.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{word}\t{WORDS[word]:g}\n" for word in lexicon_half(0)), encoding="utf-8")
    return path


def _small_data(demo: str, size: Size) -> dict[str, Any]:
    """The first rows of a demo set, as a file."""
    path = size.folder / f"{demo}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = DEMO_TEXTS[demo]()[0].values if demo in DEMO_TEXTS else DEMO_TABLES[demo]()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(row for row, _ in zip(zip(*columns.values(), strict=True), range(size.rows), strict=False))
    own = {"train": str(path), "text_column": "review", "label_column": "score", "test_fraction": 0.2}
    return {"demo": "", **(own if demo in DEMO_TEXTS else {"table": str(path)})}


def measure_run(variant: Variant, size: Size, say: Say) -> dict[str, Any]:
    """Trains, exports and measures one run; its bundle stays in the repository of the benchmark."""
    config = config_of(variant, size)
    run = Path(config.output.directory)
    repository = size.folder / "repository"
    shutil.rmtree(run, ignore_errors=True)
    shutil.rmtree(repository / variant.key, ignore_errors=True)
    train(config, restart=True)
    options = ExportOptions(variant.key, compared_inputs=size.compared, allow_trivial=True)
    bundle = export_run(run, repository, options, say=say)
    rows = [json.loads(line) for line in (run / "held_out.jsonl").read_text(encoding="utf-8").splitlines()]
    run_json = json.loads((run / "run.json").read_text(encoding="utf-8"))
    say(f"measuring the explanations of {size.inputs} test inputs")
    record = {
        "variant": {"data": variant.data, "name": variant.name, "seed": variant.seed},
        "config_sha256": config_sha256(config),
        "inputs": size.inputs,
        "labels": run_json["labels"],
        "test": {"label": [row["label"] for row in rows], "outputs": [row["outputs"] for row in rows]},
        "train_s": run_json["train_s"],
        **_measured(variant, bundle, rows, size),
    }
    shutil.rmtree(run)
    return record


def _measured(variant: Variant, bundle: Path, rows: Sequence[Mapping[str, Any]], size: Size) -> dict[str, Any]:
    """The figures of each input by metric and key, the texts of the inputs, and the negations."""
    model = open_published(bundle)
    path = size.folder / f"{variant.key}.jsonl"
    given = [{**row, "rationale": rationale(row["text"], row["label"])} if "text" in row else row for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    chosen = read_rows(path, model, count=size.inputs)
    metrics = chosen_metrics(TEXT_METRICS if variant.kind == "text" else TABLE_METRICS)
    planned = plan(model, chosen, metrics)
    found = evaluate(model, chosen, planned, folder=size.folder)
    path.unlink()
    of_inputs: dict[str, dict[str, list[float | None]]] = {}
    for metric in metrics:
        keys = {one.key for one in metric.statistics}
        of_inputs[metric.id] = {
            key: [_number(of_input.get(metric.id, {}).get(key)) for of_input in found.measured] for key in sorted(keys)
        }
    return {
        "figures": of_inputs,
        "players": list(planned.players),
        "explained": [dict(row.line) for row in chosen.inputs],
        "negations": negations_understood(model) if variant.kind == "text" else [],
        "form": "table" if variant.kind == "table" else "text",
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def config_sha256(config: AnyConfig) -> str:
    """What a record is of: another config makes it stale. The folder does not matter."""
    text = re.sub(r"(?m)^directory = .*$", "", format_config(config))
    return hashlib.sha256(text.encode()).hexdigest()


def known_record(variant: Variant, size: Size) -> dict[str, Any] | None:
    """What an earlier call left of a run; None if there is nothing, or it is of another config."""
    path = size.records / f"{variant.key}.json"
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    same = record["inputs"] == size.inputs and record["config_sha256"] == config_sha256(config_of(variant, size))
    return record if same else None


def keep(variant: Variant, record: Mapping[str, Any], size: Size) -> None:
    """Writes a run's record, whole or not at all."""
    size.records.mkdir(parents=True, exist_ok=True)
    path = size.records / f"{variant.key}.json"
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(record), encoding="utf-8")
    unfinished.rename(path)

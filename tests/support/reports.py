"""A small report of each kind that people read in a browser, made as their commands make them."""

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import explicate_export
from explicate.cli.main import main
from explicate.scoring.output_folder import FAILED
from explicate.scoring.run_manifest import MANIFEST
from explicate.views.html import document
from explicate_studies.auto.whole import Request, auto
from explicate_studies.curve.curve_report import write_report as write_curve
from explicate_studies.curve.points import Point, plan
from explicate_studies.study_report import findings
from explicate_studies.study_report import write_report as write_study
from explicate_studies.tune_options import TuneOptions
from explicate_training.text.config import FewShotConfig
from pins import tiny
from support import auto_table, tuned_table
from support.canned.canned_kinds import KINDS, explained
from support.few_labels import few_labels_config
from support.fitted_models import fitted

Pages = Iterator[tuple[str, Path]]  # what each page is called
_STANDARD = """
[standard]
name = "stays"
version = "1"
minimum_rows = 20
require = [ { id = "right", metric = "accuracy", at_least = 0.6 } ]
"""
_COLUMNS = ("age", "occupation of the applicant at the time", "owner")


def _found(folder: Path) -> Pages:
    """Of `explicate auto`, with its leaderboard and the winner's own report."""
    standard = folder / "standard.toml"
    standard.write_text(_STANDARD, encoding="utf-8")
    config, output = str(auto_table.write_config(folder)), folder / "found"
    request = Request(config, minutes=1, only=("linear", "network", "additive"), standard=standard, output=output)
    ended = auto(request, say=lambda _: None, clock=auto_table.Clock(of_a_look=0.2))
    assert ended is not None
    yield "auto", ended.report
    yield "leaderboard", output / "leaderboard.html"
    yield "run of a table", next(output.glob("candidates/network*/**/report.html"))


def _studied(folder: Path) -> Pages:
    tune = {"learning_rate": [1e-3, 1e-1], "epochs": [1, 3]}
    study = tuned_table.open_study(
        tuned_table.write_config(folder), TuneOptions(trials=3), tune, output=folder / "study"
    )
    for _ in study.run():
        pass
    yield "study", write_study(study, findings(study))


def _curved(folder: Path) -> Pages:
    """Of made-up scores on a line over the labels, with noise."""
    config = few_labels_config(folder, labels_per_class=0, few_shot=FewShotConfig(steps=2, batch_size=8))
    labels, recipes = [4, 8, 16], ["full", "few-shot"]
    given = plan(config, folder / "curve", say=lambda _: None, labels=labels, seeds=3, recipes=recipes, keep_runs=False)
    given.folder.mkdir()
    stream = np.random.default_rng(0)
    scores = [
        Point(size, seed, recipe, 0.6 + 0.03 * math.log2(size) + 0.02 * stream.normal() + 0.05 * better, 0.6, 1.0)
        for better, recipe in enumerate(recipes)
        for seed in range(3)
        for size in labels
    ]
    yield "curve", write_curve(scores, given)


def _run_of(kind: str) -> Callable[[Path], Pages]:
    def trained(folder: Path) -> Pages:
        config = tiny.write_training(f"{kind}-classification", folder / "data")
        assert main(["train", str(config), "--output", str(folder / "run"), "--seed", "5"]) == 0
        yield f"run of {kind}s", folder / "run" / "report.html"

    return trained


def _bundled(folder: Path) -> Pages:
    model = fitted("logistic")
    made = explicate_export.from_sklearn(
        model.model, model.rows, y=model.target, repository=folder / "repository", name="own", quiet=True
    )
    yield "bundle", made / "report.html"


def _summary(folder: Path) -> Pages:
    """Of scored rows with what their columns add."""
    stream, (rows, scored) = np.random.default_rng(0), (60, folder / "scored")
    (scored / FAILED).mkdir(parents=True)
    added = {f"attr_{name}": stream.normal(place, 1, rows) for place, name in enumerate(_COLUMNS)}
    table = {"id": np.arange(rows), "label": np.where(added["attr_age"] > 0, "good", "bad"), **added}
    told = {"stop_reason": ["exact"] * rows, "evaluations": [8] * rows}
    pq.write_table(pa.table({**table, **told}), scored / "part-000000.parquet")
    options = {"columns": {name: name for name in _COLUMNS}, "top": 0}
    (scored / MANIFEST).write_text(json.dumps({"model": {"name": "credit", "version": 3}, "options": options}))
    assert main(["summarize", str(scored), "--html", str(folder / "summary.html")]) == 0
    yield "summary", folder / "summary.html"


def _explanations(folder: Path) -> Pages:
    page = folder / "explanations.html"
    page.write_text(document([explained(kind.value, kind.model) for kind in KINDS]), encoding="utf-8")
    yield "explanations", page


MAKERS: Mapping[str, Callable[[Path], Pages]] = {
    "auto": _found,
    "leaderboard": _found,
    "run of a table": _found,
    "run of texts": _run_of("text"),
    "run of images": _run_of("image"),
    "study": _studied,
    "curve": _curved,
    "bundle": _bundled,
    "summary": _summary,
    "explanations": _explanations,
}


class Reports:
    """Makes each report when it is asked for first; `folder` keeps what was made."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, dict[str, Path]()

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            own = self._folder / f"{len(self._made)}"
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(parents=True)
            self._made.update(MAKERS[name](own))
        return self._made[name]

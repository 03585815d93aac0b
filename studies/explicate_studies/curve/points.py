"""The points of a learning curve: ordinary runs on so many labels of each class, one after the other.

What a run found is a small file, written when the run is done; the run's own folder is removed then, unless it is to be
kept. So a curve can be cut off at any moment, and the same command goes on, within a run from its last checkpoint.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any  # runs of any kind; sections of any kind of config

import numpy as np

from explicate.errors import UsageError
from explicate_training.config.config_file import AnyConfig, format_config
from explicate_training.interpretability.terms import active_terms
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.run import Run
from explicate_training.run_directory import write_json
from explicate_training.text.config import Config
from explicate_training.train import prepare_data, train

Say = Callable[[str], None]
FULL, FEW_SHOT = "full", "few-shot"
RECIPES: Mapping[str, str] = {FULL: "full training", FEW_SHOT: "pairs, then a linear layer"}
_POINTS, _RUNS, _IDENTITY = "points", "runs", "identity.json"
_LEAST_STEPS = 60  # of a run: few rows, gone through once or twice, teach nothing
_SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True)
class Point:
    """A run of the curve.

    Attributes:
        labels: of each class, validation included.
        seed: of the draw of labels, and of the model.
        recipe: how it was trained.
        score: the test metric.
        simple: that of the simple model on the same labels.
        seconds: that the run took.
    """

    labels: int
    seed: int
    recipe: str
    score: float
    simple: float
    seconds: float

    @property
    def key(self) -> tuple[int, int, str]:
        """What tells it apart."""
        return self.labels, self.seed, self.recipe


@dataclass(frozen=True)
class Plan:
    """What is run."""

    config: AnyConfig
    folder: Path
    labels: tuple[int, ...]
    seeds: int
    recipes: tuple[str, ...]
    metric: str
    title: str  # of the metric
    classes: int  # strata of the labels
    sha256: str
    of: str  # what so many labels are of, in words
    keep_runs: bool = False

    def runs(self) -> list[tuple[int, int, str]]:
        """All runs, a whole draw of labels after the other, so that a curve is there early."""
        return [(labels, seed, how) for seed in range(self.seeds) for labels in self.labels for how in self.recipes]


def plan(
    config: AnyConfig,
    folder: Path,
    *,
    labels: Sequence[int],
    seeds: int,
    recipes: Sequence[str],
    keep_runs: bool,
    say: Say,
) -> Plan:
    """Reads the data once, and leaves out what they do not have.

    Raises UsageError when the data are wrong, or no two sizes are left.
    """
    for name, given, least in (("--labels", min(labels, default=0), 2), ("--seeds", seeds, 1)):
        if given < least:
            raise UsageError(f"{name} must be at least {least}, not {given}")
    run = prepare_data(config, say)
    if config.data.labels_per_class:
        raise UsageError("data.labels_per_class is what explicate curve varies: leave it out of the config")
    learnt = [*run.splits.train.labels.tolist(), *run.splits.validation.labels.tolist()]
    counts = np.unique(run.task.strata(learnt), return_counts=True)[1]
    usable = tuple(size for size in sorted(set(labels)) if size <= counts.min())
    for size in sorted(set(labels) - set(usable)):
        say(f"{size} labels are left out: the rarest class has {counts.min()} to learn from")
    if len(usable) < 2:
        raise UsageError(
            f"a curve needs two sizes at least, and the rarest class has {counts.min()} labels to learn from: give "
            "smaller --labels, such as 8,16"
        )
    metric, title = run.task.score
    of = "a class" if run.labels and run.task.one_of_classes else "a label" if run.labels else "a tenth of the values"
    how = _recipes(config, run, recipes, say)
    return Plan(config, folder, usable, seeds, how, metric, title, len(counts), run.sha256, of, keep_runs)


def _recipes(config: AnyConfig, run: Run[Any, Any], wanted: Sequence[str], say: Say) -> tuple[str, ...]:
    """Those that fit the data."""
    fits = isinstance(config, Config) and run.task.one_of_classes
    if fits and active_terms(config.interpretability, config.kind):
        say("the recipe for few labels does not go with [interpretability], so it is left out")
        fits = False
    found = tuple(one for one in RECIPES if one in wanted and (one == FULL or fits))
    if not found:
        raise UsageError("--recipes few-shot is for texts with one class each: leave it out")
    return found


def check_identity(plan: Plan) -> None:
    """Raises UsageError if the folder holds the curve of something else."""
    identity = {"config": format_config(plan.config), "data": plan.sha256, "metric": plan.metric}
    path = plan.folder / _IDENTITY
    if not path.exists():
        (plan.folder / _POINTS).mkdir(parents=True, exist_ok=True)
        write_json(path, identity)
        return
    known = json.loads(path.read_text(encoding="utf-8"))
    if changed := [name for name, value in identity.items() if known.get(name) != value]:
        raise UsageError(
            f"{plan.folder} holds a curve with another {' and another '.join(changed)}: choose another folder with "
            "--output, or remove it first"
        )


def known_points(plan: Plan) -> list[Point]:
    """Those of the plan that are done."""
    files = sorted((plan.folder / _POINTS).glob("*.json"))
    found = {one.key: one for one in (Point(**json.loads(file.read_text(encoding="utf-8"))) for file in files)}
    return [found[key] for key in plan.runs() if key in found]


def run_points(plan: Plan, say: Say) -> Iterator[Point]:
    """Runs what is not done yet, and yields each point when it is there. Raises ExplicateError as a run does."""
    done = known_points(plan)
    known = {one.key for one in done}
    waiting = [key for key in plan.runs() if key not in known]
    if known:
        say(f"{len(known)} of {len(plan.runs())} runs are done already")
    for place, key in enumerate(waiting):
        labels, seed, recipe = key
        say(f"run {len(done) + 1} of {len(plan.runs())}: {labels} labels {plan.of}, draw {seed}, {RECIPES[recipe]}")
        point = _run_point(plan, labels, seed, recipe, say)
        done.append(point)
        yield point
        if left := waiting[place + 1 :]:
            say(f"  {len(left)} more runs take about {duration(_time_left(done, left))}")


def _time_left(done: Sequence[Point], left: Sequence[tuple[int, int, str]]) -> float:
    """Seconds, by the runs of the same size and recipe where there are some, else by all."""
    mean = float(np.mean([one.seconds for one in done]))
    alike = {(labels, recipe): [one.seconds for one in done if (one.labels, one.recipe) == (labels, recipe)]
             for labels, _, recipe in left}  # fmt: skip
    return sum(float(np.mean(alike[labels, recipe] or [mean])) for labels, _, recipe in left)


def config_of(plan: Plan, labels: int, seed: int, recipe: str, output: Path) -> AnyConfig:
    """The config of one run: so many labels, as many steps at least as few rows need, and no explained rows."""
    config: Any = plan.config
    steps = -(-labels * plan.classes // config.training.batch_size)
    epochs = max(config.training.epochs, -(-_LEAST_STEPS // steps))
    config = replace(
        config,
        data=replace(config.data, labels_per_class=labels),
        training=replace(config.training, seed=seed, epochs=epochs),
        output=replace(config.output, directory=str(output), explained=0),
    )
    if isinstance(config, Config):
        config = replace(config, few_shot=replace(config.few_shot, enabled=recipe == FEW_SHOT))
    config.check()
    found: AnyConfig = config
    return found


def _run_point(plan: Plan, labels: int, seed: int, recipe: str, say: Say) -> Point:
    name = f"{labels}-{seed}-{recipe}"
    output = plan.folder / _RUNS / name
    begin_s = time.monotonic()
    if not (output / "metrics.json").exists():  # else it was cut off just before its point was written
        output.parent.mkdir(parents=True, exist_ok=True)
        with (output.parent / f"{name}.log").open("a", encoding="utf-8") as log:
            config = config_of(plan, labels, seed, recipe, output)
            train(config, resume=True, progress=_Progress(log, say))
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    point = Point(
        labels,
        seed,
        recipe,
        _score(metrics["test"], plan),
        _simple(metrics, plan),
        round(time.monotonic() - begin_s, 1),
    )
    unfinished = plan.folder / _POINTS / f".{name}"
    write_json(unfinished, asdict(point))
    unfinished.rename(plan.folder / _POINTS / f"{name}.json")
    if not plan.keep_runs:
        shutil.rmtree(output)
    return point


def _score(metrics: Mapping[str, Any], plan: Plan) -> float:
    value = metrics.get(plan.metric)
    if not isinstance(value, int | float):
        raise UsageError(f"{plan.title} is undefined on the test part: give a larger one with data.test_fraction")
    return float(value)


def _simple(metrics: Mapping[str, Any], plan: Plan) -> float:
    """The score of the model that a run compares itself with; NaN where it is undefined."""
    others = [one for name, one in metrics.items() if name not in ("test", "validation") and isinstance(one, dict)]
    found = [one["test"].get(plan.metric) for one in others if isinstance(one.get("test"), dict)]
    return float("nan") if not found or found[0] is None else float(found[0])


class _Progress(StepProgress):
    """What a run says goes to its log, its steps to the terminal, too, now and then."""

    def __init__(self, log: Any, say: Say) -> None:
        super().__init__(log)
        self._told, self._line_at_s = say, time.monotonic()

    def say(self, text: str) -> None:
        """Writes a line."""
        super().say(text)
        now_s = time.monotonic()
        if text.startswith("  step ") and now_s - self._line_at_s >= _SECONDS_BETWEEN_LINES:
            self._line_at_s = now_s
            self._told(text)

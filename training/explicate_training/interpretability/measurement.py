"""What `[interpretability]` did to a trained model, in figures: measured in torch, on rows it has not learnt from.

The test rows are shown with .1, .3, .5, .7 and .9 of their players removed: a model that has seen such rows is still
right on many of them. And of some validation rows it is told how far their parts add up: R² of the best additive fit,
on coalitions that the fit has not seen. (What a served model costs to explain is measured on the exported one,
`explicate evaluate`.)
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol  # Any: targets of any number type; JSON values

import numpy as np
import tomlkit
import torch
from numpy.typing import NDArray
from torch import Tensor

from explicate.v1.training_run_pb2 import InterpretabilityTraining, MaskedScore, TrainedTerm
from explicate_training.config.sections import rule_of
from explicate_training.interpretability.players import Batch, Players, drawn, of_share
from explicate_training.interpretability.step_loss import TERM, StepLoss
from explicate_training.interpretability.term import Term
from explicate_training.interpretability.terms import Interpretability, active_terms
from explicate_training.loop.verdict import judged
from explicate_training.tasks.task import Task, shown_interval

SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
_MOST_ROWS, _TOGETHER = 500, 64
_FITTED_ROWS, _FITTED_S = 20, 20.0  # rows that an additive fit is tried on, and seconds that it may take in all
_MOST_PLAYERS = 100
_FEWEST_PLAYERS = 3  # two are nearly always additive
_VIEWS_A_PLAYER, _VIEWS = 4, 30  # of a fit; a third of them is held out
_RIDGE = 1e-6


class Asked(Protocol):
    """A run whose model is trained."""

    task: Task
    config: Any

    @property
    def targets(self) -> Mapping[str, NDArray[Any]]:
        """What is to be answered, by split, as the task gives it."""

    @property
    def term_figures(self) -> Mapping[str, Mapping[str, Any]]:
        """What terms measured after the training, by their names."""

    @property
    def labels(self) -> Sequence[str]:
        """The classes or labels by index."""

    def players(self) -> Players:
        """How its rows are shown with parts of them absent."""

    def batch_of(self, name: str, rows: Sequence[int]) -> Batch:
        """Some rows of a split as a batch, with what players need."""

    def answers_to(self, inputs: Mapping[str, Tensor]) -> NDArray[np.floating[Any]]:
        """The model's answers float [views, outputs] to its inputs, in the unit of the target."""


@dataclass(frozen=True)
class MaskedFigure:
    """How good the answers are to rows of which a share of the players is removed."""

    removed: float
    value: float
    interval: tuple[float, float] | None


@torch.no_grad()
def masked_figures(run: Asked, *, seed: int) -> list[MaskedFigure]:
    """By the share that is removed; the metric is the first that the task draws, such as accuracy."""
    (name, *_), targets = run.task.curves, run.targets["test"]
    rows = np.linspace(0, len(targets) - 1, min(len(targets), _MOST_ROWS)).astype(int)
    found = []
    for share in SHARES:
        parts = [
            _answers(run, rows[start : start + _TOGETHER].tolist(), share, np.random.default_rng([seed, start]))
            for start in range(0, len(rows), _TOGETHER)
        ]
        evaluation = run.task.evaluate(np.concatenate(parts), targets[rows], run.labels, counted="rows")
        metrics = judged("", run.task, evaluation, run.labels).metrics(run.labels)
        ends = metrics["intervals"].get(name)
        value = metrics[name]
        if value is not None:
            found.append(MaskedFigure(share, float(value), (ends[0], ends[1]) if ends else None))
    return found


def _answers(run: Asked, rows: Sequence[int], share: float, stream: np.random.Generator) -> NDArray[np.float64]:
    players = run.players()
    batch = players.ready(run.batch_of("test", rows), stream)
    counts = players.counts(batch).numpy()
    return players.answered(run.answers_to, batch, np.arange(len(rows)), of_share(counts, share, stream))


@torch.no_grad()
def additive_fits(run: Asked, *, seed: int) -> dict[str, list[float]]:
    """R² of additive fits of validation rows, held out, of "logit" and "probability" (of numbers both are values).

    In logit space of what counts of the logits; the outputs of a row count together.
    """
    players, total = run.players(), len(run.targets["validation"])
    begin_s = time.monotonic()
    found: dict[str, list[float]] = {"logit": [], "probability": []}
    for row in np.random.default_rng(seed).permutation(total).tolist():
        if len(found["logit"]) >= _FITTED_ROWS or time.monotonic() - begin_s > _FITTED_S:
            break
        stream = np.random.default_rng([seed, row])
        batch = players.ready(run.batch_of("validation", [row]), stream)
        count = int(players.counts(batch)[0])
        if not _FEWEST_PLAYERS <= count <= _MOST_PLAYERS:
            continue
        present = drawn(np.full(_VIEWS_A_PLAYER * count + _VIEWS, count), stream)
        answers = players.answered(run.answers_to, batch, np.zeros(len(present), dtype=np.intp), present)
        centred = run.task.centred(torch.from_numpy(answers)).numpy()
        for space, values in (("logit", centred), ("probability", run.task.scores(answers))):
            if (r2 := held_out_r2(present, values)) is not None:
                found[space].append(r2)
    return found


def held_out_r2(present: NDArray[np.bool_], values: NDArray[np.floating[Any]]) -> float | None:
    """R² of an additive fit to two thirds of the coalitions bool [m, players], on the last third; None of a constant.

    `values` are float [m, outputs].
    """
    design = np.column_stack([np.ones(len(present)), present]).astype(np.float64)
    cut = 2 * len(design) // 3
    gram = design[:cut].T @ design[:cut] + _RIDGE * np.eye(design.shape[1])
    fitted = design[cut:] @ np.linalg.solve(gram, design[:cut].T @ values[:cut])
    spread = float(np.square(values[cut:] - values[cut:].mean(axis=0)).sum())
    return 1 - float(np.square(values[cut:] - fitted).sum()) / spread if spread > 0 else None


@dataclass(frozen=True)
class TermFigures:
    """What a term was and what it cost."""

    name: str
    title: str
    about: str
    weight: float | None  # None: it adds nothing to the loss
    share: float  # of the training time
    first: float | None  # its loss, before its weight, at the start
    last: float | None
    measured: Mapping[str, Any]  # after the training, by itself
    sentence: str  # the same for people; empty where there is nothing


@dataclass(frozen=True)
class Trained:
    """What `[interpretability]` did in a run."""

    settings: Mapping[str, str]  # keys that are not as when the section is left out, as TOML values
    terms: Sequence[TermFigures]
    metric: str  # title of what `masked` measures
    rows: int
    masked: Sequence[MaskedFigure]
    fits: Mapping[str, Sequence[float]]  # R² of rows by space
    validation: tuple[str, float, float] | None  # title of what chose the checkpoint, of whole and of masked rows

    @property
    def masked_mean(self) -> float | None:
        """Over the shares that are removed."""
        values = [one.value for one in self.masked if one.removed]
        return float(np.mean(values)) if values else None

    def fit(self, space: str) -> dict[str, float] | None:
        """Median and tenth percentile of R²."""
        values = self.fits.get(space, ())
        if not values:
            return None
        return {"median": float(np.median(values)), "p10": float(np.quantile(values, 0.1)), "rows": len(values)}

    def as_json(self) -> dict[str, Any]:
        """As metrics.json has it."""
        return {
            "settings": dict(self.settings),
            "terms": {
                one.name: {
                    "weight": one.weight,
                    "share_of_time": one.share,
                    "first": one.first,
                    "last": one.last,
                    **({"measured": one.measured} if one.measured else {}),
                }
                for one in self.terms
            },
            "masked": {
                "metric": self.metric,
                "rows": self.rows,
                "mean": self.masked_mean,
                "by_share_removed": {f"{one.removed:g}": one.value for one in self.masked},
                "intervals": {f"{one.removed:g}": one.interval for one in self.masked if one.interval},
            },
            "additive_r2": {space: fit for space in self.fits if (fit := self.fit(space))},
            "chosen_by": self.validation and dict(zip(("metric", "whole", "masked"), self.validation, strict=True)),
        }

    def as_message(self) -> InterpretabilityTraining:
        """As run.json has it."""
        return InterpretabilityTraining(
            settings=self.settings,
            terms=[
                TrainedTerm(name=one.name, weight=one.weight, share_of_time=one.share, first=one.first, last=one.last)
                for one in self.terms
            ],
            masked_metric=self.metric,
            masked=[MaskedScore(removed=one.removed, value=one.value) for one in self.masked],
        )

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = []
        if self.masked:
            whole, *others = self.masked
            listed = ", ".join(f"{one.value:.3f} without {one.removed:.0%}" for one in others)
            lines.append(
                f"parts removed: test {self.metric} {whole.value:.3f}{shown_interval(whole.interval)} of whole rows, "
                f"{listed} of their parts"
            )
        if (fit := self.fit("probability")) and (raw := self.fit("logit")):
            lines.append(
                f"parts add up: R² of additive fits of {fit['rows']:.0f} validation rows, median {fit['median']:.3f} "
                f"({raw['median']:.3f} of the raw answers)"
            )
        for one in self.terms:
            if one.first is not None and one.last is not None:
                change = f"{one.title} {one.first:.3g} at first, {one.last:.3g} at last"
                lines.append(f"{one.name}: {change}; {one.share:.0%} of the training time")
            lines += [f"{one.name}: {one.sentence}"] if one.sentence else []
        return lines


def trained(
    run: Asked,
    section: Interpretability,
    step_loss: StepLoss | None,
    history: Sequence[Mapping[str, float]],
    *,
    best_step: int,
    seed: int,
) -> Trained:
    """Measures what the active terms of a section did.

    Args:
        run: whose model is trained.
        section: the terms' keys.
        step_loss: the loss that they were in; None where they added nothing to it.
        history: the log of the training.
        best_step: of the chosen checkpoint.
        seed: of what is removed.
    """
    (metric, *_), masked = run.task.curves.values(), masked_figures(run, seed=seed)
    return Trained(
        settings=set_keys(section),
        terms=[
            _figures(term, step_loss, history, run.term_figures.get(term.name, {}))
            for term in active_terms(section, run.config.kind)
        ],
        metric=metric,
        rows=min(len(run.targets["test"]), _MOST_ROWS),
        masked=masked,
        fits=additive_fits(run, seed=seed),
        validation=_chosen_by(run.task, history, best_step),
    )


def set_keys(section: Interpretability) -> dict[str, str]:
    """The keys with another value than when the section is left out, with their values as TOML."""
    values = {one.name: (getattr(section, one.name), rule_of(one).when_absent(one)) for one in fields(section)}
    return {
        name: tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string().strip()
        for name, (value, absent) in values.items()
        if value != absent
    }


def _figures(
    term: Term, step_loss: StepLoss | None, history: Sequence[Mapping[str, float]], measured: Mapping[str, Any]
) -> TermFigures:
    told = [entry[f"{TERM}{term.name}"] for entry in history if f"{TERM}{term.name}" in entry]
    added = step_loss.terms.get(term.name) if step_loss is not None else None
    return TermFigures(
        term.name,
        term.title,
        term.about,
        added.weight if told and added is not None else None,
        step_loss.shares().get(term.name, 0.0) if step_loss is not None else 0.0,
        told[0] if told else None,
        told[-1] if told else None,
        measured,
        term.told(measured) if measured else "",
    )


def _chosen_by(task: Task, history: Sequence[Mapping[str, float]], best_step: int) -> tuple[str, float, float] | None:
    """The metric that chose the checkpoint, of whole and of masked rows; None where masked ones had no say."""
    look = next((one for one in history if one.get("step") == best_step and "validation_both_loss" in one), None)
    if look is None:
        return None
    names = [name.removeprefix("validation_both_") for name in look if name.startswith("validation_both_")]
    name = next((one for one in names if one != "loss"), "loss")
    return task.titles.get(name, name), look[f"validation_{name}"], look[f"validation_masked_{name}"]

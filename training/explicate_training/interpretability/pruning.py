"""Structured pruning: attention heads or channels are taken out of the trained model, then it learns on for an epoch.

What it does to the model is measured at the same place, before and after: the validation metrics, the weights, rows a
second of the two in alternation, accuracy with parts removed, and how much a sum of the parts' effects says of it.
Little harms little (Michel, Levy, Neubig 2019, "Are Sixteen Heads Really Better than One?"); much harms explanations
before it harms accuracy, so these are told, too.
"""

import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # runs and configs of any kind

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import TrainerCallback

from explicate.errors import UsageError
from explicate_training.config.sections import Numbers, TrainingOptions, numbers_option
from explicate_training.interpretability.players import drawn
from explicate_training.interpretability.term import LossTerm, Prepared, Term
from explicate_training.loop.pruned import Pruned, choose, layers, record, silence, taken_out
from explicate_training.tasks.task import Loss

KINDS = ("heads", "channels")
_MOST = 0.9  # a share above leaves nothing that works
_SLOWER = 0.5  # of the learning rate, for the epoch after
_ROUNDS = 3  # of the two models in alternation
_EXPLAINED, _MOST_PLAYERS = 16, 48  # test rows, and parts of one
_DRAWS_PER_PLAYER, _HELD_OUT = 5, 0.3  # coalitions, and the share of them that the fit does not see


@dataclass(frozen=True)
class Pruning(Term):
    """Heads and channels that are taken out."""

    name = "pruning"
    title = "share of heads or channels taken out"
    about = "heads or channels with the smallest weights are taken out after training, then it learns on for an epoch"

    pruning: Numbers = numbers_option(
        "share of the attention heads (heads), or of the channels inside residual blocks (channels), taken out after "
        "training, before one more epoch: heads = 0.25"
    )

    @property
    def active(self) -> bool:
        """Whether anything is taken out."""
        return any(self.pruning.values())

    def check(self, config: Any) -> None:
        """Names and shares, and that it is not a table, whose network has neither."""
        for kind, share in self.pruning.items():
            key = f"interpretability.pruning.{kind}"
            if kind not in KINDS:
                raise UsageError(f"{key} is not an option: known are {', '.join(KINDS)}")
            if not 0 <= share <= _MOST:
                raise UsageError(f"{key} must be from 0 to {_MOST:g}, not {share!r}")
        if config.kind == "table":
            raise UsageError(
                "interpretability.pruning takes out heads or channels, and a table's network has neither: leave it out"
            )

    def start(self, run: Prepared, loss: Loss) -> LossTerm | None:  # noqa: ARG002
        """Raises UsageError if the model has nothing of the kind."""
        found = {layer.kind for layer in layers(run.network)}
        for kind, share in self.pruning.items():
            if share and kind not in found:
                other = f"; it has {' and '.join(sorted(found))}" if found else ""
                raise UsageError(
                    f"interpretability.pruning.{kind}: this model has no {kind} that could be taken out{other}, so "
                    "leave it out"
                )
        return None

    def after(self, run: Any) -> None:
        """Takes them out and lets the model learn on; what it did is said, and kept with the run's figures."""
        chosen: Pruned = {}
        for kind, share in self.pruning.items():
            chosen |= choose([layer for layer in layers(run.network) if layer.kind == kind], share)
        if not chosen:
            return
        before = _measured(run)
        silence(run.network, chosen, learning=True)
        at_once = _metrics(run)
        _learn_on(run)
        silence(run.network, chosen)
        record(run.network, chosen)
        after = _measured(run)
        effect = {
            "taken_out": {name: len(units) for name, units in chosen.items()},
            "units": sum(layer.count for layer in layers(run.network) if self.pruning.get(layer.kind)),
            "before": before,
            "at_once": at_once,
            "after": after,
            **_size_and_speed(run, chosen),
        }
        run.term_figures[self.name] = effect
        for line in lines(effect):
            run.say(line)


def lines(effect: Mapping[str, Any]) -> Iterable[str]:
    """What was taken out and what that did, for people."""
    gone = sum(effect["taken_out"].values())
    yield (
        f"pruning took {gone} of {effect['units']} heads or channels out: {effect['weights_before']:,} weights to "
        f"{effect['weights_after']:,}, {effect['rows_per_s_ratio']:.2f} times the rows a second"
    )
    for name, value in effect["before"].items():
        at_once = f", {effect['at_once'][name]:.3f} at once" if name in effect["at_once"] else ""
        yield f"  {name.replace('_', ' ')}: {value:.3f} before{at_once}, {effect['after'][name]:.3f} after an epoch"


def _learn_on(run: Any) -> None:
    """One more epoch, slower and with all layers."""
    from explicate_training.loop.trainer import Fitting  # which knows the terms, as this module is one

    training = replace(
        run.config.training,
        epochs=1,
        learning_rate=run.config.training.learning_rate * _SLOWER,
        gradual_unfreezing=TrainingOptions.gradual_unfreezing,
        evaluations_per_epoch=1,
    )
    with tempfile.TemporaryDirectory(prefix="pruning-") as checkpoints:
        run.fit(
            Fitting(
                run.task,
                training,
                run.labels,
                run.targets["train"],
                run.scale,
                Path(checkpoints),
                False,
                TrainerCallback(),
                step_loss=run.step_loss,
            )
        )


def _metrics(run: Any) -> dict[str, float]:
    """The validation metrics that may choose a checkpoint."""
    outputs = run.predict("validation")
    found: dict[str, float] = run.task.validate(outputs, run.targets["validation"], run.labels)
    return {name: value for name, value in found.items() if name in run.task.checkpoint_metrics}


def _measured(run: Any) -> dict[str, float]:
    """The same, and what is told of explanations."""
    return {**_metrics(run), **_explanations(run)}


def _explanations(run: Any) -> dict[str, float]:
    """Of a few test rows: accuracy with a random share of the parts removed, and the R² of a sum of parts."""
    fits, right = [], []
    for row in range(min(_EXPLAINED, len(run.targets["test"]))):
        game = run.game(row)
        players = 0 if game is None else len(game.features)
        if not 2 <= players <= _MOST_PLAYERS:
            continue
        stream = np.random.Generator(np.random.Philox(row))
        present = drawn(np.full(_DRAWS_PER_PLAYER * (players + 2), players), stream)
        scores = run.task.scores(game.outputs(present))
        chosen = run.task.scores(game.outputs(np.ones((1, players), dtype=np.bool_)))[0].argmax()
        fits.append(additive_r2(present, scores[:, chosen]))
        if run.labels and np.ndim(run.targets["test"]) == 1:
            right.append(float((scores.argmax(axis=1) == run.targets["test"][row]).mean()))
    told = {"additive_r2": statistics.median(fits)} if fits else {}
    return {**told, **({"masked_accuracy": statistics.fmean(right)} if right else {})}


def additive_r2(present: NDArray[np.bool_], values: NDArray[np.floating[Any]]) -> float:
    """The R² on held-out coalitions of the sum of parts that fits the others best; 1 where values do not vary.

    `present` bool [coalitions, players], `values` float [coalitions].
    """
    seen = int(len(values) * (1 - _HELD_OUT))
    design = np.column_stack([np.ones(len(values)), present])
    fitted, *_ = np.linalg.lstsq(design[:seen], values[:seen], rcond=None)
    held_out = values[seen:]
    spread = float(np.square(held_out - held_out.mean()).sum())
    return 1 - float(np.square(held_out - design[seen:] @ fitted).sum()) / spread if spread > 0 else 1.0


def _size_and_speed(run: Any, chosen: Pruned) -> dict[str, float]:
    """Weights of the two models, and how many times the rows a second the smaller one answers, in alternation."""
    network: nn.Module = run.network

    def seconds() -> float:
        begin_s = time.perf_counter()
        run.predict("validation")
        return time.perf_counter() - begin_s

    ratios = []
    for _ in range(_ROUNDS):
        whole_s = seconds()
        with taken_out(network, chosen):
            ratios.append(whole_s / seconds())
            weights = _weights(network)
    return {
        "weights_before": _weights(network),
        "weights_after": weights,
        "rows_per_s_ratio": statistics.median(ratios),
    }


def _weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())

"""The loss of a step with the terms of `[interpretability]`: the objective's own, and what each term adds to it.

L = the objective's loss over whole and masked rows + Σ weight of a term · its loss. What each term costs is measured:
its share of the seconds that the model's answers and losses take in the steps; gradients are taken to cost in
proportion.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any  # outputs of transformers' models

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from explicate_training.interpretability.players import Batch, Players, drawn
from explicate_training.interpretability.term import LossTerm, Shown
from explicate_training.tasks.task import Loss, Task

TERM = "term_"  # before the name of a term in the log
OWN = "objective"  # the share of the objective's own loss
_LABELS = "labels"
ROW_WEIGHTS = "row_weights"  # of a batch, what each row weighs in the objective's own loss
_MASKED_VALIDATION = 2**32  # the seed of what is hidden in validation, beside those of the config


@dataclass
class _Tally:
    """What a term's loss has been since the last look, and what it has cost so far."""

    total: float = 0.0
    steps: int = 0
    seconds: float = 0.0


@dataclass
class StepAnswers:
    """A step of training; `term.Step` says what its attributes are."""

    model: nn.Module
    batch: Batch
    task: Task
    players: Players
    stream: np.random.Generator
    present: Tensor
    logits: Tensor = field(init=False)
    shown: Sequence[Shown] = field(init=False)

    @property
    def reusable(self) -> bool:
        """Whether an answer depends on nothing but its row."""
        return not _normalising(self.model)

    def answers(self, rows: Tensor, present: Tensor) -> Tensor:
        """What the model answers to views of rows of the batch, with the means that its normalisation has learnt."""
        normalising = _normalising(self.model)
        for module in normalising:
            module.train(False)
        try:
            return joined(self.views(rows, present))
        finally:
            for module in normalising:
                module.train()

    def views(self, rows: Tensor, present: Tensor, **options: bool) -> list[Shown]:
        """The same as the model read it, in parts."""
        return [
            self._show(group, rows[group], present[group], options)
            for group in self.players.groups(self.batch, rows, present)
        ]

    def _show(self, group: Tensor, rows: Tensor, present: Tensor, options: Mapping[str, bool]) -> Shown:
        inputs = self.players.shown(self.batch, rows, present)
        read = {name: values for name, values in inputs.items() if name not in self.players.extra}
        return Shown(rows, inputs, self.model(**read, **options), group)


def _weights(batch: Batch) -> dict[str, Tensor]:
    """What a batch tells the loss of its rows' weights."""
    return {"weights": batch[ROW_WEIGHTS]} if ROW_WEIGHTS in batch else {}


def _normalising(model: nn.Module) -> list[nn.Module]:
    """The layers that normalise over the rows of a batch, while they learn."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]


def joined(parts: Iterable[Shown]) -> Tensor:
    """The answers to all views in their order, in at least 32 bits."""
    parts = list(parts)
    order = torch.cat([part.group for part in parts]).argsort()
    logits = torch.cat([part.outputs["logits"] for part in parts])[order]
    return logits if logits.dtype == torch.float64 else logits.float()


class StepLoss:
    """The loss of the steps of one run, and what its terms have to tell."""

    def __init__(
        self, loss: Loss, terms: Mapping[str, LossTerm], *, task: Task, players: Players, seed: int, hides: bool
    ) -> None:
        """`terms` by name; `hides`: whether rows with absent players are validated on, too."""
        self.terms = dict(terms)
        self.players = players
        self.hides = hides
        self._loss = loss
        self._task = task
        self._seed = seed
        self._tallies = {name: _Tally() for name in (OWN, *self.terms)}

    @property
    def modules(self) -> nn.ModuleDict:
        """The terms' own weights."""
        return nn.ModuleDict({name: term.module for name, term in self.terms.items() if term.module is not None})

    def columns(self) -> dict[str, Sequence[Any]]:
        """What training rows carry for the terms, by name."""
        return {name: rows for term in self.terms.values() for name, rows in term.columns().items()}

    def loss(self, model: nn.Module, batch: Batch, *, step: int) -> Tensor:
        """The loss of a batch with "labels"; what is drawn in a step is a function of the seed and its number alone."""
        streams = self._streams(step)
        with self._timed(OWN):
            seen = self._seen(model, batch, streams)
            total = self._loss({"logits": seen.logits}, batch[_LABELS], **_weights(batch))
        self._tell(OWN, total)
        for name, term in self.terms.items():
            seen.stream = streams[name]
            with self._timed(name):
                added = term.loss(seen)
            if added is not None:
                self._tell(name, added)
                total = total + term.weight * added
        return total

    def _streams(self, step: int) -> dict[str, np.random.Generator]:
        """Of the objective and of each term apart, so that one more term does not change what the others draw."""
        return {
            name: np.random.Generator(np.random.Philox([self._seed, step, *name.encode()]))
            for name in (OWN, *self.terms)
        }

    def _seen(self, model: nn.Module, batch: Batch, streams: Mapping[str, np.random.Generator]) -> StepAnswers:
        """The batch as the objective's own loss sees it, answered."""
        batch = self.players.ready(batch, streams[OWN])
        counts = self.players.counts(batch)
        numbers = counts.cpu().numpy()
        hidden = (term.hide(numbers, streams[name]) for name, term in self.terms.items())
        chosen = next((one for one in hidden if one is not None), np.ones((len(numbers), int(numbers.max())), bool))
        present = torch.from_numpy(chosen).to(counts.device)
        wants = any(term.hidden_states for term in self.terms.values())
        seen = StepAnswers(model, batch, self._task, self.players, streams[OWN], present)
        rows = torch.arange(len(counts), device=counts.device)
        seen.shown = seen.views(rows, present, **({"output_hidden_states": True} if wants else {}))
        seen.logits = joined(seen.shown)
        return seen

    def validation(self, model: nn.Module, batch: Batch, *, number: int, masked: bool) -> tuple[Tensor, Any]:
        """The objective's own loss of a batch of validation rows and the answers, of whole rows or masked ones.

        What is hidden is a function of the batch's `number` alone, so that all looks see the same.
        """
        stream = np.random.Generator(np.random.Philox([self._seed, _MASKED_VALIDATION, number]))
        batch = self.players.ready(batch, stream)
        counts = self.players.counts(batch)
        hidden = drawn(counts.cpu().numpy(), stream)
        present = torch.from_numpy(hidden if masked else np.ones_like(hidden)).to(counts.device)
        seen = StepAnswers(model, batch, self._task, self.players, stream, present)
        answers = {"logits": seen.answers(torch.arange(len(counts), device=counts.device), present)}
        return self._loss(answers, batch[_LABELS], **_weights(batch)), answers

    def figures(self) -> dict[str, float]:
        """The mean loss of each term since the last call, before its weight, by name."""
        means = {name: one.total / one.steps for name, one in self._tallies.items() if one.steps and name != OWN}
        for one in self._tallies.values():
            one.total, one.steps = 0.0, 0
        return means

    def shares(self) -> dict[str, float]:
        """The part of the training time that each term took, and OWN; they sum to 1."""
        total = sum(one.seconds for one in self._tallies.values()) or 1.0
        return {name: one.seconds / total for name, one in self._tallies.items()}

    def _tell(self, name: str, loss: Tensor) -> None:
        tally = self._tallies[name]
        tally.total += float(loss.detach())
        tally.steps += 1

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begin_s = time.perf_counter()
        yield
        self._tallies[name].seconds += time.perf_counter() - begin_s

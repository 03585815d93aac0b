"""The interaction penalty: second differences of the model over disjoint sets of players.

E[(f(S∪T) − f(S) − f(T) + f(∅))²] / sg(Var f(S∪T)), f the centred logits, S and T disjoint random sets of a row's
players, S∪T all of them in half of the draws, sg no gradient, the variance over the rows of the step. It is 0 for an
additive model, whose explanations need few evaluations, and has no unit, so that its weight means the same for any
model. After ExpO (Plumb and others, NeurIPS 2020) and the interaction loss (Zhang and others, ICLR 2021).

Where absent players make a row shorter, f(S) and f(T) together take as long as f(S∪T), which the objective's own loss
mostly has asked for already, and half of the rows are taken: all of them took more than half of the training time.
Elsewhere it is a third of the rows (a fourth where f(S∪T) must be asked for again), at about one more answer a row.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explicate_training.config.sections import option
from explicate_training.interpretability.players import drawn
from explicate_training.interpretability.tables.network_form import ADDITIVE
from explicate_training.interpretability.term import LossTerm, Prepared, Step, Term
from explicate_training.tasks.task import Loss

_VIEWS = 3  # of a row: S, T and nothing
# In squared logits or squared standard deviations: below a spread of .1 a model says nearly the same of all rows, and a
# smaller divisor would make the penalty drive it there.
_LEAST_VARIANCE = 0.01


@dataclass(frozen=True)
class Additivity(Term):
    """An additive model has no interactions."""

    name = "additivity"
    title = "interactions, as a share of the variance"
    about = "interactions between parts cost something, so that parts add up and explanations need fewer evaluations"

    additivity: float = option(
        0.05,
        "weight of the penalty on interactions between players; 0: off. More is easier to explain and less accurate",
        minimum=0,
        maximum=1000,
        absent=0.0,
    )

    def start(self, run: Prepared, loss: Loss) -> LossTerm | None:  # noqa: ARG002
        """Nothing where the network is a sum over columns."""
        return None if run.config.interpretability.form == ADDITIVE else _Interactions(self.additivity)


class _Interactions(LossTerm):
    def __init__(self, weight: float) -> None:
        self.weight = weight

    def loss(self, step: Step) -> Tensor:
        rows, union, known = _unions(step)
        coins = torch.from_numpy(step.stream.random(tuple(union.shape)) < 0.5).to(union.device)
        views = [union & coins, union & ~coins, torch.zeros_like(union), union[~known]]
        answers = step.answers(torch.cat([rows, rows, rows, rows[~known]]), torch.cat(views))
        f, count = _of_outputs(step, answers), len(rows)
        first, second, nothing, asked = f[:count], f[count : 2 * count], f[2 * count : 3 * count], f[3 * count :]
        both = torch.empty_like(first)
        both[known], both[~known] = _of_outputs(step, step.logits[rows[known]]), asked
        return interactions(both, first, second, nothing)


def interactions(both: Tensor, first: Tensor, second: Tensor, nothing: Tensor) -> Tensor:
    """Mean squared second difference over the variance of the first argument; all float [rows, outputs]."""
    difference = both - first - second + nothing
    variance = both.detach().var(dim=0, correction=0).sum()
    return difference.square().sum(dim=1).mean() / variance.clamp(min=_LEAST_VARIANCE)


def _of_outputs(step: Step, logits: Tensor) -> Tensor:
    """f: the answer of all members together, centred."""
    return step.task.centred(logits.mean(dim=1) if logits.dim() == 3 else logits)


def _unions(step: Step) -> tuple[Tensor, Tensor, Tensor]:
    """Rows int64 [n], S∪T of each bool [n, players], and where the objective's own loss has asked for it already.

    Half of them are all players. The others are what the loss saw of the row, or, of a row that it saw whole, drawn.
    """
    count = len(step.present)
    views = _VIEWS if step.reusable else _VIEWS + 1
    taken = -(-count // (2 if step.players.shorter else views))
    chosen = np.sort(step.stream.permutation(count)[:taken])
    present = step.present.cpu().numpy()[chosen]
    whole = np.asarray(present.all(axis=1))
    # Rows that the loss saw whole come first, so that as many of them as possible count as the whole ones here.
    order = np.lexsort((step.stream.random(taken), np.logical_not(whole)))
    everything = np.zeros(taken, dtype=np.bool_)
    everything[order[: int(taken / 2 + step.stream.random())]] = True
    counts = step.players.counts(step.batch).cpu().numpy()[chosen]
    own = np.ones_like(present)
    fresh = drawn(counts, step.stream)
    own[:, : fresh.shape[1]] = fresh
    union = np.where(everything[:, np.newaxis], True, np.where(whole[:, np.newaxis], own, present))
    known = (union == present).all(axis=1) & step.reusable
    rows, unions, knowns = (torch.from_numpy(one).to(step.present.device) for one in (chosen, union, known))
    return rows, unions, knowns

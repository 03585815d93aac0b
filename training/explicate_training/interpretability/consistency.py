"""Consistency: the answer to a part of a row shall be that to the whole row, KL(f(x) ‖ f(x masked)).

An option, not a default: it teaches to answer without evidence. On the food reviews R² of additive fits rose from .883
to .942, but agreement with rationales fell from .669 to .604.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from explicate_training.config.sections import option
from explicate_training.interpretability.players import drawn
from explicate_training.interpretability.term import LossTerm, Prepared, Step, Term
from explicate_training.tasks.task import Loss


@dataclass(frozen=True)
class Consistency(Term):
    """Parts are answered as the whole is."""

    name = "consistency"
    title = "divergence between the answers to whole and masked rows, in nats"
    about = "a row shown in part shall be answered as the whole row is"

    consistency: float = option(
        0.0,
        "weight of KL(whole ‖ masked), so that parts are answered as the whole is; 0: off. It costs evidence",
        minimum=0,
        maximum=1000,
    )

    def start(self, run: Prepared, loss: Loss) -> LossTerm:  # noqa: ARG002
        return _Divergence(self.consistency)


class _Divergence(LossTerm):
    def __init__(self, weight: float) -> None:
        self.weight = weight

    def loss(self, step: Step) -> Tensor:
        """Over the rows that the objective's own loss saw whole; where there are none, over all of them."""
        seen = step.present.all(dim=1) & step.reusable
        known = bool(seen.any())
        rows = seen.nonzero().flatten() if known else torch.arange(len(seen), device=seen.device)
        counts = step.players.counts(step.batch)[rows].cpu().numpy()
        masked = torch.ones_like(step.present[rows])
        hidden = drawn(counts, step.stream)
        masked[:, : hidden.shape[1]] = torch.from_numpy(hidden).to(masked.device)
        if known:
            return step.task.divergence(_mean(step.logits[rows]), _mean(step.answers(rows, masked)))
        both = step.answers(rows.repeat(2), torch.cat([torch.ones_like(masked), masked]))
        whole, parts = _mean(both).chunk(2)
        return step.task.divergence(whole, parts)


def _mean(logits: Tensor) -> Tensor:
    return logits.mean(dim=1) if logits.dim() == 3 else logits

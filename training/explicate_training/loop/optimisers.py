"""Which weights move, and how fast: AdamW or SGD, rates that fall with depth, and layers that are let go one by one.

Rates by layer and gradual unfreezing: Howard and Ruder, ULMFiT, ACL 2018, sections 3.2 and 3.3. The names of a model's
weights divide it: what is not in its backbone is the head, distance 0; then the blocks of the backbone from the last to
the first, 1, 2, …; then what comes before the first block, its embeddings.
"""

# ruff: noqa: ARG002 - the Trainer hands its callbacks their arguments by name, wanted or not

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any  # the Trainer's callbacks and groups of weights

from torch import nn
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from explicate.errors import UsageError
from explicate_training.config.sections import TrainingOptions

_BLOCK = re.compile(r"\.(\d+)\.")  # the first number in a weight's name is that of its block
_EMBEDDING = re.compile(r"embed")
_SLOW_SGD = 1e-3  # a rate of AdamW's size, with which SGD hardly learns
_ROUNDING = 1e-9  # a third of an epoch, three times, is one


def layer_distances(model: nn.Module) -> dict[str, int]:
    """How far each weight is from the answers, by its name: 0 of the head, most of the embeddings.

    Raises UsageError when the model has no backbone apart from its head.
    """
    inside = next(((name, one) for name, one in model.named_modules() if isinstance(one, PreTrainedModel)), None)
    if inside is None or inside[1].base_model is inside[1]:
        raise UsageError(
            "training.layer_lr_decay and training.gradual_unfreezing need a model with a backbone apart from its head: "
            "leave them out"
        )
    where, pretrained = inside
    backbone = ".".join(filter(None, [where, pretrained.base_model_prefix, ""]))
    names = [name for name, _ in model.named_parameters()]
    blocks = {
        name: int(found[1])
        for name in names
        if name.startswith(backbone) and not _EMBEDDING.search(name) and (found := _BLOCK.search(name))
    }
    last, first = max(blocks.values(), default=-1), next(iter(blocks), "")
    before = {name for name in names[: names.index(first)] if name.startswith(backbone)} if first else set()
    distances = {}
    for name in names:
        if not name.startswith(backbone):
            distances[name] = 0
        elif name in blocks:
            distances[name] = 1 + last - blocks[name]
        else:  # what follows the last block, such as a pooler, is learnt with it
            distances[name] = last + 2 if name in before or _EMBEDDING.search(name) else 1
    return distances


def weight_groups(model: nn.Module, training: TrainingOptions, decayed: Collection[str]) -> list[dict[str, Any]]:
    """The optimiser's groups, those of the head first: rate η · d^distance, weight decay for the `decayed` alone."""
    decay = training.layer_lr_decay
    distances = layer_distances(model) if decay != 1 else {}
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault((distances.get(name, 0), name not in decayed), []).append(weight)
    return [
        {
            "params": weights,
            "lr": training.learning_rate * decay**distance,
            "weight_decay": 0.0 if spared else training.weight_decay,
        }
        for (distance, spared), weights in sorted(groups.items(), key=lambda one: one[0])
    ]


def trainer_options(training: TrainingOptions) -> dict[str, Any]:
    """What the Trainer's arguments say of the optimiser."""
    if training.optimiser == "sgd":
        return {"optim": "sgd", "optim_args": f"momentum={training.momentum}"}
    return {}


@dataclass
class GradualUnfreezing(TrainerCallback):
    """Lets the head learn alone, then one more layer after each `epochs` epochs.

    A function of the step alone, so that a resumed run goes on as the uninterrupted one would have.
    """

    distances: Mapping[str, int]  # weights that it does not name, such as those of terms, learn from the start
    epochs: float
    steps_per_epoch: int

    def __post_init__(self) -> None:
        self._trained: int | None = None
        self._learns: dict[str, nn.Parameter] = {}

    def reached(self, step: int) -> int:
        """The distance of the deepest weights that learn in a step."""
        return math.floor(step / (self.epochs * self.steps_per_epoch) + _ROUNDING)

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **_: Any,
    ) -> None:
        """Freezes and unfreezes."""
        assert model is not None
        if not self._learns:
            self._learns = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        if (reached := self.reached(state.global_step)) == self._trained:
            return
        self._trained = reached
        for name, weight in self._learns.items():
            weight.requires_grad_(self.distances.get(name, 0) <= reached)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Leaves the model as it was given."""
        for weight in self._learns.values():
            weight.requires_grad_(True)


def unfreezing(model: nn.Module, training: TrainingOptions, steps_per_epoch: int) -> list[TrainerCallback]:
    """The callback that the options ask for, if they do."""
    if not training.gradual_unfreezing:
        return []
    return [GradualUnfreezing(layer_distances(model), training.gradual_unfreezing, steps_per_epoch)]


def told(model: nn.Module, training: TrainingOptions) -> list[str]:
    """What is told of the options that are not the usual ones, a sentence each.

    Raises UsageError as `layer_distances` does, so before anything is trained.
    """
    lines = []
    if training.optimiser == "sgd":
        slow = f"; {training.learning_rate:g} is a rate of AdamW's size, try 0.01" if _is_slow(training) else ""
        lines.append(f"the weights move by SGD with momentum {training.momentum:g}{slow}")
    if training.layer_lr_decay == 1 and not training.gradual_unfreezing:
        return lines
    deepest = max(layer_distances(model).values())
    if training.layer_lr_decay != 1:
        lowest = training.learning_rate * training.layer_lr_decay**deepest
        lines.append(
            f"learning rates fall by {training.layer_lr_decay:g} a layer, from {training.learning_rate:g} of the head "
            f"to {lowest:.2g} of the embeddings"
        )
    if training.gradual_unfreezing:
        lines.append(_unfreezing_line(training, deepest))
    return lines


def _is_slow(training: TrainingOptions) -> bool:
    return training.learning_rate < _SLOW_SGD


def _unfreezing_line(training: TrainingOptions, deepest: int) -> str:
    line = f"the head learns first, and one more layer of {deepest} after each {training.gradual_unfreezing:g} epochs"
    if (needed := training.gradual_unfreezing * deepest) >= training.epochs:
        reached = math.ceil(training.epochs / training.gradual_unfreezing) - 1
        line += (
            f"; the {training.epochs} epochs reach {reached} of them and the rest stays as it was (all would begin "
            f"to learn after {needed:g} epochs)"
        )
    return line

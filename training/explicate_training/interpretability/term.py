"""What a term of `[interpretability]` is: its keys, its checks, and what it adds to a step of training.

A term is a frozen dataclass in a file of its own, whose fields are its keys, declared with `option`, and a line in
`terms.TERMS`. It is asked twice before training: `check` when the config is read, and `start` when the data are
read, split and encoded, which raises UsageError or gives a `LossTerm` for the steps (None: nothing to add to the loss).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol  # Any: sections of any kind's config, rows of any kind

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from explicate_training.config.sections import rule_of
from explicate_training.interpretability.players import Players
from explicate_training.tasks.task import Loss, Task


class Prepared(Protocol):
    """What a term may look at before training starts: a run whose data are read and whose model is made."""

    config: Any
    task: Task
    splits: Any  # `train`, `validation` and `test`, each the kind's own rows
    say: Callable[[str], None]

    @property
    def labels(self) -> Sequence[str]:
        """The classes or labels by index."""

    @property
    def network(self) -> nn.Module:
        """The model that will be trained."""

    def players(self) -> Players:
        """How its rows are shown with parts of them absent."""


@dataclass(frozen=True)
class Shown:
    """Some rows of a batch as the model read them, and what it answered."""

    rows: Tensor  # int64 [views], which row of the batch each view is of
    inputs: Mapping[str, Tensor]  # of the model, and what `Players.shown` adds
    outputs: (
        Any  # with "logits" [views, outputs], or [views, members, outputs]; "hidden_states" where a term wants them
    )
    group: Tensor  # int64 [views], their places among all views that were asked for


class Step(Protocol):
    """A step of training, as a term sees it."""

    model: nn.Module
    batch: Mapping[str, Tensor]  # of whole rows, with "labels" and the columns of the terms
    task: Task
    players: Players
    stream: np.random.Generator  # of this step and term alone
    present: Tensor  # bool [rows, players], which players the loss saw
    logits: Tensor  # float32 [rows, (members,) outputs], what the model answered then
    shown: Sequence[Shown]  # the same as the model read it, in parts

    @property
    def reusable(self) -> bool:
        """Whether `logits` are what `answers` gives: not where the model normalises over the rows of a batch."""

    def answers(self, rows: Tensor, present: Tensor) -> Tensor:
        """What the model answers to views of rows of the batch, float32 [views, (members,) outputs].

        `rows` int64 [views], `present` bool [views, players].
        """


class LossTerm(ABC):
    """What an active term does in each step."""

    weight: float = 1.0  # of its loss beside the objective's own
    hidden_states: bool = False  # whether `Step.shown` must have them
    module: nn.Module | None = None  # weights of its own, learnt with the model's and not kept

    def columns(self) -> Mapping[str, Sequence[NDArray[Any]]]:
        """What a training row carries for it, by the name in the batch: an array a row, padded with -1."""
        return {}

    def hide(self, counts: NDArray[np.intp], stream: np.random.Generator) -> NDArray[np.bool_] | None:  # noqa: ARG002 - most hide none
        """Which players the objective's own loss sees, bool [rows, most players]; None: all.

        `counts`: the players of each row.
        """
        return None

    @abstractmethod
    def loss(self, step: Step) -> Tensor | None:
        """A scalar, before its weight; None where it has nothing to add to this step."""


@dataclass(frozen=True)
class Term(ABC):
    """One way to make a model easier to explain; its fields are its keys of `[interpretability]`.

    Attributes:
        name: of its figure in the log, metrics.json and run.json.
        title: of its figure, for people.
        about: what it does, in a sentence for the report.
        kinds: the kinds of data that it is for, where its keys mean something else to others; empty: all.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ()

    @property
    def active(self) -> bool:
        """Whether any of its keys is set: another value than when the section is left out."""
        return any(getattr(self, one.name) != rule_of(one).when_absent(one) for one in fields(self))

    def check(self, config: Any) -> None:  # noqa: B027 - many keys go with all others
        """Raises UsageError, naming the option, when its keys do not go together or with other sections.

        `config` is of any kind, `config.kind` says which.
        """

    def start(self, run: Prepared, loss: Loss) -> LossTerm | None:  # noqa: ARG002 - not all of them need both
        """What it adds to the steps; raises UsageError when its keys do not fit the data or the model.

        `loss` is the objective's own.
        """
        return None

    def after(self, run: Any) -> None:  # noqa: B027 - most are done by then
        """What it does once the model is trained and has its best weights, before it is measured and written.

        What it measures goes into `run.term_figures`, as JSON values by its name.
        """

    def told(self, figures: Mapping[str, Any]) -> str:  # noqa: ARG002 - most measure nothing of their own
        """What it measured, in words for the log and the report, without a full stop; empty where there is nothing."""
        return ""

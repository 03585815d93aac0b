"""How often a model is right once its inputs are disturbed in ways that leave the right answer as it is.

What can be done to an input differs by kind: a `DISTURBANCES` in disturbances.py of the kind's folder, by name. Each
gives one or several inputs for one, of which a row has the share that is answered rightly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import cast

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ModelInput
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.outcomes.outcomes import CHUNK, Floats, Outcomes, outputs_of

WORST = "worst"
"""The disturbance that costs most, of all that a kind has."""
_STREAM = 11
Disturb = Callable[[EvaluatedModel, ModelInput, np.random.Generator], Sequence[ModelInput]]
"""One or several inputs with the same right answer, for one."""


def disturbances_of(model: EvaluatedModel) -> Mapping[str, Disturb]:
    """What can be done to what a model reads, by name."""
    module = import_module(f"explicate_standards.{model.kind.reads.name}.disturbances")
    return cast(Mapping[str, Disturb], module.DISTURBANCES)


def right_when_disturbed(model: EvaluatedModel, outcomes: Outcomes, rows: Sequence[LabelledInput], name: str) -> Floats:
    """The share of a row's disturbed inputs that are answered rightly, float64[rows].

    Raises:
        UsageError: there is no such disturbance of what the model reads, or it predicts a number.
    """
    outputs = [outputs_of(model, part()) for part in disturbed(model, rows, name).parts]
    return right_shares(outcomes, np.concatenate(outputs))


@dataclass(frozen=True)
class Disturbed:
    """Disturbed inputs, row after row, as many of each: `parts` make some of the `inputs` when they are asked for."""

    parts: Sequence[Callable[[], Sequence[ModelInput]]]
    inputs: int


def disturbed(model: EvaluatedModel, rows: Sequence[LabelledInput], name: str) -> Disturbed:
    """The rows' inputs, disturbed in some way.

    Raises:
        UsageError: there is no such disturbance of what the model reads, or it predicts a number.
    """
    known = disturbances_of(model)
    if name not in known:
        raise UsageError(f"there is no robustness.{name} of {model.kind.reads.plural}; there are {', '.join(known)}")
    if model.kind.predicts.decisions is None:
        raise UsageError("robustness is of models that decide, and this one predicts a number")
    disturb = known[name]
    of_a_row = len(disturb(model, rows[0].value, _generator(rows[0])))
    at_once = max(1, CHUNK // of_a_row)

    def part(first: int) -> list[ModelInput]:
        chunk = rows[first : first + at_once]
        return [value for row in chunk for value in disturb(model, row.value, _generator(row))]

    return Disturbed([partial(part, first) for first in range(0, len(rows), at_once)], of_a_row * len(rows))


def right_shares(outcomes: Outcomes, outputs: Floats) -> Floats:
    """The share of a row's disturbed inputs that are answered rightly, float64[rows], of float64[inputs, outputs]."""
    of_a_row = len(outputs) // len(outcomes)
    targets = np.repeat(outcomes.targets, of_a_row, axis=0)
    return np.asarray(replace(outcomes, outputs=outputs, targets=targets).right.reshape(-1, of_a_row).mean(axis=1))


def _generator(row: LabelledInput) -> np.random.Generator:
    """A stream of the row's own, the same in every run."""
    return np.random.Generator(np.random.Philox(key=np.array([row.place, _STREAM], dtype=np.uint64)))

"""How often a model is right once its inputs are disturbed in ways that leave the right answer as it is.

What can be done to an input differs by kind: a `DISTURBANCES` in disturbances.py of the kind's folder, by name. Each
gives one or several inputs for one, of which a row has the share that is answered rightly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import cast

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.model_inputs import ModelInput
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.outcomes.outcomes import Floats, Outcomes, outputs_of

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
    known = disturbances_of(model)
    if name not in known:
        raise UsageError(f"there is no robustness.{name} of {model.kind.reads.plural}; there are {', '.join(known)}")
    if outcomes.objective.decisions is None:
        raise UsageError("robustness is of models that decide, and this one predicts a number")
    disturb = known[name]
    inputs = [disturb(model, row.value, _generator(row)) for row in rows]
    outputs = outputs_of(model, [value for of_row in inputs for value in of_row])
    counts = [len(of_row) for of_row in inputs]
    places = np.repeat(np.arange(len(rows)), counts)
    disturbed = replace(outcomes, outputs=outputs, targets=outcomes.targets[places])
    return np.bincount(places, weights=disturbed.right, minlength=len(rows)) / counts


def _generator(row: LabelledInput) -> np.random.Generator:
    """A stream of the row's own, the same in every run."""
    return np.random.Generator(np.random.Philox(key=np.array([row.place, _STREAM], dtype=np.uint64)))

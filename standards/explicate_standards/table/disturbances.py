"""What happens to rows on their way: cells that are missing, and numbers that were measured less well."""

from collections.abc import Mapping, Sequence

import numpy as np

from explicate_bundle.model_inputs import ModelInput, TabularInput
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.outcomes.robustness import Disturb
from explicate_standards.table.evaluated import column_spreads

_MISSING = 0.1  # of the cells
_NOISE = 0.1  # of a column's standard deviation


def missing(_model: EvaluatedModel, value: ModelInput, generator: np.random.Generator) -> Sequence[ModelInput]:
    """Each cell is missing with a probability of .1."""
    assert isinstance(value, TabularInput)
    return [TabularInput({name: None if generator.random() < _MISSING else cell for name, cell in value.cells.items()})]


def noise(model: EvaluatedModel, value: ModelInput, generator: np.random.Generator) -> Sequence[ModelInput]:
    """Each number with noise of .1 standard deviations."""
    assert isinstance(value, TabularInput)
    added = {name: float(generator.normal(0.0, _NOISE * spread)) for name, spread in column_spreads(model).items()}
    return [
        TabularInput(
            {
                name: cell + added[name] if isinstance(cell, float) and name in added else cell
                for name, cell in value.cells.items()
            }
        )
    ]


DISTURBANCES: Mapping[str, Disturb] = {"missing": missing, "noise": noise}

"""A guess of an explanation by the bundle's preview explainer, before a coalition is asked for.

It knows the two ends, the whole input and the empty one, and shifts its guesses alike so that they sum to what is
between them. It has no interval, and no explanation rests on it: the estimators never see it.
"""

import numpy as np

from explicate_server.explain.attribution import Attribution, Floats
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import Method
from explicate_server.inference.explain_options import Outputs
from explicate_server.modalities.modality import Game, Guesses


def preview_of(
    game: Game, method: Method, outputs: Outputs, information: GameInfo, estimate: Attribution
) -> Attribution | None:
    """A guess in the place of an estimator's first estimate, whose players it has; None if there is none.

    Of logits it knows only their differences, so it guesses those of a contrast, and otherwise scores.
    """
    centred_only = outputs.space == "logit" and outputs.reference_index is None
    if not method.previews or centred_only or not isinstance(game, Guesses):
        return None
    guessed = game.guessed()
    if guessed is None:
        return None
    half = guessed.shape[1] // 2
    of_space = guessed[:, :half] if outputs.space == "logit" else guessed[:, half:]
    values = of_space[:, list(outputs.class_indices)]
    if outputs.reference_index is not None:
        values = values - of_space[:, [outputs.reference_index]]
    return _told(_of_groups(values, estimate), information, estimate)


def _of_groups(values: Floats, estimate: Attribution) -> Floats:
    """float64[players, outputs] as float64[outputs, n] of the attributed ones."""
    if estimate.groups is None:
        return values.T
    sums = np.zeros((int(estimate.groups.max()) + 1, values.shape[1]))
    np.add.at(sums, estimate.groups, values)
    return sums.T


def _told(values: Floats, information: GameInfo, estimate: Attribution) -> Attribution:
    """With what is missing between v(∅) and v(N) shared out evenly, and nothing known of errors."""
    missing = information.full - information.empty - values.sum(axis=1)
    shifted = values + missing[:, np.newaxis] / values.shape[1]
    return Attribution.certain(shifted, False, baseline=estimate.baseline, additive=True)

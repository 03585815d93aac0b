"""The integral of a model's gradient, in short steps of a worker, as far as budget and time allow."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any  # what a step gives

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import DeadlinePassed, InvalidRequest, Violation
from explicate_server.explain.attribution import Floats
from explicate_server.explain.estimators.integrated_gradients import FEWEST_POINTS, PathIntegral
from explicate_server.inference.asking.targets import Outputs
from explicate_server.inference.explain_options import ResolvedOptions
from explicate_server.inference.told.told_outputs import explained_sums
from explicate_server.modalities.modality import Game, GivesGradients

_ENDS = 2  # rows: the whole input and the empty one
Step = Callable[..., Awaitable[Any]]
"""Runs a function with its arguments off the event loop; Any: what it gives."""


@dataclass(frozen=True)
class Integrated:
    """What came of it.

    Attributes:
        integral: see `GameInfo.integral`.
        rows: of the gradient.
        cut: whether time ended it.
    """

    integral: tuple[Floats, Floats]
    rows: int
    cut: bool


async def integrated(
    game: Game, options: ResolvedOptions, outputs: Outputs, step: Step, seconds_left: Callable[[], float]
) -> Integrated:
    """The integral for all explained outputs.

    Raises:
        InvalidRequest: the budget is too small for a first estimate.
        DeadlinePassed: time was over before it.
    """
    explained = len(outputs.class_indices)
    if options.max_evaluations < (least := _ENDS + FEWEST_POINTS * explained):
        problem = f"is {options.max_evaluations:,}; integrated-gradients needs {least:,} for {explained:,} output(s)"
        raise InvalidRequest([Violation("options.max_evaluations", problem)])
    integral = PathIntegral(tolerance=options.tolerance, most_points=(options.max_evaluations - _ENDS) // explained)
    while (points := integral.ask()) is not None:
        if (found := await gradients_at(points, game, outputs, step, seconds_left)) is None:
            break
        integral.tell(found)
    if integral.found is None:
        raise DeadlinePassed("NO_TIME_TO_EXPLAIN", "only the prediction is known; ask for it, or give more time")
    known = integral.found
    return Integrated((known.values, known.changes), known.points * explained, points is not None)


async def gradients_at(
    points: Floats, game: Game, outputs: Outputs, step: Step, seconds_left: Callable[[], float]
) -> Floats | None:
    """What is under the integral at some points for all explained outputs, float64[m, explained, n]; None if time ended
    before all of it was there.
    """
    assert isinstance(game, GivesGradients)
    sums, scores = explained_sums(outputs), outputs.space != outputs.scales.spaces[-1]
    fixed = np.zeros(len(game.players), np.bool_)
    of_rows, of_sums = np.repeat(points, len(sums)), np.tile(sums, (len(points), 1))
    parts: list[NDArray[np.float64]] = []
    for first in range(0, len(of_rows), game.gradient_rows):
        if seconds_left() <= 0:
            return None
        rows = slice(first, first + game.gradient_rows)
        parts.append(await step(partial(game.gradients, of_rows[rows], of_sums[rows], scores=scores, fixed=fixed)))
    return np.concatenate(parts).reshape(len(points), len(sums), -1)

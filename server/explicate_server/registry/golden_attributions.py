"""Attributions of a bundle's golden inputs: export computes and writes them, a server computes and compares them.

Both go through the engine and the modality that answer requests, so they are met only where explanations are served as
they were when the model was exported.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import GoldenAttributions
from explicate_server.explain.explain_game import explain_game
from explicate_server.explain.methods import METHODS
from explicate_server.modalities.modality import Modality, ModelInput
from explicate_server.runtime.queue import Row

Evaluate = Callable[[Sequence[Row]], NDArray[np.float32]]

# What an input of one or two players is given at least.
_LEAST_EVALUATIONS = 8


def comparable(recipe: GoldenAttributions) -> bool:
    """Whether this server's engine is the one that made them."""
    method = METHODS.get(recipe.method)
    return method is not None and method.version == recipe.method_version


def attribute(
    value: ModelInput, output: int, *, recipe: GoldenAttributions, modality: Modality, evaluate: Evaluate
) -> NDArray[np.float64]:
    """float64[players], what each word, column or cell of a grid adds to one of the graph's outputs.

    Args:
        value: a golden input.
        output: the class that the exported model predicts; 0 of a regression.
        recipe: method, seed and evaluations per player.
        modality: of the bundle; its default masking is taken, and its default players but for images.
        evaluate: the graph's answers float32[rows, outputs] of model rows.
    """
    if recipe.segments:
        kind = f"grid-segments-{recipe.segments}"
    else:
        kind = f"{modality.granularities[0]}s" if modality.granularities else "columns"
    game = modality.game(value, modality.encode(value), players=kind, masking=modality.maskings[0])
    players = len(game.players)

    def values(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        answers = evaluate(game.rows(coalitions))[:, output].astype(np.float64)
        return answers.reshape(len(coalitions), -1) @ game.weights

    explanation = explain_game(
        values,
        players,
        method=recipe.method,
        seed=recipe.seed,
        max_evaluations=max(_LEAST_EVALUATIONS, recipe.evaluations_per_player * players),
    )
    return explanation.values


def relative_difference(values: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """‖values − expected‖ / ‖expected‖; infinite when they have different lengths."""
    if values.shape != expected.shape:
        return float("inf")
    difference, norm = np.linalg.norm(values - expected), np.linalg.norm(expected)
    return float(difference / norm) if norm > 0 else float("inf" if difference > 0 else 0)

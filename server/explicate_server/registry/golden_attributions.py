"""Attributions of a bundle's golden texts: export computes and writes them, a server computes and compares them.

Both go through the engine and the modality that answer requests, so they are met only where explanations are served as
they were when the model was exported.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import GoldenAttributions
from explicate_server.explain.function_game import explain_game
from explicate_server.explain.registry import METHODS
from explicate_server.modalities.base import Modality, TextInput
from explicate_server.runtime.queue import Row

Evaluate = Callable[[Sequence[Row]], NDArray[np.float32]]

# What a text of one or two words is given at least.
_LEAST_EVALUATIONS = 8


def comparable(recipe: GoldenAttributions) -> bool:
    """Whether this server's engine is the one that made them."""
    method = METHODS.get(recipe.method)
    return method is not None and method.version == recipe.method_version


def attribute(
    text: str, class_index: int, *, recipe: GoldenAttributions, modality: Modality, evaluate: Evaluate
) -> NDArray[np.float64]:
    """float64[words], what each word of ``text`` adds to the logit of one class, masking "attention".

    Args:
        text: a golden text.
        class_index: the class, the one that the exported model predicts.
        recipe: method, seed and evaluations per player.
        modality: of the bundle.
        evaluate: logits float32[rows, classes] of model rows.
    """
    value = TextInput(text)
    game = modality.game(value, modality.encode(value), players="words", masking="attention")
    players = len(game.players)
    explanation = explain_game(
        lambda coalitions: evaluate(game.rows(coalitions))[:, class_index],
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

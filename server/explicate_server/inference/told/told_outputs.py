"""The explained outputs of a model that tells enough of itself, as games that need not be asked.

Of decision trees they are sums of leaves. Of a model that tells what each player adds they are played by additions.

Two classes are one sum, the difference of their logits, whose sigmoid is the probability of the second: half the work,
and the game of a sigmoid has a formula. Several labels are one sigmoid each.
"""

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.objective import sigmoid, softmax
from explicate_server.explain.added_game import AddedGame, Contributions, Link, LinkKind
from explicate_server.explain.told_game import ToldGame
from explicate_server.explain.trees.tree_game import TreeGame
from explicate_server.inference.asking.targets import Outputs
from explicate_server.modalities.modality import Told

_Floats = NDArray[np.float64]
_DIFFERENCE = np.array([[-1.0], [1.0]])
"""[2, 1]: of the outputs of two classes the second less the first."""


def told_game(told: Told, weights: _Floats, outputs: Outputs) -> ToldGame:
    """The games of the explained outputs; ``weights`` float64[b] are those of the background rows."""
    if isinstance(told, Contributions):
        return _added_game(told, weights, outputs)
    return TreeGame(told.background, told.background.explained(explained_sums(outputs)), told.rows)


def explained_sums(outputs: Outputs) -> _Floats:
    """How explained outputs are made of all, float64[explained, outputs]."""
    every = np.eye(outputs.scales.outputs)
    explained = every[list(outputs.class_indices)]
    return explained if outputs.reference_index is None else explained - every[outputs.reference_index]


def _added_game(contributions: Contributions, weights: _Floats, outputs: Outputs) -> AddedGame:
    count, objective = outputs.scales.outputs, outputs.scales.objective
    parts, offset = np.eye(count), np.zeros(count)  # of the outputs, what is summed; and the outputs of what was summed
    mix = np.eye(count)
    if outputs.space == objective.spaces[-1]:
        link = Link(LinkKind.IDENTITY, lambda sums: sums)
    elif objective.scores is sigmoid:
        link = Link(LinkKind.SIGMOID, _sigmoid)
    elif objective.scores is softmax and count == 2:
        link, parts = Link(LinkKind.SIGMOID, _sigmoid), _DIFFERENCE
        mix, offset = _DIFFERENCE, np.array([1.0, 0.0])
    else:
        link = Link(LinkKind.OTHER, objective.scores)
    explained = explained_sums(outputs)
    wanted = np.flatnonzero((explained @ mix).any(axis=0)) if link.kind is not LinkKind.OTHER else slice(None)
    return AddedGame(
        row=(contributions.row @ parts)[..., wanted],
        background=(contributions.background @ parts)[..., wanted],
        bias=(contributions.bias @ parts)[wanted],
        weights=weights,
        link=link,
        mix=(explained @ mix)[:, wanted],
        offset=explained @ offset,
    )


def _sigmoid(sums: _Floats) -> _Floats:
    """As `sigmoid`, in a third of the time; where it is below 1e-300 it is 0."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-sums)))

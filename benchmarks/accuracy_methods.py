"""The methods that `benchmarks.accuracy` compares: ours, and those of the shap and lime libraries, on plain games."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain import explain_game
from explicate_server.explain.estimators.local_model import distances, kernel

Floats = NDArray[np.float64]
Game = Callable[[NDArray[np.bool_]], Floats]
Answer = tuple[Floats, tuple[Floats, Floats] | None]
# A game, its number of players, a budget of rows and a seed to values and, where they are meant for Shapley values, the
# ends of 0.95 intervals; None where the budget is too small for the method.
Attributor = Callable[[Game, int, int, int], Answer | None]


def _ours(method: str, *, intervals: bool) -> Attributor:
    def attribute(game: Game, n: int, budget: int, seed: int) -> Answer | None:
        explanation = explain_game(game, n, method=method, max_evaluations=budget, seed=seed)
        if np.isnan(explanation.standard_errors).all() and not np.ptp(explanation.values):
            return None  # not even one order of the players
        shown = intervals and not np.isnan(explanation.standard_errors).any()
        return explanation.values, (explanation.lower, explanation.upper) if shown else None

    return attribute


def _shap_kernel(**options: Any) -> Attributor:  # Any: the library's own keywords
    def attribute(game: Game, n: int, budget: int, seed: int) -> Answer:
        import shap

        # It draws from NumPy's global stream and takes no seed; the two ends come on top of nsamples.
        np.random.seed(seed)  # noqa: NPY002
        explainer = shap.KernelExplainer(lambda rows: game(rows > 0.5), np.zeros((1, n)))
        values = explainer.shap_values(np.ones((1, n)), nsamples=budget - 2, silent=True, **options)
        return np.asarray(values)[0], None

    return attribute


def _shap_permutation(game: Game, n: int, budget: int, seed: int) -> Answer | None:
    import shap

    if budget < 2 * n + 1:
        return None  # not even one pair of orders
    masker = shap.maskers.Independent(np.zeros((1, n)))
    explainer = shap.explainers.PermutationExplainer(lambda rows: game(rows > 0.5), masker, seed=seed)
    return explainer(np.ones((1, n)), max_evals=budget, silent=True).values[0], None


def _shap_partition(game: Game, n: int, budget: int, seed: int) -> Answer:
    import shap

    np.random.seed(seed)  # noqa: NPY002
    explainer = shap.explainers.PartitionExplainer(lambda rows: game(np.asarray(rows) > 0.5), _BalancedMasker(n))
    return explainer(np.ones((1, n)), max_evals=budget - 2, silent=True).values[0], None


class _BalancedMasker:
    """Hands the mask on, with the balanced tree of neighbouring players as its clustering."""

    def __init__(self, n: int) -> None:
        self.shape = (1, n)
        self._merges: list[list[int]] = []
        self._place(0, n, n)
        self.clustering = np.array(self._merges, dtype=np.float64)

    def __call__(self, mask: NDArray[np.bool_], _row: object) -> tuple[Floats]:
        return (mask.astype(np.float64)[None],)

    def _place(self, start: int, end: int, n: int) -> int:
        """The library's index of the node over players start … end − 1."""
        if end - start == 1:
            return start
        cuts = (start, (start + end) // 2, end)
        left, right = (self._place(*part, n) for part in pairwise(cuts))
        self._merges.append([left, right, end - start, end - start])
        return n + len(self._merges) - 1


def _lime_library(game: Game, n: int, budget: int, seed: int) -> Answer:
    """`LimeBase` on the sample that `LimeTextExplainer` draws, repeated rows paid for as it pays for them."""
    from lime.lime_base import LimeBase

    random = np.random.RandomState(seed)
    presence = np.ones((budget, n))
    for row, size in enumerate(random.randint(1, n + 1, budget - 1), start=1):
        presence[row, random.choice(n, size, replace=False)] = 0
    values = np.empty(n)
    fitted = LimeBase(kernel, random_state=random).explain_instance_with_data(
        presence, game(presence > 0.5)[:, None], distances(presence), 0, n, feature_selection="none"
    )
    for player, coefficient in fitted[1]:
        values[player] = coefficient
    return values, None


METHODS: dict[str, Attributor] = {
    "kernel-shap": _ours("kernel-shap", intervals=True),
    "permutation-shap": _ours("permutation-shap", intervals=True),
    "partition-shap": _ours("partition-shap", intervals=False),
    "lime": _ours("lime", intervals=False),
    "lime-stratified": _ours("lime-stratified", intervals=False),
    "occlusion": _ours("occlusion", intervals=False),
    "shap kernel": _shap_kernel(),
    "shap kernel, l1_reg=False": _shap_kernel(l1_reg=False),
    "shap permutation": _shap_permutation,
    "shap partition": _shap_partition,
    "lime library": _lime_library,
}

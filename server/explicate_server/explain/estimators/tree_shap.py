"""Shapley values of a model whose outputs are sums of decision trees: exact, and without a row of the model.

Interventional Tree SHAP (Lundberg et al., Nature Machine Intelligence 2020) by tables of patterns, and by walks where
leaves have too many players for them; see `explain/trees`. They are exact on the scale that the trees sum to: logits
before a sigmoid or a softmax, values, or the probabilities of a forest.
"""

from explicate_server.explain.attribution import Attribution
from explicate_server.explain.estimators.asks_nothing import AsksNothing, method
from explicate_server.explain.game import Estimator, GameInfo
from explicate_server.explain.trees.tree_game import TreeGame


def _built(game: GameInfo, _max_evaluations: int) -> Estimator:
    if not isinstance(game.told, TreeGame):
        raise TypeError("tree-shap explains games of models that tell their trees; this is none.")
    return AsksNothing(game, Attribution.certain(game.told.shapley(), True, baseline=game.empty, additive=True))


METHOD = method(
    name="tree-shap",
    build=_built,
    needs="trees",
    lacks="needs a model whose outputs are a sum of decision trees, read from its graph when it is bundled",
)

"""Comprehensiveness and sufficiency: what happens to the output without its top players, and with nothing else.

DeYoung et al., ERASER, ACL 2020, section 4 (the area over the perturbation curve, AOPC): averaged over the top 1, 5,
10, 20 and 50 % of the players. The top players are those whose values support the first output the most, by sign, so
that leaving them out should make it fall: comprehensiveness is v(N) − v(N ∖ top), sufficiency v(N) − v(top). The same
figures for a random ranking stand beside them, as both also depend on how the output reacts to losing any players.
"""

from dataclasses import dataclass

import numpy as np

from explicate_server.explain.arrays import Booleans, Floats, Indices
from explicate_server.explain.attribution import Attribution
from explicate_server.explain.groups import spread

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
# Second half of the random stream's key, apart from those of the estimators, which are small numbers.
STREAM = 2**64 - 1


@dataclass(frozen=True)
class Faithfulness:
    """A fall of the first output, averaged over SHARES of the players.

    Attributes:
        value: by the explanation's ranking.
        random: by a random ranking.
    """

    value: float
    random: float


class FaithfulnessCheck:
    """The coalitions that the figures of one attribution need, and the figures from their values.

    Attributes:
        coalitions: bool[m, players of the game], at most 20 different ones; none of them is empty or full. m is 0 with
            fewer than two players, where there is nothing to rank.
    """

    def __init__(self, attribution: Attribution, *, seed: int) -> None:
        values = attribution.values[0]
        generator = np.random.Generator(np.random.Philox(key=np.array([seed, STREAM], dtype=np.uint64)))
        rankings = (np.argsort(-values, kind="stable"), generator.permutation(len(values)))
        tops = np.concatenate([_tops(ranking) for ranking in rankings])
        # By what is done, ranking and share: rows of kept players, first without the top, then the top alone.
        wanted = np.concatenate((~tops, tops)) if len(values) > 1 else np.zeros((0, len(values)), np.bool_)
        coalitions, self._places = np.unique(wanted, axis=0, return_inverse=True)
        self.coalitions = spread(coalitions, attribution.groups)

    def figures(self, values: Floats, full: Floats) -> tuple[Faithfulness, Faithfulness] | None:
        """Comprehensiveness and sufficiency from the values of `coalitions`, float64[m, outputs], and v(N)."""
        if not len(self.coalitions):
            return None
        falls = (full[0] - values[self._places, 0]).reshape(2, 2, len(SHARES)).mean(axis=2)
        without_top, top_alone = (Faithfulness(float(ours), float(random)) for ours, random in falls)
        return without_top, top_alone


def _tops(ranking: Indices) -> Booleans:
    """The first of a ranking for each share, at least one, bool[shares, n]."""
    n = len(ranking)
    ranks = np.empty(n, np.intp)
    ranks[ranking] = np.arange(n)
    tops: Booleans = ranks < np.ceil(np.array(SHARES)[:, None] * n)
    return tops

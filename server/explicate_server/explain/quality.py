"""How far an explanation can be trusted, from the rows that were evaluated for it anyway.

Comprehensiveness and sufficiency take further rows. They say what happens to the output without its top players, and
with nothing else. DeYoung et al., ERASER, ACL 2020, section 4 (the area over the perturbation curve, AOPC): averaged
over the top 1, 5, 10, 20 and 50 % of the players. The top players are those whose values support the first output the
most, by sign, so that leaving them out should make it fall: comprehensiveness is v(N) − v(N ∖ top), sufficiency
v(N) − v(top). The same figures for a random ranking are given too, as both also depend on how the output reacts to
losing any players.
"""

from dataclasses import dataclass, fields, replace
from typing import Any  # figures by their names

import numpy as np

from explicate_server.explain.attribution import (
    ROUNDING,
    Attribution,
    Booleans,
    Floats,
    Indices,
    interval_ratios,
)
from explicate_server.explain.game import GameInfo
from explicate_server.explain.groups import gathered, spread
from explicate_server.explain.statistics.certainty import certain_top, ranks_nothing
from explicate_server.explain.statistics.least_squares import VALUE_ROUNDING

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

    def added_to(self, quality: "Quality", values: Floats, full: Floats) -> "Quality":
        """The quality with the figures from the values of `coalitions`, float64[m, outputs], and v(N); without any, the
        quality itself.
        """
        if not len(self.coalitions):
            return quality
        without_top, top_alone = self.figures(values, full)
        return replace(quality, comprehensiveness=without_top, sufficiency=top_alone)

    def figures(self, values: Floats, full: Floats) -> tuple[Faithfulness, Faithfulness]:
        """Comprehensiveness and sufficiency from the same, of at least two players."""
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


# Coalition entries and values kept at most: 8 to 64 MB. The rows after that are left out; as estimators draw in random
# order, the first ones speak for all.
MAX_CELLS = 8_000_000


class Record:
    """Rows in the order in which they were told, up to MAX_CELLS for each game."""

    def __init__(self, games: int = 1) -> None:
        self._games = games
        self._coalitions: list[Booleans] = []
        self._values: list[Floats] = []
        self._cells_left = MAX_CELLS

    def add(self, coalitions: Booleans, values: Floats) -> None:
        """Keep bool[m, n] coalitions and their float64[m, outputs] values, as far as there is room."""
        cells_per_row = coalitions.shape[1] + values.shape[1] // self._games
        rows = min(len(coalitions), self._cells_left // max(cells_per_row, 1))
        if rows:
            self._cells_left -= rows * cells_per_row
            self._coalitions.append(coalitions[:rows].copy())
            self._values.append(values[:rows].copy())

    def rows(self) -> tuple[Booleans, Floats] | None:
        """Coalitions bool[m, n] and values float64[m, outputs]; None when there are none."""
        if not self._coalitions:
            return None
        return np.concatenate(self._coalitions), np.concatenate(self._values)

    def of(self, games: int, outputs: Indices) -> "Record":
        """The same of so many of the games, which have these outputs."""
        part = Record(games)
        part._coalitions, part._cells_left = list(self._coalitions), self._cells_left
        part._values = [values[:, outputs] for values in self._values]
        return part


# Two players are in the same or the opposite order; a correlation of ranks says something from three on.
LEAST_PLAYERS_TO_RANK = 3


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Quality figures of one explanation, over all its outputs; None where a figure is undefined.

    Attributes:
        additivity_gap: |Σ values + baseline − v(N)|, the largest; None for methods that do not promise additivity.
        held_out_r_squared: of the additive model on coalitions it was not fitted to, beside the ends, the smallest; at
            most 1, and 0 or less where it does no better than a constant.
        split_half_spearman: of the values from two halves of the coalitions, stepped up to the whole, the smallest;
            from -1 to 1.
        infidelity: mean squared error of what the absent players' values sum to against what the output lost, over the
            mean square of the latter; the largest. From 0; above 1 where the sums do worse than saying nothing.
        largest_interval_ratio: the widest half-width over the range of the values and 0, the largest; from 0.
        certain_top_k: the most k for which it is certain which k players have the largest values by size, the smallest,
            from 0 to n; None where all are known to be equal, so that none is the strongest.
        comprehensiveness, sufficiency: see `FaithfulnessCheck`; None unless their rows were evaluated.
    """

    additivity_gap: float | None
    held_out_r_squared: float | None
    split_half_spearman: float | None
    infidelity: float | None
    largest_interval_ratio: float | None
    certain_top_k: int | None
    comprehensiveness: Faithfulness | None = None
    sufficiency: Faithfulness | None = None


@dataclass(frozen=True, kw_only=True)
class QualityFigures:
    """The figures of `Quality` that cost no further rows, of several games, float64[games]; NaN where undefined."""

    additivity_gap: Floats
    held_out_r_squared: Floats
    split_half_spearman: Floats
    infidelity: Floats
    largest_interval_ratio: Floats
    certain_top_k: Floats

    def quality(self, game: int = 0) -> Quality:
        """Those of one game."""
        told = {item.name: float(getattr(self, item.name)[game]) for item in fields(self)}
        known: dict[str, Any] = {name: None if np.isnan(figure) else figure for name, figure in told.items()}
        certain = known.pop("certain_top_k")
        return Quality(**known, certain_top_k=None if certain is None else int(certain))


def basic_figures(
    attribution: Attribution, *, game: GameInfo, halves: tuple[Floats, Floats] | None, record: Record
) -> QualityFigures:
    """The figures that cost no further rows.

    Args:
        attribution: the explanation.
        game: what was explained, with its ends.
        halves: what the estimator's `halves` gave.
        record: the rows evaluated.
    """
    ratios = interval_ratios(attribution).reshape(game.games, -1)
    agreement = np.full(game.n_outputs, np.nan) if halves is None else split_half_spearman(*halves)
    return QualityFigures(
        additivity_gap=_largest(attribution.additivity_gap(game.full), game),
        held_out_r_squared=_smallest(attribution.held_out_r_squared, game),
        split_half_spearman=_smallest(agreement, game),
        infidelity=_largest(infidelity(attribution, game=game, record=record), game),
        largest_interval_ratio=np.where(np.isinf(ratios).any(axis=1), np.nan, _largest(ratios, game)),
        certain_top_k=certain_top_k(attribution, game),
    )


def split_half_spearman(first: Floats, second: Floats) -> Floats:
    """Spearman correlations of float64[outputs, n] values from two halves, stepped up, float64[outputs].

    Spearman–Brown: two halves that correlate by r make a whole of reliability 2r / (1 + r). Where r is negative nothing
    was measured and the formula runs off to −∞: r itself is given. NaN where all values of a half are equal.
    """
    correlations = spearman(first, second)
    stepped_up: Floats = np.where(correlations > 0, 2 * correlations / (1 + np.maximum(correlations, 0)), correlations)
    return stepped_up


def spearman(first: Floats, second: Floats) -> Floats:
    """Rank correlations of the rows of float64[m, n], ties at their mean rank, float64[m]; NaN where undefined."""
    if first.shape[1] < LEAST_PLAYERS_TO_RANK or not len(first):
        return np.full(len(first), np.nan)
    ranks = [_ranks(_without_rounding(values)) for values in (first, second)]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    norms = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    products = (centred[0] * centred[1]).sum(axis=1)
    return np.asarray(np.divide(products, norms, out=np.full(len(first), np.nan), where=norms > 0))


def infidelity(attribution: Attribution, *, game: GameInfo, record: Record) -> Floats:
    """Mean ((Σ values of absent players) − (v(N) − v(S)))² over mean (v(N) − v(S))², float64[outputs].

    Yeh et al., On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019, with the coalitions evaluated as the
    perturbations. Where v(∅) is known, ∅ counts as much as a size of coalitions: an output that any one player upholds
    alone loses nearly nothing in all the others, and the figure would be a ratio to that. Needs no v(∅) otherwise, so
    that it says the same of lime. NaN where no row lost more than what float32 rounds off.
    """
    rows = record.rows()
    if rows is None:
        return np.full(game.n_outputs, np.nan)
    present, whole = gathered(rows[0], attribution.groups)
    lost = game.full - rows[1][whole]  # [m, outputs]
    said = (~present[whole]).astype(np.float64) @ attribution.values.T
    weights = np.ones(len(lost))
    if not np.isnan(game.empty).any():
        lost = np.concatenate((lost, [game.full - game.empty]))
        said = np.concatenate((said, [attribution.values.sum(axis=1)]))
        weights = np.append(weights, max(len(weights), 1) / max(present.shape[1] - 1, 1))
    squares, errors = weights @ lost**2, weights @ (said - lost) ** 2
    scale = np.abs(rows[1]).max(axis=0, initial=0.0) + np.abs(game.full)
    defined = squares > weights.sum() * (VALUE_ROUNDING * scale) ** 2
    return np.asarray(np.divide(errors, squares, out=np.full(game.n_outputs, np.nan), where=defined))


def certain_top_k(attribution: Attribution, game: GameInfo) -> Floats:
    """The most k for which the first k players are certain, see `Quality`, float64[games]."""
    n = attribution.values.shape[1]
    if not n:
        return np.full(game.games, np.nan)
    certain = certain_top(attribution)[:, :-1]  # the last needs no proof, unless the one before it has one
    counts = (certain * np.arange(1, n)).max(axis=1, initial=0).astype(np.float64)
    counts[counts == n - 1] = n
    counts[ranks_nothing(attribution)] = np.nan
    unknown = np.isnan(attribution.half_widths).any(axis=1).reshape(game.games, -1).any(axis=1)
    return np.where(unknown, np.nan, _smallest(counts, game))


def _without_rounding(values: Floats) -> Floats:
    """Rows of float64[m, n] without what is rounding beside their largest value: it has no order."""
    digit = ROUNDING * np.abs(values).max(axis=1, keepdims=True)
    return np.asarray(np.rint(np.divide(values, digit, out=np.zeros_like(values), where=digit > 0)))


def _ranks(values: Floats) -> Floats:
    """Ranks from 0 within each row of float64[m, n], equal values sharing the mean of theirs."""
    order = np.argsort(values, axis=1)
    ascending = np.take_along_axis(values, order, axis=1)
    places = np.arange(values.shape[1])
    steps = np.diff(ascending, axis=1) > 0  # between values that differ
    edge = np.ones((len(values), 1), np.bool_)
    first = np.maximum.accumulate(np.where(np.hstack((edge, steps)), places, 0), axis=1)
    last = np.where(np.hstack((steps, edge)), places, places[-1])
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, (first + last) / 2, axis=1)
    return ranks


def _smallest(figures: Floats, game: GameInfo) -> Floats:
    """The smallest of each game's figures that are defined; NaN without any."""
    return np.asarray(np.fmin.reduce(figures.reshape(game.games, -1), axis=1))


def _largest(figures: Floats, game: GameInfo) -> Floats:
    """The largest, likewise."""
    return np.asarray(np.fmax.reduce(figures.reshape(game.games, -1), axis=1))

"""How far an explanation can be trusted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Faithfulness:
    """How far the first output falls, on average over the top 1, 5, 10, 20 and 50 % of the features.

    value: the top by the explanation, those that raise the output most. random: by a random ranking.
    """

    value: float
    random: float


@dataclass(frozen=True)
class Quality:
    """How far the numbers can be trusted; None where a measure does not apply or was not asked for.

    additivity_gap: |sum of values + baseline - instance|, the largest over outputs.
    held_out_r_squared: R squared of the additive fit on coalitions it had not seen, the smallest over outputs; at most
        1, 0 or less where the fit does no better than a constant.
    split_half_spearman: rank correlation of the attributions from two halves of the coalitions, stepped up to all; from
        -1 to 1.
    infidelity: squared error of what absent features should take away, as a fraction of its mean square; 0 is best,
        above 1 is worse than saying nothing.
    largest_interval_ratio: half-width of the widest interval over the range of the attributions and 0.
    certain_top_k: how many of the strongest features are certain to be the strongest, at .98 or `confidence` if that
        is higher; None where all are known to be of one size.
    comprehensiveness: the fall without the top features, high is good; with quality "full" only.
    sufficiency: the fall with the top features alone, low is good; with quality "full" only.
    """

    additivity_gap: float | None = None
    held_out_r_squared: float | None = None
    split_half_spearman: float | None = None
    infidelity: float | None = None
    largest_interval_ratio: float | None = None
    certain_top_k: int | None = None
    comprehensiveness: Faithfulness | None = None
    sufficiency: Faithfulness | None = None

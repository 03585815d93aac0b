"""What an estimator answers: one number per player and output, each with its error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias  # Any: fields by their names

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

# The level at which "certain" is said, whatever narrower intervals were asked for. Which players are the first k takes
# several intervals to hold at once, so it is higher than theirs: at .95 up to 2.0 % of TOP_K stops on the golden games
# named wrong players (permutation-shap, two segments), at .975 up to 1.3 %, for a tenth fewer stops.
CERTAINTY = 0.975


_OF_OUTPUTS = ("values", "standard_errors", "half_widths", "certain_half_widths", "baseline", "held_out_r_squared")
"""The fields that have a place for each output."""


@dataclass(frozen=True, kw_only=True)
class SectionSums:
    """What the sections of a long text add: the sums of their players' values, with errors of their own.

    Attributes:
        sections: intp[n], the section of each attributed player, from 0 in ascending order.
        values: float64[outputs, sections].
        standard_errors, half_widths: float64[outputs, sections], as those of an Attribution. The values of the players
            of a section do not err apart from each other, so that these are no sums of theirs.
    """

    sections: Indices
    values: Floats
    standard_errors: Floats
    half_widths: Floats

    @property
    def lower(self) -> Floats:
        """Lower ends of the confidence intervals, float64[outputs, sections]."""
        return self.values - self.half_widths

    @property
    def upper(self) -> Floats:
        """Upper ends of the confidence intervals, float64[outputs, sections]."""
        return self.values + self.half_widths

    def of(self, outputs: Indices) -> "SectionSums":
        """Those of some of the outputs."""
        values, errors, half_widths = self.values[outputs], self.standard_errors[outputs], self.half_widths[outputs]
        return SectionSums(sections=self.sections, values=values, standard_errors=errors, half_widths=half_widths)


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Attributions of all outputs, as estimated so far.

    Attributes:
        values: float64[outputs, n], what each player adds to each output.
        standard_errors: float64[outputs, n], NaN where unknown.
        half_widths: float64[outputs, n], of the confidence intervals, NaN where unknown. Each interval holds for its
            own player and output, not all of them at once.
        certain_half_widths: float64[outputs, n], of the intervals of `CERTAINTY`, or wider where those asked for are.
        baseline: float64[outputs], v(∅) for SHAP methods, the intercept for lime.
        held_out_r_squared: float64[outputs], R² of the additive model on coalitions it was not fitted to; NaN where
            undefined (no coalitions yet, or all values equal).
        exact: every coalition was evaluated, so the values carry no sampling error.
        additive: the values promise to sum to v(N) − baseline.
        groups: intp[players of the game], which of the n attributed players each one belongs to; consecutive ones make
            a group. None when each is its own.
        provisional: the players are not the final ones yet, so that no tolerance may end the run.
        sections: of a long text whose words are estimated within its sections; else None.
    """

    values: Floats
    standard_errors: Floats
    half_widths: Floats
    certain_half_widths: Floats
    baseline: Floats
    held_out_r_squared: Floats
    exact: bool
    additive: bool
    groups: Indices | None = None
    provisional: bool = False
    sections: SectionSums | None = None

    @property
    def lower(self) -> Floats:
        """Lower ends of the confidence intervals, float64[outputs, n]."""
        return self.values - self.half_widths

    @property
    def upper(self) -> Floats:
        """Upper ends of the confidence intervals, float64[outputs, n]."""
        return self.values + self.half_widths

    @classmethod
    def sampled(
        cls,
        values: Floats,
        standard_errors: Floats,
        *,
        degrees_of_freedom: Floats | float,
        confidence: float,
        baseline: Floats,
        held_out_r_squared: Floats,
        additive: bool,
        exact: bool = False,
    ) -> "Attribution":
        """Values from a random sample, with Student's t intervals of this `confidence`.

        `degrees_of_freedom` are at least 1; one number, or float64[outputs, 1].
        """
        half_widths, certain_half_widths = (
            stdtrit(np.maximum(degrees_of_freedom, 1.0), 0.5 + level / 2) * standard_errors
            for level in (confidence, max(confidence, CERTAINTY))
        )
        return cls(
            values=values,
            standard_errors=standard_errors,
            half_widths=half_widths,
            certain_half_widths=certain_half_widths,
            baseline=baseline,
            held_out_r_squared=held_out_r_squared,
            exact=exact,
            additive=additive,
        )

    @classmethod
    def certain(cls, values: Floats, known: Booleans | bool, *, baseline: Floats, additive: bool) -> "Attribution":
        """Values without sampling error where they are `known`, bool[n], and with an unknown one elsewhere."""
        errors = np.where(known, np.zeros_like(values), np.nan)
        return cls(
            values=values,
            standard_errors=errors,
            half_widths=errors,
            certain_half_widths=errors,
            baseline=baseline,
            held_out_r_squared=np.full(len(values), np.nan),
            exact=bool(np.all(known)),
            additive=additive,
        )

    def exactly(self, values: Floats) -> "Attribution":
        """The attribution with exact `values`, float64[outputs, n], in place of its own."""
        nothing = np.zeros_like(values)
        return replace(
            self,
            values=values,
            standard_errors=nothing,
            half_widths=nothing,
            certain_half_widths=nothing,
            exact=True,
        )

    def with_nothing_for(self, players: int) -> "Attribution":
        """The same with so many players more behind the others, whose value is known to be 0."""
        nothing = np.zeros((len(self.values), players))
        return replace(
            self,
            values=np.hstack((self.values, nothing)),
            standard_errors=np.hstack((self.standard_errors, nothing)),
            half_widths=np.hstack((self.half_widths, nothing)),
            certain_half_widths=np.hstack((self.certain_half_widths, nothing)),
        )

    def of(self, outputs: Indices) -> "Attribution":
        """The attributions of some of the outputs."""
        arrays: dict[str, Any] = {name: getattr(self, name)[outputs] for name in _OF_OUTPUTS}
        return replace(self, **arrays, sections=self.sections and self.sections.of(outputs))

    @classmethod
    def joined(cls, parts: "Sequence[Attribution]") -> "Attribution":
        """Those of several games by one method, one game after the other."""
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _OF_OUTPUTS}
        return replace(parts[0], **arrays, exact=all(part.exact for part in parts))

    def additivity_gap(self, full: Floats) -> Floats:
        """|Σ values + baseline − v(N)|, float64[outputs]; NaN for methods that do not promise additivity."""
        gaps = np.abs(self.values.sum(axis=1) + self.baseline - full)
        return np.asarray(gaps if self.additive else np.full_like(gaps, np.nan))


# Half-widths and differences below this fraction of |v(N)| and |v(∅)| are rounding.
ROUNDING = 1e-12


def interval_ratios(attribution: Attribution) -> Floats:
    """The widest interval's half-width over the range of the values and 0, for each output, float64[outputs].

    The range reaches to 0, because values that are nearly equal would make it nearly nothing. 0 where the half-widths
    are rounding; infinite where they are not and all values are 0; NaN where the intervals are unknown or there are no
    players.
    """
    if not attribution.values.shape[1]:
        return np.full(len(attribution.values), np.nan)
    half_widths = attribution.half_widths.max(axis=1)
    ranges = attribution.values.max(axis=1, initial=0.0) - attribution.values.min(axis=1, initial=0.0)
    ratios: Floats = np.divide(half_widths, ranges, out=np.full_like(half_widths, np.inf), where=ranges > 0)
    ratios[half_widths <= _rounding(attribution)] = 0.0
    ratios[np.isnan(half_widths)] = np.nan
    return ratios


def within_tolerance(attribution: Attribution, tolerance: float) -> Booleans:
    """Whether the interval ratio is below `tolerance`, bool[outputs]; never for tolerance 0 or without players."""
    if tolerance <= 0 or not attribution.values.size:
        return np.zeros(len(attribution.values), np.bool_)
    return np.asarray(interval_ratios(attribution) < tolerance)


def certain_top(attribution: Attribution) -> Booleans:
    """Whether it is certain which k players have the largest values by size, bool[outputs, n], for k = 1 … n.

    Intervals are those of `CERTAINTY`. One of phi that reaches from l to u says that |phi| is from max(0, l, −u) to
    max(−l, u): one that straddles zero begins at 0. The first k are certain when the least that any of them can be is
    no less, but for rounding, than the most that any other can be. So equal values count as certain once they are
    exact: which of them comes first does not matter. k = n has no others to be clear of.
    """
    order = np.argsort(-np.abs(attribution.values), axis=1, kind="stable")
    sizes, half_widths = (
        np.take_along_axis(each, order, axis=1)
        for each in (np.abs(attribution.values), attribution.certain_half_widths)
    )
    least = np.minimum.accumulate(np.maximum(0.0, sizes - half_widths), axis=1)
    most = np.maximum.accumulate((sizes + half_widths)[:, ::-1], axis=1)[:, ::-1]
    certain = ~np.isnan(least)
    certain[:, :-1] &= least[:, :-1] + _rounding(attribution)[:, None] >= most[:, 1:]
    return certain


def ranks_nothing(attribution: Attribution) -> Booleans:
    """Where all values are the same size but for rounding, so that none is the strongest, bool[outputs]."""
    spans: Floats = np.ptp(np.abs(attribution.values), axis=1) if attribution.values.shape[1] else np.zeros(1)
    exact = (attribution.certain_half_widths <= _rounding(attribution)[:, None]).all(axis=1)
    return np.asarray(exact & (spans <= _rounding(attribution)))


def _rounding(attribution: Attribution) -> Floats:
    """What counts as zero, float64[outputs]."""
    ends = np.stack((attribution.baseline, attribution.baseline + attribution.values.sum(axis=1)))
    rounding: Floats = ROUNDING * np.abs(ends).max(axis=0)
    return rounding

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

# The level at which "certain" is said, whatever narrower intervals were asked for. A run looks after every round, and
# where the k-th and the next player differ by under 1 % of their size each look may see them the wrong way round. Of
# the TOP_K stops of kernel-shap on the golden games (12 seeds, k = 1, 2, 3, up to 256 rows a player) 1.2 % named wrong
# players at .975, 1.0 % at .98, .7 % at .9875, after .62, .65 and .70 of the rows that separate intervals took.
CERTAINTY = 0.98

_OF_OUTPUTS = ("values", "standard_errors", "degrees_of_freedom", "half_widths", "baseline", "held_out_r_squared")
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
        degrees_of_freedom: float64[outputs], of Student's t for errors of this size.
        half_widths: float64[outputs, n], of the confidence intervals, NaN where unknown. Each interval holds for its
            own player and output, not all of them at once.
        confidence: of these intervals.
        baseline: float64[outputs], v(∅) for SHAP methods, the intercept for lime.
        held_out_r_squared: float64[outputs], R² of the additive model on coalitions it was not fitted to; NaN where
            undefined (no coalitions yet, or all values equal).
        exact: every coalition was evaluated, so the values carry no sampling error.
        additive: the values promise to sum to v(N) − baseline.
        groups: intp[players of the game], which of the n attributed players each one belongs to; consecutive ones make
            a group. None when each is its own.
        correlations: float64[outputs, n, n], of the errors of the values; None where unknown.
        provisional: the players are not the final ones yet, so that no tolerance may end the run.
        sections: of a long text whose words are estimated within its sections; else None.
    """

    values: Floats
    standard_errors: Floats
    degrees_of_freedom: Floats
    half_widths: Floats
    confidence: float
    baseline: Floats
    held_out_r_squared: Floats
    exact: bool
    additive: bool
    groups: Indices | None = None
    correlations: Floats | None = None
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

    @property
    def certain_half_widths(self) -> Floats:
        """Those of separate intervals of `CERTAINTY`, or of `confidence` if that is higher, float64[outputs, n]."""
        level = max(self.confidence, CERTAINTY)
        half_widths: Floats = stdtrit(self.degrees_of_freedom[:, None], 0.5 + level / 2) * self.standard_errors
        return half_widths

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
        correlations: Floats | None = None,
    ) -> "Attribution":
        """Values from a random sample, with Student's t intervals of this `confidence`.

        `degrees_of_freedom` are at least 1; one number, or float64[outputs, 1].
        """
        degrees_of_freedom = np.maximum(degrees_of_freedom, 1.0)
        return cls(
            values=values,
            standard_errors=standard_errors,
            degrees_of_freedom=np.broadcast_to(degrees_of_freedom, (len(values), 1))[:, 0],
            half_widths=stdtrit(degrees_of_freedom, 0.5 + confidence / 2) * standard_errors,
            confidence=confidence,
            baseline=baseline,
            held_out_r_squared=held_out_r_squared,
            exact=exact,
            additive=additive,
            correlations=correlations,
        )

    @classmethod
    def certain(cls, values: Floats, known: Booleans | bool, *, baseline: Floats, additive: bool) -> "Attribution":
        """Values without sampling error where they are `known`, bool[n], and with an unknown one elsewhere."""
        errors = np.where(known, np.zeros_like(values), np.nan)
        return cls(
            values=values,
            standard_errors=errors,
            degrees_of_freedom=np.ones(len(values)),
            half_widths=errors,
            confidence=0.0,
            baseline=baseline,
            held_out_r_squared=np.full(len(values), np.nan),
            exact=bool(np.all(known)),
            additive=additive,
        )

    def exactly(self, values: Floats) -> "Attribution":
        """The attribution with exact `values`, float64[outputs, n], in place of its own."""
        nothing = np.zeros_like(values)
        return replace(self, values=values, standard_errors=nothing, half_widths=nothing, exact=True)

    def with_nothing_for(self, players: int) -> "Attribution":
        """The same with so many players more behind the others, whose value is known to be 0."""
        nothing = np.zeros((len(self.values), players))
        return replace(
            self,
            values=np.hstack((self.values, nothing)),
            standard_errors=np.hstack((self.standard_errors, nothing)),
            half_widths=np.hstack((self.half_widths, nothing)),
            correlations=None
            if self.correlations is None
            else np.pad(self.correlations, ((0, 0), (0, players), (0, players))),
        )

    def of(self, outputs: Indices) -> "Attribution":
        """The attributions of some of the outputs."""
        arrays: dict[str, Any] = {name: getattr(self, name)[outputs] for name in _OF_OUTPUTS}
        correlations = None if self.correlations is None else self.correlations[outputs]
        return replace(self, **arrays, correlations=correlations, sections=self.sections and self.sections.of(outputs))

    @classmethod
    def joined(cls, parts: "Sequence[Attribution]") -> "Attribution":
        """Those of several games by one method, one game after the other."""
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _OF_OUTPUTS}
        known = [part.correlations for part in parts if part.correlations is not None]
        correlations = np.concatenate(known) if len(known) == len(parts) else None
        return replace(parts[0], **arrays, exact=all(part.exact for part in parts), correlations=correlations)

    def additivity_gap(self, full: Floats) -> Floats:
        """|Σ values + baseline − v(N)|, float64[outputs]; NaN for methods that do not promise additivity."""
        gaps = np.abs(self.values.sum(axis=1) + self.baseline - full)
        return np.asarray(gaps if self.additive else np.full_like(gaps, np.nan))

    @property
    def rounding(self) -> Floats:
        """What counts as zero, float64[outputs]."""
        ends = np.stack((self.baseline, self.baseline + self.values.sum(axis=1)))
        rounding: Floats = ROUNDING * np.abs(ends).max(axis=0)
        return rounding


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
    ratios[half_widths <= attribution.rounding] = 0.0
    ratios[np.isnan(half_widths)] = np.nan
    return ratios


def within_tolerance(attribution: Attribution, tolerance: float) -> Booleans:
    """Whether the interval ratio is below `tolerance`, bool[outputs]; never for tolerance 0 or without players."""
    if tolerance <= 0 or not attribution.values.size:
        return np.zeros(len(attribution.values), np.bool_)
    return np.asarray(interval_ratios(attribution) < tolerance)

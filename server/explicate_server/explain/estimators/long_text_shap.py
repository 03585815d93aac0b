"""Kernel SHAP of long texts: sentences first, then every word, in one regression.

A text of hundreds of words has a handful of rows for each. Grouping words into phrases, as refinement.py does, makes
fewer players, but what it leaves out, how the words of a phrase share its value, is more than the noise that it saves.
Here each word is a player to the end. The first pairs of coalitions keep or drop whole sections, sentences mostly
(section_pairs.py), so that the first answer says which of them carry weight; then come pairs of words. The regression
(section_regression.py) takes the values to be larger in heavy sections. It also gives each section's sum of values with
an interval of its own, which is narrower than those of its words together.
"""

from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from explicate_server.explain.attribution import Attribution, Floats, Indices, SectionSums
from explicate_server.explain.estimators.kernel_shap import KernelShap, Pairs
from explicate_server.explain.game import Estimator, GameInfo
from explicate_server.explain.method import Method
from explicate_server.explain.statistics.section_pairs import SectionPairs, sections_of
from explicate_server.explain.statistics.section_regression import SectionFit, SectionRegression

# With fewer players a section than this, sections are no smaller game.
LEAST_SECTION_PLAYERS = 3


class LongTextShap(KernelShap):
    """The estimator `kernel-shap` for one long text; see `Estimator` for what its methods promise."""

    def __init__(self, game: GameInfo, sections: Indices) -> None:
        """Take a game, and the section of each of its players."""
        super().__init__(game)
        self._source = self._in_sections = SectionPairs(sections, game.seed)

    def estimate(self) -> Attribution:
        """Shapley values as far as the evaluated pairs tell them; provisional while these are of sections only."""
        if not len(self._pairs):
            return super().estimate()
        game, pairs, sections = self._game, self._pairs, self._in_sections.sections
        regression = SectionRegression(pairs.coalitions, pairs.levels, self._in_sections)
        fit = regression.fit(pairs.differences, game.full - game.empty)
        attribution = Attribution.sampled(
            fit.words.values,
            fit.words.standard_errors,
            degrees_of_freedom=fit.words.degrees_of_freedom[:, None],
            confidence=game.confidence,
            baseline=game.empty,
            held_out_r_squared=self._held_out_r_squared(regression.weights, fit.words),
            additive=True,
        )
        provisional = bool((pairs.levels < 0).all())
        return replace(attribution, sections=_sums(fit, sections, game.confidence), provisional=provisional)

    def _half(self, pairs: Pairs) -> Floats:
        regression = SectionRegression(pairs.coalitions, pairs.levels, self._in_sections)
        return regression.fit(pairs.differences, self._game.full - self._game.empty).words.values


def _sums(fit: SectionFit, sections: Indices, confidence: float) -> SectionSums:
    first = np.flatnonzero(np.diff(sections, prepend=-1))
    quantiles = stdtrit(np.maximum(fit.words.degrees_of_freedom, 1.0), 0.5 + confidence / 2)[:, None]
    return SectionSums(
        sections=sections,
        values=np.add.reduceat(fit.words.values, first, axis=1),
        standard_errors=fit.section_errors,
        half_widths=quantiles * fit.section_errors,
    )


def with_long_texts(method: Method) -> Method:
    """The method of texts; if it knows long ones, it plays those so that fall into sections of several players."""
    if method.long_texts_from is None:
        return method

    def build(game: GameInfo, max_evaluations: int) -> Estimator:
        if game.breaks is not None and game.games == 1 and game.n_players >= (method.long_texts_from or 0):
            sections = sections_of(game.n_players, game.breaks)
            if LEAST_SECTION_PLAYERS * (int(sections[-1]) + 1) <= game.n_players:
                return LongTextShap(game, sections)
        return method.build(game, max_evaluations)

    return replace(method, build=build)

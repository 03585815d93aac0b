"""The regression on pair differences for hundreds of words, with a prior of how large their values are.

Notation as in pair_regression.py. With few rows a word, least squares leaves more noise than value. So the values are
taken to be φ_i ~ N(0, τ² D_i), given that they sum to Δ, and noise of variance σ² / w; the answer is their mean given
the pairs. λ = σ²/τ² is where the pairs are most likely (MacKay, Bayesian Interpolation, Neural Computation 1992).

D says where the weight is. A few words carry most of it, and heavy words come together in heavy sentences: D_i is
re-estimated from the values and their variances as that of Student's t with `DEGREES` degrees of freedom (Dempster,
Laird & Rubin 1977, EM for a scale mixture) about the mean square of the word's section, which is drawn towards that of
the text by `SECTION_PRIOR_WORDS` words.

Given D, with R = diag(√D) and v = √D / |√D|: φ = Δ D / ΣD + R z with z ⊥ v, so that z solves a ridge regression on
W^½ X R (I − vvᵀ), and the same covariance gives the error of a word's value and of a section's sum.

Pairs of whole sections belong to a game of fewer players, in which a section's value is not quite its words' sum: what
it differs by is one more parameter of each section that only such pairs see, of mean 0 and a variance that is
re-estimated like D. Without it the intervals of sections cover .82 (400 words, 2,048 rows), with it .93.
"""

from dataclasses import dataclass, replace

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.statistics.least_squares import PENALTY_GRID, Design, LinearFit
from explicate_server.explain.statistics.pair_regression import PairFit
from explicate_server.explain.statistics.section_pairs import SectionPairs

# Measured on games of 150, 400 and 1,000 words at 2 to 5 rows a word (`python -m benchmarks.long_texts --games`): 3
# degrees about sections of their own cover .93 to .95, 6 and more cover .96 to .98 with intervals 5 to 25 % wider;
# errors of the values differ by 2 %. One variance for all words (no D) has 3 to 15 % more error.
DEGREES = 4.0
SECTION_PRIOR_WORDS = 12
# Steps of re-estimation; eight give the same errors as three.
STEPS = 3
# Prior variance of what a section's value differs by, over that of the sum of its words, and how many sections that
# counts as much as.
DIFFERENCE, DIFFERENCE_SECTIONS = 0.1, 4
# A section's mean square takes in no word as more than this many times that of the text: one word is no heavy section.
MOST_OF_ONE_WORD = 16.0


@dataclass(frozen=True)
class SectionFit:
    """The fit of words, and the standard errors of each section's sum of values, float64[outputs, sections]."""

    words: PairFit
    section_errors: Floats


@dataclass(frozen=True)
class _Posterior:
    """Values given one D: those of n words, then what each section differs by, n + k parameters."""

    roots: Floats  # √D [n + k]
    direction: Floats  # v, 0 for sections [n + k]
    design: Design
    targets: Floats  # [pairs, outputs]
    centre: Floats  # Δ D / ΣD, 0 for sections [n + k, outputs]
    penalties: Floats  # λ [outputs]
    noise: Floats  # σ² [outputs]

    def variances(self, output: int, first: Indices) -> Floats:
        """Posterior variances of the sums of each run of parameters, float64[runs]; `first` says where they begin."""
        design, penalty = self.design, self.penalties[output]
        reached = np.add.reduceat(self.roots[:, None] * design.vectors, first, axis=0) ** 2  # [runs, rank]
        total = np.add.reduceat(self.roots**2, first)
        along = np.add.reduceat(self.roots * self.direction, first) ** 2
        unreached = np.maximum(total - along - reached.sum(axis=1), 0.0)
        spread: Floats = reached @ (1 / (design.eigenvalues + penalty)) + unreached / penalty
        return np.asarray(self.noise[output] * spread)

    def values(self) -> Floats:
        """All parameters, float64[n + k, outputs]."""
        design = self.design
        projections = design.vectors.T @ (design.rows.T @ self.targets)  # [rank, outputs]
        coefficients = design.vectors @ (projections / (design.eigenvalues[:, None] + self.penalties))
        return np.asarray(self.centre + self.roots[:, None] * coefficients)


class SectionRegression:
    """The regression for one set of evaluated pairs of a text in sections, and any number of outputs.

    Attributes:
        weights: float64[pairs], mean 1.
    """

    def __init__(self, coalitions: Booleans, levels: Indices, sampler: SectionPairs) -> None:
        """Take bool[pairs, n] coalitions of the sampler, and the level of each."""
        self.weights: Floats = sampler.weights(levels)
        self._roots = np.sqrt(self.weights)[:, None]
        self._sections = sampler.sections
        self._first = np.flatnonzero(np.diff(sampler.sections, prepend=-1))
        signs = np.where(coalitions, 1.0, -1.0)
        of_sections = signs[:, self._first] * (levels < 0)[:, None]
        self._signs: Floats = np.hstack((signs, of_sections))  # [pairs, n + k]
        self._sizes = np.diff(np.append(self._first, len(self._sections)))

    def fit(self, differences: Floats, deltas: Floats) -> SectionFit:
        """Fit d float64[pairs, outputs] with Δ float64[outputs]; D is one for all outputs."""
        scales = np.concatenate((np.ones(len(self._sections)), DIFFERENCE * self._sizes))
        for _ in range(STEPS):
            scales = self._rescaled(self._posterior(differences, deltas, scales))
        return self._fitted(self._posterior(differences, deltas, scales), deltas)

    def _posterior(self, differences: Floats, deltas: Floats, scales: Floats) -> _Posterior:
        words = scales * (np.arange(len(scales)) < len(self._sections))
        roots, direction = np.sqrt(scales), np.sqrt(words / words.sum())
        centre = (words / words.sum())[:, None] * deltas
        rows = self._signs * roots
        rows = self._roots * (rows - (rows @ direction)[:, None] * direction)
        targets = self._roots * (differences - self._signs @ centre)
        design = Design(rows)
        penalties, noise = _most_likely(design, targets)
        return _Posterior(roots, direction, design, targets, centre, penalties, noise)

    def _rescaled(self, posterior: _Posterior) -> Floats:
        """D by the values and variances of an earlier one, of words with mean 1, float64[n + k]."""
        n, sections = len(self._sections), self._sections
        each = np.arange(n + len(self._first))
        variances = np.stack([posterior.variances(output, each) for output in range(len(posterior.noise))], axis=1)
        squares = posterior.values() ** 2 + variances  # [n + k, outputs]
        means = squares[:n].mean(axis=0)
        relative = np.divide(squares, means, out=np.ones_like(squares), where=means > 0).mean(axis=1)
        relative, of_whole = relative[:n], relative[n:]
        counts = np.bincount(sections) + SECTION_PRIOR_WORDS
        of_section = np.bincount(sections, np.minimum(relative, MOST_OF_ONE_WORD)) + SECTION_PRIOR_WORDS
        scales = (DEGREES - 2) * (of_section / counts)[sections] + relative
        scales /= scales.mean()
        difference = (of_whole / self._sizes).sum() + DIFFERENCE_SECTIONS * DIFFERENCE
        difference /= len(of_whole) + DIFFERENCE_SECTIONS
        return np.concatenate((scales, difference * self._sizes))

    def _fitted(self, posterior: _Posterior, deltas: Floats) -> SectionFit:
        """Values with the larger of their posterior errors and the sandwich's, which sees noise that is larger in some
        pairs than in others: the pairs that a strong word decides.
        """
        n = len(self._sections)
        values = posterior.values()[:n]
        values += (deltas - values.sum(axis=0)) / n  # the rounding of larger numbers
        words, sections, left_out, degrees = [], [], np.empty_like(posterior.targets), []
        for output, penalty in enumerate(posterior.penalties.tolist()):
            solved = posterior.design.fit(posterior.targets[:, [output]], penalty)
            solved = replace(solved, influence=(solved.influence * posterior.roots)[:, :n])
            words.append(self._errors(posterior, solved, output, np.arange(n)))
            sections.append(self._errors(posterior, solved, output, self._first))
            left_out[:, output] = solved.left_out_residuals[:, 0]
            degrees.append(len(left_out) - posterior.design.degrees_of_freedom(penalty))
        fit = PairFit(values.T, np.stack(words), left_out, np.array(degrees))
        return SectionFit(fit, np.stack(sections))

    @staticmethod
    def _errors(posterior: _Posterior, solved: LinearFit, output: int, first: Indices) -> Floats:
        """Standard errors of the sums of values of each run of words, float64[runs]; `first` says where they begin."""
        influence = np.add.reduceat(solved.influence, first, axis=1)  # [pairs, runs]
        sampling = (influence**2).T @ solved.left_out_residuals[:, 0] ** 2
        bounds = np.append(first, solved.influence.shape[1])  # what sections differ by comes behind the words
        errors: Floats = np.sqrt(np.maximum(sampling, posterior.variances(output, bounds)[:-1]))
        return errors


def _most_likely(design: Design, targets: Floats) -> tuple[Floats, Floats]:
    """λ and σ² of each output under which its targets float64[m, outputs] are most likely, both float64[outputs].

    The targets are N(0, σ² (I + B Bᵀ / λ)); σ² is solved for, λ taken from a grid.
    """
    penalties = PENALTY_GRID * design.eigenvalues[-1]
    projections = (design.vectors.T @ (design.rows.T @ targets)) ** 2 / design.eigenvalues[:, None]  # [rank, outputs]
    outside = np.maximum((targets**2).sum(axis=0) - projections.sum(axis=0), 0.0)
    noise_shares = penalties[:, None] / (design.eigenvalues + penalties[:, None])  # [penalties, rank]
    squares = noise_shares @ projections + outside  # [penalties, outputs]
    noise = np.maximum(squares / len(targets), np.finfo(np.float64).tiny)
    deviance = len(targets) * np.log(noise) - np.log(noise_shares).sum(axis=1)[:, None]
    best = deviance.argmin(axis=0)
    return penalties[best], noise[best, np.arange(targets.shape[1])]

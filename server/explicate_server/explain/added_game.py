"""A game whose model adds up one number of each player: every coalition's value by additions, without the model.

With c_j(x) what player j adds to the model's outputs, an absent player has the numbers of the background rows one after
the other (interventional), as in every game of a table:

    v(S) = offset + mix · Σ_b w_b · link(bias + Σ_{j in S} c_j(x) + Σ_{j not in S} c_j(b)).

On the model's own scale link does nothing, and Shapley values are φ_j = mix · (c_j(x) − Σ_b w_b c_j(b)). On the scale
of probabilities it is a sigmoid or a softmax, and players interact through it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.reduction import Reduction

# A game of 2^14 coalitions takes a few milliseconds to enumerate.
_SUMS_AT_ONCE = 32


@dataclass(frozen=True)
class Contributions:
    """What each player adds to the outputs of a model that is a sum over players.

    Attributes:
        row: float64[players, outputs], of the input; of several inputs [inputs, players, outputs].
        background: float64[b, players, outputs], of the rows that stand for absent players.
        bias: float64[outputs], what is added besides.
    """

    row: Floats
    background: Floats
    bias: Floats

    @property
    def rows_at_once(self) -> int:
        """How many inputs are a short step of work."""
        return _SUMS_AT_ONCE

    def of(self, inputs: Indices) -> "Contributions":
        """Those of some of several inputs."""
        return replace(self, row=self.row[inputs])

    def reduced(self, reduction: Reduction) -> "Contributions":
        """Of the smaller game of one input: what fixed players add is there whoever is present."""
        background = np.moveaxis(reduction.sums(np.moveaxis(self.background, 1, 0)), 0, 1)
        return Contributions(reduction.sums(self.row), background, self.bias + reduction.fixed_sum(self.row))


class LinkKind(Enum):
    """What is known of a link: that it does nothing, that it is the sigmoid of each part, or nothing."""

    IDENTITY = auto()
    SIGMOID = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Link:
    """What becomes of sums float64[…, parts] before they are averaged over the background."""

    kind: LinkKind
    of: Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class AddedGame:
    """The game of one input, or of several that are explained on the same outputs.

    Attributes:
        row: float64[n, parts], what each player of the input adds to each part; of several games [games, n, parts],
            where what follows is asked of one of them.
        background: float64[b, n, parts], the same of the background rows.
        bias: float64[parts], what is added whoever is present.
        weights: float64[b], of the background rows; they sum to 1.
        link: see the module.
        mix: float64[outputs, parts], how explained outputs are made of parts.
        offset: float64[outputs].
    """

    row: Floats
    background: Floats
    bias: Floats
    weights: Floats
    link: Link
    mix: Floats
    offset: Floats

    def of(self, game: int) -> "AddedGame":
        """One of several games."""
        return replace(self, row=self.row[game])

    @property
    def changes(self) -> Floats:
        """float64[b, n, parts], what a player changes of a background row's sum by being present."""
        return self.row - self.background

    @property
    def absent(self) -> Floats:
        """float64[b, parts], sums with every player absent."""
        return np.asarray(self.bias + self.background.sum(axis=1))

    @property
    def baseline(self) -> Floats:
        """v(∅), float64[outputs]."""
        return np.asarray(self.mixed(np.asarray(self.weights @ self.link.of(self.absent))[np.newaxis])[0])

    def values(self, coalitions: Booleans) -> Floats:
        """v of bool[m, n], True where a player is present, float64[m, outputs]."""
        parts = np.zeros((len(coalitions), len(self.bias)))
        for absent, changes, weight in zip(self.absent, self.changes, self.weights, strict=True):
            parts += weight * self.link.of(absent + coalitions @ changes)
        return self.mixed(parts)

    def mixed(self, parts: Floats) -> Floats:
        """Explained outputs float64[m, outputs] of means float64[m, parts]."""
        return np.asarray(parts @ self.mix.T + self.offset)

    def table(self, background: slice = slice(None)) -> Floats:
        """Means float64[2^n, parts] of all coalitions over some background rows; bit i of a place is player i."""
        absent, changes, weights = self.absent[background], self.changes[background], self.weights[background]
        half = changes.shape[1] // 2
        low = _subset_sums(absent, changes[:, :half])  # [b, 2^half, parts]
        high = _subset_sums(np.zeros_like(absent), changes[:, half:])  # [b, 2^(n - half), parts]
        largest = np.abs(absent).max() + np.abs(changes).sum(axis=1).max()
        if self.link.kind is LinkKind.SIGMOID and largest < _MOST_TO_MULTIPLY:
            # σ(x + y) = 1 / (1 + e^-x e^-y): as many exponentials as halves have sums, not as all have.
            odds = np.exp(-high)[:, :, np.newaxis] * np.exp(-low)[:, np.newaxis]
            odds += 1
            linked = np.divide(1.0, odds, out=odds)
        else:
            linked = self.link.of(high[:, :, np.newaxis] + low[:, np.newaxis])
        means = weights @ linked.reshape(len(weights), -1)
        return np.asarray(means.reshape(-1, absent.shape[1]))


# Sums up to this size have exponentials whose products are finite, and not 0 times infinity.
_MOST_TO_MULTIPLY = 300.0


def _subset_sums(start: Floats, changes: Floats) -> Floats:
    """start float64[b, parts] plus the sums of all subsets of changes [b, n, parts], float64[b, 2^n, parts]."""
    sums = start[:, np.newaxis]
    for change in changes.swapaxes(0, 1):
        sums = np.concatenate((sums, sums + change[:, np.newaxis]), axis=1)
    return sums

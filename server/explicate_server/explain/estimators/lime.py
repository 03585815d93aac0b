"""LIME, with the sample and the numbers of lime 0.2.0.1.

Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016; lime/lime_text.py, lime/lime_image.py,
lime/lime_tabular.py and lime/lime_base.py. The sample has `max_evaluations` rows, of which row 0 is the input itself.
Rows of texts and images are coalitions. Rows of tables are drawn by the game, which knows how the columns are spread,
and asked by their numbers: many of them share a coalition but no two share an answer, because every absent column has
another random value. The fit (see local_model.py) has all players: what the library does by default when it is asked
for as many features as there are. All outputs are fitted at once, where `lime.lime_base.LimeBase` fits one after the
other: .017 s against 1.4 for 1,000 rows, 200 players and 20 outputs, to the same numbers (1e-13).

Rows that repeat are asked once. Stopped early, the fit takes the prefix of the sample that was reached. Standard
errors and held-out R² are not lime's: they come from the leverages of the same ridge regression.

For images, the library has two faults that are not replayed. It hands `random_seed` to a segmentation of scikit-image
that now has another name for it and then uses no seed at all. And it numbers segments from 0 even if the segmentation
starts at 1, as SLIC does: the last segment is never taken out, and a coefficient is given for a segment that does not
exist. Here the players are the segments that exist.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.estimators.local_model import (
    LocalModel,
    constant_model,
    euclidean_kernel_weights,
    fit_local_model,
    kernel_weights,
)
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import DRAWN, Method
from explicate_server.explain.statistics.coalitions import FixedSample

# lime/lime_image.py draws the seed of its segmentation from the same stream, before the rows.
_SEGMENTATION_SEEDS = 1000


@dataclass(frozen=True)
class LimeSample:
    """What lime fits its model to.

    Attributes:
        coalitions: bool[m, n], the rows that are asked, each once and the input itself first.
        places: intp[rows], the place of each row of the sample among those asked.
        weights: of rows float64[rows, n], 1 where a player is present.
        drawn: whether the rows are asked by their numbers, because the game has drawn them.
    """

    coalitions: Booleans
    places: Indices
    weights: Callable[[Floats], Floats]
    drawn: bool = False


def text_sample(game: GameInfo, rows: int) -> LimeSample:
    """What `LimeTextExplainer` draws: every other row takes out a uniform number 1 … n of distinct words."""
    return LimeSample(*_distinct(text_rows(game.n_players, rows, game.seed)), kernel_weights)


def image_sample(game: GameInfo, rows: int) -> LimeSample:
    """What `LimeImageExplainer` draws: every other row takes out each segment with probability 1/2.

    Its kernel is that of texts: a width of .25 on distances of 0 to 1 is one of 25 on distances in percent.
    """
    return LimeSample(*_distinct(image_rows(game.n_players, rows, game.seed)), kernel_weights)


def table_sample(game: GameInfo, rows: int) -> LimeSample:
    """What `LimeTabularExplainer` draws, as the game has drawn it; `rows` of it.

    Raises:
        ValueError: the game has drawn fewer.
    """
    if game.drawn is None or len(game.drawn) < rows:
        raise ValueError(f"lime explains a table by {rows} rows that its game draws; it has not drawn them.")
    return LimeSample(game.drawn[:rows], np.arange(rows), euclidean_kernel_weights, drawn=True)


def text_rows(n_players: int, n_rows: int, seed: int) -> Booleans:
    """The rows that `LimeTextExplainer(random_state=seed).explain_instance(num_samples=n_rows)` evaluates.

    Returns:
        bool[n_rows, n_players]; row 0 is the full coalition.
    """
    sample = np.ones((n_rows, n_players), dtype=np.bool_)
    if n_players == 0:
        return sample
    random = np.random.RandomState(seed)
    sizes = random.randint(1, n_players + 1, n_rows - 1)
    for row, size in enumerate(sizes, start=1):
        # The same stream as lime's choice(range(n), size, replace=False), ten times faster.
        sample[row, random.permutation(n_players)[:size]] = False
    return sample


def image_rows(n_players: int, n_rows: int, seed: int) -> Booleans:
    """The rows that `LimeImageExplainer(random_state=seed).explain_instance(num_samples=n_rows)` evaluates.

    Returns:
        bool[n_rows, n_players]; row 0 is the full coalition.
    """
    random = np.random.RandomState(seed)
    random.randint(0, _SEGMENTATION_SEEDS)
    sample: Booleans = random.randint(0, 2, n_rows * n_players).reshape(n_rows, n_players) == 1
    sample[0] = True
    return sample


def _distinct(sample: Booleans) -> tuple[Booleans, Indices]:
    """The different rows in the order of their first appearance, and for each row its place among them."""
    places: dict[bytes, int] = {}
    row_places = np.array([places.setdefault(row.tobytes(), len(places)) for row in sample], dtype=np.intp)
    first_rows = np.unique(row_places, return_index=True)[1]
    return sample[first_rows], row_places


class Lime(FixedSample):
    """The estimator `lime`; see `Estimator` for what its methods promise. It asks for ∅ where lime draws it."""

    def __init__(self, game: GameInfo, sample: LimeSample) -> None:
        self._sample = sample
        asked = np.arange(len(sample.coalitions)) if sample.drawn else sample.coalitions
        super().__init__(game, asked, first_value=game.full)

    def estimate(self) -> Attribution:
        """The local ridge model on the rows told so far."""
        game, rows = self._game, self._known_rows()
        if game.n_players == 0 or len(rows) < 2:
            return constant_model(game)
        presence, targets = self._presence_and_targets(rows)
        weights = self._sample.weights(presence)
        model = fit_local_model(presence, targets, weights)
        model = replace(model, held_out_r_squared=self._held_out_r_squared(rows, model))
        return model.attribution(game.confidence)

    def halves(self) -> tuple[Floats, Floats] | None:
        """Local models on every other coalition, each with all its repetitions, and on the rest; on both the input."""
        rows = self._known_rows()
        parts = [rows[(rows == 0) | (rows % 2 == half)] for half in (0, 1)]
        if min(len(np.unique(part)) for part in parts) < 3:
            return None
        first, second = (self._presence_and_targets(part) for part in parts)
        return (
            fit_local_model(*first, self._sample.weights(first[0])).values,
            fit_local_model(*second, self._sample.weights(second[0])).values,
        )

    def _known_rows(self) -> Indices:
        """The rows of the sample up to the first one not told, as places, without those that were not evaluated."""
        places = self._sample.places
        reached = np.flatnonzero(places >= self._told)
        prefix = places[: reached[0] if len(reached) else None]
        return prefix[self._known[prefix]]

    def _presence_and_targets(self, rows: Indices) -> tuple[Floats, Floats]:
        return self._sample.coalitions[rows].astype(np.float64), self._values[rows]

    def _held_out_r_squared(self, rows: Indices, model: LocalModel) -> Floats:
        """R² per output on coalitions left out of the fit one at a time, each with all its repetitions."""
        distinct, repetitions = np.unique(rows, return_counts=True)
        if len(distinct) == len(rows):
            return model.held_out_r_squared
        if len(distinct) < 2:
            return np.full(self._game.n_outputs, np.nan)
        presence, targets = self._presence_and_targets(distinct)
        return fit_local_model(presence, targets, repetitions * self._sample.weights(presence)).held_out_r_squared


def _built(sample: Callable[[GameInfo, int], LimeSample]) -> Callable[[GameInfo, int], Lime]:
    return lambda game, max_evaluations: Lime(game, sample(game, max_evaluations))


METHOD = Method(
    name="lime",
    version="2",
    build=_built(text_sample),
    default_max_evaluations=lambda _n: 1000,
    additive=False,
    needs_empty=False,
    takes_baseline=False,
    round_rows=250,  # four updates of the default sample
    differs={
        "text": {"players": "distinct-words", "default_masking": "delete"},
        "image": {
            "build": _built(image_sample),
            "default_masking": "mean",
            "default_granularity": "quickshift",
        },
        "table": {
            "build": _built(table_sample),
            "default_masking": DRAWN,
            "drawn": True,
            "lacks": "draws from statistics of the training data (lime.npz), which this model's bundle does not have; "
            "train and export it again",
            "default_max_evaluations": lambda _n: 5000,
            "round_rows": 2500,  # two updates: with many columns the fit takes longer than the rows
        },
    },
)

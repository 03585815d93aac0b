"""The samples that lime 0.2.0.1 draws for texts, images and tables, each the same stream as the library's.

In a sample row 0 is the input itself. Rows of texts and images are coalitions, and one that repeats is asked once. Rows
of tables are drawn by the game, which knows how the columns are spread (see drawn_rows.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from explicate_server.explain.arrays import Booleans, Floats, Indices
from explicate_server.explain.estimators.drawn_rows import numbered
from explicate_server.explain.estimators.local_model import euclidean_kernel_weights, kernel_weights
from explicate_server.explain.game import GameInfo

# lime/lime_image.py draws the seed of its segmentation from the same stream, before the rows.
_SEGMENTATION_SEEDS = 1000


@dataclass(frozen=True)
class LimeSample:
    """What lime fits its model to.

    Attributes:
        asked: bool[m, n or more], what is asked, each once and the input itself first; the players' bits come first.
        places: intp[rows], the place of each row of the sample among those asked.
        weights: of rows float64[rows, n], 1 where a player is present.
    """

    asked: Booleans
    places: Indices
    weights: Callable[[Floats], Floats]


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
        ValueError: the game has not drawn so many.
    """
    if game.drawn is None or len(game.drawn) < rows:
        raise ValueError(f"lime explains a table by {rows} rows that its game draws; it has not drawn them.")
    return LimeSample(numbered(game.drawn)[:rows], np.arange(rows), euclidean_kernel_weights)


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

"""Some of many things, spread evenly over their order: what is compared, and what becomes golden."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_Thing = TypeVar("_Thing")


def evenly(things: Sequence[_Thing], count: int) -> list[_Thing]:
    """So many of the things, the first and the last among them, in their order; all when there are no more."""
    places = np.linspace(0, len(things) - 1, min(count, len(things))).round().astype(int)
    return [things[place] for place in dict.fromkeys(places.tolist())]

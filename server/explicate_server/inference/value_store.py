"""The values of coalitions that the model has answered, kept for the next explanation of the same input.

A repeated or refined request then pays only for rows that are new. What is kept is bounded in bytes; the inputs
explained longest ago go first. Used on the event loop only.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from explicate_server.inference.evaluations import Flight

# What a value costs beside its numbers (an entry in a dictionary, a key's and an array's header), and a game.
_ENTRY_BYTES = 250
_GAME_BYTES = 1000


class GameValues:
    """What is known of one game: values by coalition, and the rows that are under way.

    Attributes:
        known: float64[width] by coalition (see `coalition_keys` and `Scales`).
        under_way: the flight that carries a coalition's row, by coalition.
        readers: explanations that use it now.
        bytes: about what its values take.
        kept: whether the store still has it; a flight may land after that.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, NDArray[np.float64]] = {}
        self.under_way: dict[bytes, Flight] = {}
        self.readers = 0
        self.bytes = 0
        self.kept = True


class ValueStore:
    """All games whose values are kept.

    Attributes:
        bytes: about what the values take now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._games: OrderedDict[Hashable, GameValues] = OrderedDict()  # those used last at the end

    @property
    def games(self) -> int:
        """Inputs of which something is kept or under way."""
        return len(self._games)

    @contextmanager
    def game(self, key: Hashable) -> Iterator[GameValues]:
        """The values of the game with this key, which must say everything that the model's answers depend on."""
        values = self._games.setdefault(key, GameValues())
        self._games.move_to_end(key)
        values.readers += 1
        try:
            yield values
        finally:
            values.readers -= 1
            if not values.readers and not values.known and values.kept:
                self._games.pop(key).kept = False

    def remember(self, game: GameValues, keys: list[bytes], values: NDArray[np.float64]) -> None:
        """Keep float64[len(keys), width] if there is room, or room can be made from games that nobody reads."""
        size = sum(map(len, keys)) + values.nbytes + _ENTRY_BYTES * len(keys) + (0 if game.bytes else _GAME_BYTES)
        self._make_room(size)
        if not game.kept or self.bytes + size > self._max_bytes:
            return
        game.known.update(zip(keys, values, strict=True))
        game.bytes += size
        self.bytes += size

    def forget(self, digest: str) -> None:
        """Drop the games of a bundle that was freed; their keys begin with its digest."""
        for key in [key for key in self._games if isinstance(key, tuple) and key[0] == digest]:
            self._drop(key)

    def _make_room(self, size: int) -> None:
        idle = [key for key, game in self._games.items() if not game.readers]
        for key in idle:
            if self.bytes + size <= self._max_bytes:
                return
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        game = self._games.pop(key)
        game.kept = False
        self.bytes -= game.bytes


def coalition_keys(coalitions: NDArray[np.bool_]) -> list[bytes]:
    """A key for each coalition of bool[m, n]: its bits."""
    return [row.tobytes() for row in np.packbits(coalitions, axis=1)]

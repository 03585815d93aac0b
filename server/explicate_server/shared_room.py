"""A bounded number of places that callers share, so that none of them can take all.

A caller may take places as long as it leaves as many free as it then holds. Alone it gets half of them, beside another
one a third, and so on; there is always room for one that comes now. (Dynamic thresholds with α = 1: Choudhury and
Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM Trans. on Networking 6(2), 1998.)
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum


class Lack(Enum):
    """Why places cannot be had."""

    ROOM = "room"
    """They are taken, by whomever."""
    SHARE = "share"
    """The caller itself has as many as it may."""


def lack(places: int, *, held: int, taken: int, most: int) -> Lack | None:
    """Why a caller that holds ``held`` of the ``taken`` places cannot have more, of ``most`` in all; None if it can.

    One that holds none gets a single place while there is one, and as many as there are while nobody else has any.
    """
    free = most - taken
    if places > free:
        return Lack.ROOM
    if (not held and (places == 1 or not taken)) or held + places <= free - places:
        return None
    return Lack.SHARE if held else Lack.ROOM


class SharedRoom:
    """Single places. Not thread-safe.

    Attributes:
        most: how many there are.
        taken: how many are taken.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._held: Counter[str] = Counter()

    def held(self, caller: str) -> int:
        """How many a caller has."""
        return self._held[caller]

    def lack(self, caller: str) -> Lack | None:
        """Why a caller cannot have one more; None if it can."""
        return lack(1, held=self._held[caller], taken=self.taken, most=self.most)

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """Take a place for as long as the block lasts; `lack` said that there is one."""
        self.take(caller)
        try:
            yield
        finally:
            self.give_back(caller)

    def take(self, caller: str) -> None:
        """Take a place; `lack` said that there is one."""
        self.taken += 1
        self._held[caller] += 1

    def give_back(self, caller: str) -> None:
        """Give back a place that was taken."""
        self.taken -= 1
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]

"""Whose turn it is: shares of the model's time by class, and inside of these by caller."""

import math
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence

# What a caller may have coming when it is back, in batches. An explanation has no rows in the queue while its values
# are fitted; without this it would have a third of the model beside one that always waits, and not half. With more, it
# would go before the predictions of others, whose head start is as long.
_MOST_LAG = 2.0
# Callers whose marks are kept after their last row. One that is forgotten begins at the newest mark.
_MOST_KEPT = 1024


class FairShares:
    """Which class must have the next batch, because each is sure of a share of the model's time while it waits.

    Classes are numbered, the one that goes first is 0. Not thread-safe: the batcher holds its lock.

    Each class has a balance in seconds of model time. A batch costs its class the part that it was not sure of, and
    gives every other class its share of it; so over any time in which a class always waits, its balance stays bounded
    and it gets its share, no less. A class that does not wait saves nothing up, and one that had the model to
    itself is never more than one batch behind.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        """``shares[k]`` is the fraction of model time that class k is sure of while it waits; it may be 0."""
        self._shares = shares
        self._balances_s = [0.0] * len(shares)

    def owed(self, waiting: Sequence[int]) -> int | None:
        """The class, of those that wait (in rising order), that has not had its share; None if all have."""
        return next((number for number in reversed(waiting) if self._balances_s[number] > 0), None)

    def charge(self, chosen: int, cost_s: float, *, waiting: Collection[int]) -> None:
        """Account for a batch when it is taken, so that two lanes that choose at once do not both pay the same debt.

        ``cost_s`` is what the batch should take. ``waiting`` are the classes that still had rows when it was taken.
        """
        for number, share in enumerate(self._shares):
            balance_s = self._balances_s[number]
            if number == chosen:
                self._balances_s[number] = max(balance_s, 0.0) - (1 - share) * cost_s
            else:
                most_s = math.inf if number in waiting else 0.0
                self._balances_s[number] = min(most_s, balance_s + share * cost_s)


class Turns:
    """Which caller goes first, so that callers who wait get the same part of the model's time.

    Self-clocked fair queueing (Golestani, "A self-clocked fair queueing scheme for broadband applications", INFOCOM
    1994), in parts of a full batch: each caller has a mark, which moves on with what it is served, and the one whose
    next part ends first goes first. Who comes begins at the newest mark, or who was here lately at most two batches
    behind it, so nobody saves more than that up, and a caller with little to do goes before one that always waits. Not
    thread-safe: the batcher holds its lock.
    """

    def __init__(self) -> None:
        self._marks: dict[str, float] = {}
        self._left: OrderedDict[str, float] = OrderedDict()
        self._last_turns: dict[str, int] = {}
        self._newest = 0.0
        self._turns = 0

    @property
    def callers(self) -> list[str]:
        """Who waits."""
        return list(self._marks)

    def come(self, caller: str) -> None:
        """A caller waits, perhaps since before."""
        if caller not in self._marks:
            self._marks[caller] = max(self._left.pop(caller, self._newest), self._newest - _MOST_LAG)

    def order(self, parts: Mapping[str, float]) -> list[str]:
        """Callers in the order of their turns; ``parts`` are what each has waiting, at most 1.0 for a whole batch.

        Of equals the one that was served longest ago goes first.
        """
        ends = {caller: (self._end(caller, part), self._last_turns.get(caller, 0)) for caller, part in parts.items()}
        return sorted(ends, key=ends.__getitem__)

    def first_end(self, parts: Mapping[str, float]) -> float:
        """Where the part of the caller ends that goes first."""
        return min(self._end(caller, part) for caller, part in parts.items())

    def charge(self, caller: str, part: float) -> None:
        """A caller was served this part of a batch."""
        self._turns += 1
        self._last_turns[caller] = self._turns
        self._marks[caller] = self._marks.get(caller, self._newest) + part
        self._newest = max(self._newest, self._marks[caller])

    def leave(self, callers: Iterable[str]) -> None:
        """These wait no longer."""
        for caller in callers:
            if caller in self._marks:
                self._left[caller] = self._marks.pop(caller)
            self._last_turns.pop(caller, None)
        while len(self._left) > _MOST_KEPT:
            self._left.popitem(last=False)

    def _end(self, caller: str, part: float) -> float:
        return self._marks.get(caller, self._newest) + part

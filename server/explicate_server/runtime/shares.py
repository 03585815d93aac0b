"""Whose batch is next: the higher class first, while each lower one is sure of its share of the model's time."""

import math
from collections.abc import Collection, Sequence


class Shares:
    """Classes are numbered, the one that goes first is 0. Not thread-safe: the batcher holds its lock.

    Each class has a balance in seconds of model time. A batch costs its class the part that it was not sure of, and
    gives every other class its share of it; so over any time in which a class always waits, its balance stays bounded
    and it gets its share, no less. A class that does not wait saves nothing up, and one that had the model to
    itself is never more than one batch behind.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        """``shares[k]`` is the fraction of model time that class k is sure of while it waits; 0 for none."""
        self._shares = shares
        self._balances_s = [0.0] * len(shares)

    def choose(self, waiting: Sequence[int]) -> int:
        """The class to take the next batch from, of those that wait (at least one, in rising order)."""
        for number in reversed(waiting):
            if self._balances_s[number] > 0:
                return number
        return waiting[0]

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

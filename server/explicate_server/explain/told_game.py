"""A game whose model tells enough of itself that no coalition need be asked: see `added_game` and `trees`."""

from typing import Protocol, Self

from explicate_server.explain.attribution import Booleans, Floats


class ToldGame(Protocol):
    """The game of one input, or of several that are explained on the same outputs."""

    @property
    def baseline(self) -> Floats:
        """v(∅), float64[outputs], the same for all of the games."""

    def of(self, game: int) -> Self:
        """One of several games."""

    def values(self, coalitions: Booleans) -> Floats:
        """v of bool[m, n], True where a player is present, float64[m, outputs], of a single game."""

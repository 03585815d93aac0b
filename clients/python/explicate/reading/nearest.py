"""The known names that a wrong one was most likely meant to be, for "did you mean"."""

from __future__ import annotations

from collections.abc import Collection

_MOST_CHARACTERS = 64  # comparing takes the product of two lengths: a stranger's long name costs nothing
_MOST_NAMES = 256
_LIKENESS = 0.65  # "Home" is not "Income", whose likeness is .6


def nearest(name: str, known: Collection[str], *, most: int = 3) -> list[str]:
    """Up to `most` of `known`, the nearest first, whatever their case; none where nothing is near."""
    if len(name) > _MOST_CHARACTERS or len(known) > _MOST_NAMES:
        return []
    from difflib import get_close_matches  # only when something is wrong

    lower = {each.casefold(): each for each in known if each and len(each) <= _MOST_CHARACTERS}
    return [lower[each] for each in get_close_matches(name.casefold(), lower, n=most, cutoff=_LIKENESS)]


def did_you_mean(name: str, known: Collection[str], *, most: int = 3) -> str:
    """ "; did you mean a or b?", or nothing where no name is near: to be put behind a complaint."""
    near = nearest(name, known, most=most)
    return f"; did you mean {' or '.join(near)}?" if near else ""

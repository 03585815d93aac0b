"""Shares and counts as people say them: "of 100 texts about 7", "fewer than 1 of 1,000"."""

from collections.abc import Sequence

_WELL = 0.995


def quoted(name: str) -> str:
    """A name that somebody else gave, in one line and in quotes; no markup is escaped here."""
    return f"“{' '.join(name.split())}”"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Such as "a, b and c"."""
    *first, end = parts
    return f"{', '.join(first)} {last} {end}" if first else end


def counted(count: int, one: str, many: str) -> str:
    """Such as "1 row" or "1,200 rows"."""
    return f"{count:,} {one if count == 1 else many}"


def verb(count: int, one: str = "is", many: str = "are") -> str:
    """The form of a verb that goes with a count."""
    return one if count == 1 else many


def of_how_many(share: float) -> tuple[int, int]:
    """A share as a count and of how many: of 100, or of 1,000 where it is near 0 or 1 but not quite."""
    for whole in (100, 1000):
        count = round(share * whole)
        if 0 < count < whole or share in (0.0, 1.0):
            return count, whole
    return (0, 1000) if share < _WELL else (1000, 1000)


def about(share: float) -> str:
    """How many of how many a share is, such as "about 7 of 100"."""
    count, whole = of_how_many(share)
    if share == 0:
        return "none"
    if share == 1:
        return "all"
    if count == 0:
        return "fewer than 1 of 1,000"
    if count == whole:
        return "nearly all"
    return f"about {count:,} of {whole:,}"


def between(lower: float, upper: float, whole: int) -> str:
    """Where a share of so many may lie, such as "15 to 19"; one number where both ends are the same."""
    first, last = round(lower * whole), round(upper * whole)
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def size(value: float) -> str:
    """A number with three digits that tell, such as "44.3", "1,240" or "0.0123"."""
    if value and abs(value) < 1:
        return f"{value:.3g}"
    digits = max(0, 2 - len(str(int(abs(value)))) + 1)
    return f"{value:,.{digits}f}"

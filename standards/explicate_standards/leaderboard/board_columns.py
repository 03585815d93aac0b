"""The columns of a leaderboard: how each is called, and how it is told to people. What is missing is told as "–".

A terminal shows those that fit into 100 columns; all of them are in `-o wide`, the page, CSV and JSON.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from explicate_standards.leaderboard.ranking import PRICE, Group, Standing
from explicate_standards.leaderboard.runs import CALIBRATION, LATENCY, ROBUSTNESS

R2, STABILITY, MASKED = "additive_r2.median", "stability", "masked_accuracy"
MISSING = "–"
PARETO = "pareto"
_NARROW_NAME = 24
_Tell = Callable[[Standing], str]


@dataclass(frozen=True)
class Column:
    """One column. `head` has "{metric}" for what ranks; `narrow`: how it is told on a terminal, if at all."""

    head: str
    told: _Tell
    narrow: _Tell | None = None
    right: bool = True


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return MISSING if value is None else f"{value:,.{digits}f}{unit}"


def _rank(one: Standing) -> str:
    if one.rank is None:
        return MISSING
    best, worst = one.rank
    return str(best) if best == worst else f"{best}–{worst}"


def _cut(name: str) -> str:
    return name if len(name) <= _NARROW_NAME else f"{name[: _NARROW_NAME - 1]}…"


def _interval(one: Standing, digits: int) -> str:
    return MISSING if one.lower is None or one.upper is None else f"[{one.lower:.{digits}f}, {one.upper:.{digits}f}]"


def _with_interval(one: Standing) -> str:
    return MISSING if one.value is None else f"{one.value:.3f} {_interval(one, 3)}"


def _worst(one: Standing) -> str:
    return _number(one.worst[1] if one.worst else None, 3)


def _calibration(one: Standing) -> str:
    return _number(one.measured(CALIBRATION), 3)


def _price(one: Standing) -> str:
    return _number(one.mean(PRICE), 1)


def _r2(one: Standing) -> str:
    return _number(one.mean(R2), 2)


def _verdict(one: Standing) -> str:
    return one.verdict or MISSING


def _pareto(one: Standing) -> str:
    return PARETO if one.pareto else "" if one.pareto is not None else MISSING


def _size(one: Standing) -> str:
    return _number(None if one.size_bytes is None else one.size_bytes / 1e6, 1)


COLUMNS: tuple[Column, ...] = (
    Column("RANK", _rank, _rank, right=False),
    Column("MODEL", lambda one: one.name, lambda one: _cut(one.name), right=False),
    Column("SEEDS", lambda one: MISSING if one.seeds is None else str(one.seeds)),
    Column("{metric}", lambda one: _number(one.value, 4), _with_interval),
    Column("95 % INTERVAL", lambda one: _interval(one, 4), right=False),
    Column("WORST", _worst, _worst),
    Column("WORST SLICE", lambda one: one.worst[0] if one.worst else MISSING, right=False),
    Column("CALIBR.", _calibration, _calibration),
    Column("ROBUST", lambda one: _number(one.measured(ROBUSTNESS), 3)),
    Column("PRICE", _price, _price),
    Column("SUM R²", _r2, _r2),
    Column("STABLE", lambda one: _number(one.mean(STABILITY), 3)),
    Column("MASKED", lambda one: _number(one.mean(MASKED), 3)),
    Column("MB", _size),
    Column("MS", lambda one: _number(one.measured(LATENCY), 2)),
    Column("TRAINED", lambda one: _number(one.train_s, 0, " s")),
    Column("VERDICT", _verdict, _verdict, right=False),
    Column("", _pareto, _pareto, right=False),
)
"""In the order in which they are shown."""

NOTE = (
    "– was not measured. RANK: the best and the worst that chance leaves open, from three seeds on. WORST: the metric "
    "on the worst slice. CALIBR.: how far probabilities are from shares of right answers, less what chance shows. "
    "ROBUST: right answers to disturbed inputs. PRICE: model rows that an explanation takes for each part. SUM R²: "
    "what a sum of attributions says of the model. STABLE, MASKED: stability, accuracy with parts removed (`explicate "
    "evaluate`). MS: milliseconds a row. VERDICT: of a standard. pareto: no other one is better and cheaper to explain."
)


def heads(columns: Sequence[Column], group: Group) -> list[str]:
    """Their names."""
    return [column.head.format(metric=group.measure.id.upper()) for column in columns]


def right_aligned(columns: Sequence[Column]) -> tuple[int, ...]:
    """Places of those with numbers."""
    return tuple(place for place, column in enumerate(columns) if column.right)

"""What the runs of `benchmarks.interpretability` say: each line that was asked for, met or with its figure.

Differences are paired: the same inputs, in the same order, by two variants. An interval is a bootstrap over inputs
(2,000 draws); in each draw a statistic is taken seed by seed, and its mean over the seeds is what is told. So an
interval says how far other inputs would move it; how far seeds are apart is told beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # records are JSON

import numpy as np
from numpy.typing import NDArray

from benchmarks.interpretability_runs import BASELINE, DEFAULTS, RATIONALES, TABLES
from explicate_standards.bootstrap import draws

Floats = NDArray[np.float64]
Reduce = Callable[[Floats], Floats]
Record = Mapping[str, Any]
_TEXT, _TOLD = "reviews", "told"
_MARGIN = 0.022  # of accuracy, that 1,000 rows can show
_AUROC_MARGIN = 0.01
_NEGATION_MARGIN = 0.05  # six of the 120 cases


def median(values: Floats) -> Floats:
    """Of the last axis."""
    return np.median(values, axis=-1)


def mean(values: Floats) -> Floats:
    """Of the last axis."""
    return np.asarray(values.mean(axis=-1))


def p90(values: Floats) -> Floats:
    """Of the last axis."""
    return np.asarray(np.quantile(values, 0.9, axis=-1))


@dataclass(frozen=True)
class Line:
    """One line: a figure with its interval, and whether it is what was asked for.

    `met` is None where a run is missing, or nothing was asked; `note` says how far seeds are apart, or what is missing.
    """

    measure: str
    asked: str
    value: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    met: bool | None = None
    note: str = ""


class Records:
    """The records by data set and variant, seed by seed."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._by_variant: dict[tuple[str, str], dict[int, Record]] = {}
        for record in records:
            one = record["variant"]
            self._by_variant.setdefault((one["data"], one["name"]), {})[one["seed"]] = record

    def pairs(self, data: str, ours: str, theirs: str) -> list[tuple[Record, Record]]:
        """Records of two variants of the same seed."""
        first, second = (self._by_variant.get((data, name), {}) for name in (ours, theirs))
        return [(first[seed], second[seed]) for seed in sorted(first) if seed in second]

    def of(self, data: str, name: str) -> list[Record]:
        """Records of a variant by seed."""
        found = self._by_variant.get((data, name), {})
        return [found[seed] for seed in sorted(found)]

    def names(self, data: str) -> list[str]:
        """The variants of a data set."""
        return [name for of, name in self._by_variant if of == data]


def figures_of(record: Record, metric: str, key: str) -> Floats:
    """Of each input float64 [inputs], NaN where it is not defined."""
    found = record["figures"].get(metric, {}).get(key, [])
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def right(record: Record) -> Floats:
    """Of each test row whether it is answered rightly, 0 or 1."""
    test, labels = record["test"], np.array(record["labels"])
    return (labels[np.array(test["outputs"]).argmax(axis=1)] == np.array(test["label"])).astype(np.float64)


def understood(record: Record) -> Floats:
    """Of each negation whether it is understood, 0 or 1."""
    return np.array(record["negations"], dtype=np.float64)


def compared(
    pairs: Sequence[tuple[Record, Record]], values: Callable[[Record], Floats], reduce: Reduce, *, ratio: bool = False
) -> tuple[float, float, float, str] | None:
    """Ours minus theirs, or ours over theirs minus 1, with its interval and the spread of seeds; None without data."""
    if not pairs:
        return None
    ours, theirs = (np.stack([values(pair[side]) for pair in pairs]) for side in (0, 1))  # [seeds, inputs]
    known = np.isfinite(ours).all(axis=0) & np.isfinite(theirs).all(axis=0)
    if not known.any():
        return None
    ours, theirs = ours[:, known], theirs[:, known]

    def difference(places: NDArray[np.intp]) -> Floats:
        first, second = (reduce(side[:, places]) for side in (ours, theirs))  # [seeds, draws]
        return first / second - 1 if ratio else first - second

    of_seeds = difference(np.arange(ours.shape[1])[np.newaxis])[:, 0]
    resampled = difference(draws(ours.shape[1])).mean(axis=0)
    lower, upper = np.quantile(resampled, [0.025, 0.975]).tolist()
    return float(of_seeds.mean()), lower, upper, f"seeds {', '.join(f'{one:+.3f}' for one in of_seeds)}"


def line(
    measure: str,
    asked: str,
    found: tuple[float, float, float, str] | None,
    met: Callable[[float, float, float], bool],
) -> Line:
    """A line of what was compared."""
    if found is None:
        return Line(measure, asked, note="not measured yet")
    value, lower, upper, note = found
    return Line(measure, asked, value, lower, upper, None if asked == _TOLD else met(value, lower, upper), note)


def text_lines(records: Records, name: str = DEFAULTS) -> list[Line]:
    """The lines of texts, of one variant beside cross-entropy."""
    pairs = records.pairs(_TEXT, name, BASELINE)
    taught = records.pairs(_TEXT, RATIONALES, BASELINE)

    def figure(metric: str, key: str) -> Callable[[Record], Floats]:
        return lambda record: figures_of(record, metric, key)

    cost = figure("evaluations_per_player", "per_player")
    return [
        line("clean accuracy", f"not worse at margin {_MARGIN}", compared(pairs, right, mean),
             lambda _v, lower, _u: lower > -_MARGIN),
        line("masked accuracy", "≥ +.02", compared(pairs, figure("masked_accuracy", "mean"), mean),
             lambda v, _l, _u: v >= 0.02),
        line("additive R² (probability), median", "≥ +.15", compared(pairs, figure("additive_r2", "default"), median),
             lambda v, _l, _u: v >= 0.15),
        line("evaluations a player, median", "≤ −35 %", compared(pairs, cost, median, ratio=True),
             lambda v, _l, _u: v <= -0.35),
        line("evaluations a player, p90", "≤ −30 %", compared(pairs, cost, p90, ratio=True),
             lambda v, _l, _u: v <= -0.30),
        line("plausibility, rationales on other words", "≥ +.05",
             compared(taught, figure("plausibility", "above_chance"), mean), lambda v, _l, _u: v >= 0.05),
        line("sufficiency − random", "≤ −.15", alone(records.of(_TEXT, name), figure("sufficiency", "gain")),
             lambda v, _l, _u: v <= -0.15),
        line("negation (not good → worse)", f"no worse than cross-entropy, at margin {_NEGATION_MARGIN}",
             compared(pairs, understood, mean), lambda v, _l, _u: v >= -_NEGATION_MARGIN),
        line("training time", "≤ 2×", times(pairs), lambda v, _l, _u: v <= 2),
    ]  # fmt: skip


def alone(records: Sequence[Record], values: Callable[[Record], Floats]) -> tuple[float, float, float, str] | None:
    """The mean of a figure, without a comparison."""
    if not records:
        return None
    zero = [({**record, "zero": False}, {**record, "zero": True}) for record in records]
    return compared(zero, lambda record: values(record) * (not record["zero"]), mean)


def times(pairs: Sequence[tuple[Record, Record]]) -> tuple[float, float, float, str] | None:
    """The mean ratio of training times; its ends are the smallest and the largest seed's."""
    if not pairs:
        return None
    ratios = [ours["train_s"] / theirs["train_s"] for ours, theirs in pairs]
    return float(np.mean(ratios)), min(ratios), max(ratios), "smallest and largest of the seeds"


def table_lines(records: Records) -> list[Line]:
    """The lines of tables: additive forms beside the free one."""
    lines = []
    for data in TABLES:
        for name in ("pairs", "additive", "monotone"):
            asked = f"within {_AUROC_MARGIN} of free" if name == "additive" else _TOLD
            found = auroc_difference(records.pairs(data, name, "free"))
            lines.append(
                line(f"{data}, {name}: AUROC", asked, found, lambda v, _l, _u: v >= -_AUROC_MARGIN)
            )  # fmt: skip
        broken = alone(records.of(data, "monotone"), lambda record: figures_of(record, "contradictions", "all"))
        lines.append(line(f"{data}, monotone: contradictions", "0", broken, lambda v, _l, _u: v == 0))
    return lines


def auroc_difference(pairs: Sequence[tuple[Record, Record]]) -> tuple[float, float, float, str] | None:
    """Of two variants on the same test rows, with a bootstrap over them."""
    if not pairs:
        return None
    samples, of_seeds = [], []
    for ours, theirs in pairs:
        positive = np.array([label == ours["labels"][1] for label in ours["test"]["label"]])
        counts = np.apply_along_axis(np.bincount, 1, draws(len(positive)), minlength=len(positive))
        counts = np.concatenate([np.ones((1, len(positive)), dtype=counts.dtype), counts])
        first, second = (auroc(_margins(one), positive, counts) for one in (ours, theirs))
        of_seeds.append(float(first[0] - second[0]))
        samples.append(first[1:] - second[1:])
    lower, upper = np.quantile(np.mean(samples, axis=0), [0.025, 0.975]).tolist()
    return float(np.mean(of_seeds)), lower, upper, f"seeds {', '.join(f'{one:+.3f}' for one in of_seeds)}"


def _margins(record: Record) -> Floats:
    """How much the second class is preferred to the first, float64 [test rows]."""
    outputs = np.array(record["test"]["outputs"], dtype=np.float64)
    return np.asarray(outputs[:, 1] - outputs[:, 0])


def auroc(scores: Floats, positive: NDArray[np.bool_], counts: Floats) -> Floats:
    """Area under the ROC curve float64 [draws] of rows with how often each is drawn, float64 [draws, rows].

    The share of pairs of a positive and a negative row whose positive one has the higher score; equal ones count half.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores[order]) > 0]))
    weights = counts[:, order].astype(np.float64)
    high, low = (
        np.add.reduceat(weights * chosen[order], starts, axis=1) for chosen in (positive, ~positive)
    )  # [draws, distinct scores]
    below = np.cumsum(low, axis=1) - low / 2
    return np.asarray((high * below).sum(axis=1) / np.maximum(high.sum(axis=1) * low.sum(axis=1), 1))


def told_table(lines: Sequence[Line]) -> str:
    """The lines for people and for Markdown."""
    rows = ["| measure | asked | figure | met |", "|---|---|---|---|"]
    for one in lines:
        ends = "" if one.lower != one.lower else f" [{one.lower:+.3f}, {one.upper:+.3f}]"
        value = "–" if one.value != one.value else f"{one.value:+.3f}{ends}"
        met = {None: "–", True: "yes", False: "**no**"}[one.met]
        rows.append(f"| {one.measure} | {one.asked} | {value}; {one.note} | {met} |")
    return "\n".join(rows)


def absolute_table(records: Records) -> str:
    """What each variant of texts has by itself: means over seeds."""
    titles = (
        "variant", "accuracy", "masked accuracy", "additive R² median", "evaluations a player, median / p90",
        "sufficiency − random", "plausibility", "negation", "training s",
    )  # fmt: skip
    rows = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for name in records.names(_TEXT):
        found = records.of(_TEXT, name)

        def over(values: Callable[[Record], Floats], reduce: Callable[[Floats], Any], found: Any = found) -> str:
            each = [known for one in found if len(known := (given := values(one))[np.isfinite(given)])]
            return f"{np.mean([reduce(one) for one in each]):.3f}" if each else "–"

        def figure(metric: str, key: str) -> Callable[[Record], Floats]:
            return lambda record: figures_of(record, metric, key)

        cost = figure("evaluations_per_player", "per_player")
        cells = [
            over(right, mean), over(figure("masked_accuracy", "mean"), mean),
            over(figure("additive_r2", "default"), median),
            f"{over(cost, median)} / {over(cost, p90)}", over(figure("sufficiency", "gain"), mean),
            over(figure("plausibility", "above_chance"), mean), over(understood, mean),
            f"{np.mean([one['train_s'] for one in found]):.0f}",
        ]  # fmt: skip
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)

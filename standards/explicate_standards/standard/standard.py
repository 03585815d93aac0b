"""What a standard can say of a model, checked as a whole before anything is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias  # Any: TOML values

from explicate.errors import UsageError
from explicate_bundle.errors import StandardError
from explicate_bundle.standard.requirement_lines import identity
from explicate_bundle.standard.standard_file import StandardFile, hint, is_number, read_standard_file
from explicate_bundle.standard.verdicts import Line
from explicate_standards.metrics.interpretability import METRICS
from explicate_standards.outcomes.fairness import GAPS
from explicate_standards.outcomes.measures import MEASURES
from explicate_standards.standard.cost_requirements import (
    ForgettingRequirement,
    LatencyRequirement,
    SeedsRequirement,
    SizeRequirement,
)
from explicate_standards.standard.requirement import Requirement
from explicate_standards.standard.requirements import (
    AgainstRequirement,
    FairnessRequirement,
    FlipsRequirement,
    MetricRequirement,
    PriceRequirement,
    RobustnessRequirement,
    SuiteRequirement,
)

_FLIPS = "negative_flips"
_ROBUSTNESS, _SEEDS = "robustness.", "seeds."
_FORGETTING = ("forgetting", "forgetting.second_task", "forgetting.earlier_run")
_SIZE, _LATENCY = "size_mb", {"latency_ms": 0.5, "latency_ms.p90": 0.9, "latency_ms.p99": 0.99}
Standard: TypeAlias = StandardFile[Requirement]


def read_standard(path: Path) -> Standard:
    """Read a standard.

    Raises:
        UsageError: the file cannot be read or is not a standard; it names the line.
    """
    try:
        return read_standard_file(path, _identified)
    except StandardError as error:
        raise UsageError(str(error)) from None


def _identified(given: Mapping[str, Any], slices: Sequence[str], has_suite: bool) -> Requirement:
    return replace(_requirement(given, slices, has_suite=has_suite), identity=identity(given))


def _requirement(given: Mapping[str, Any], slices: Sequence[str], *, has_suite: bool) -> Requirement:
    """One requirement, by the keys that it has."""
    keys = set(given) - {"id"}
    if "suite" in keys:
        if not has_suite:
            raise StandardError('it is of a suite, and [standard] has no suite = "FILE.jsonl"')
        _only(keys, ("suite", "failures_at_most"))
        return SuiteRequirement(given["id"], _string(given, "suite"), _share(given, "failures_at_most"))
    metric = _string(given, "metric")
    if metric == _FLIPS:
        _only(keys, ("metric", "against", "at_most"))
        return FlipsRequirement(given["id"], _string(given, "against"), _share(given, "at_most"))
    if metric.partition(".")[0] in METRICS:
        _only(keys, ("metric", "at_least", "at_most"))
        figures = METRICS[metric.partition(".")[0]].figure_names
        if metric not in figures:
            raise StandardError(f"there is no figure {metric!r}: there are {', '.join(figures)}")
        return PriceRequirement(given["id"], metric, _line(given))
    if metric.startswith(_ROBUSTNESS):
        return _robustness(given, metric.removeprefix(_ROBUSTNESS))
    if metric.startswith(_SEEDS):
        return _seeds(given, metric.removeprefix(_SEEDS))
    if metric in (*_FORGETTING, _SIZE, *_LATENCY):
        return _cost(given, metric)
    if metric in GAPS:
        _only(keys, ("metric", "class", "over", "at_least", "at_most"))
        return FairnessRequirement(given["id"], metric, _string(given, "class"), _string(given, "over"), _line(given))
    if metric not in MEASURES:
        known = (*MEASURES, *METRICS, *GAPS, _FLIPS, *_FORGETTING, _SIZE, *_LATENCY)
        raise StandardError(f"there is no metric {metric!r}{hint(metric, known)}")
    label = _class_of(given, metric)
    if "against" in keys:
        _only(keys, ("metric", "class", "against", "margin", "ratio"))
        return AgainstRequirement(given["id"], metric, label, _string(given, "against"), *_gap(given, metric))
    _only(keys, ("metric", "class", "slices", "at_least", "at_most"))
    return MetricRequirement(given["id"], metric, label, _slices_of(given, slices), _line(given))


def _robustness(given: Mapping[str, Any], disturbance: str) -> Requirement:
    _only(set(given) - {"id"}, ("metric", "ratio", "at_least"))
    found = [name for name in ("ratio", "at_least") if name in given]
    if len(found) != 1:
        raise StandardError("it has one of ratio and at_least")
    share = _share(given, found[0])
    ratio, at_least = (share, None) if found == ["ratio"] else (None, share)
    return RobustnessRequirement(given["id"], disturbance, ratio, at_least)


def _seeds(given: Mapping[str, Any], metric: str) -> Requirement:
    if metric not in MEASURES:
        raise StandardError(f"there is no metric {metric!r} to be moved by seeds{hint(metric, list(MEASURES))}")
    _only(set(given) - {"id"}, ("metric", "class", "at_most"))
    return SeedsRequirement(given["id"], metric, _class_of(given, metric), _line(given))


def _cost(given: Mapping[str, Any], metric: str) -> Requirement:
    _only(set(given) - {"id"}, ("metric", "at_most"))
    if metric == _SIZE:
        return SizeRequirement(given["id"], _line(given))
    if metric in _LATENCY:
        return LatencyRequirement(given["id"], _LATENCY[metric], _line(given))
    return ForgettingRequirement(given["id"], metric.partition(".")[2], _line(given))


def _class_of(given: Mapping[str, Any], metric: str) -> str | None:
    if MEASURES[metric].of_class:
        if "class" not in given:
            raise StandardError(f'{metric} is of one class: name it, such as class = "bad", or take {metric}_macro')
        return _string(given, "class")
    if "class" in given:
        raise StandardError(f"{metric} is not of one class: leave class out")
    return None


def _slices_of(given: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...] | None:
    """Names of slices; None for the rows as a whole. The slices of a column have its rule's name before theirs."""
    if "slices" not in given:
        return None
    names = [given["slices"]] if isinstance(given["slices"], str) else given["slices"]
    if not isinstance(names, list) or not names or not known:
        raise StandardError('slices is "all", or a list of names of [slices]')
    for name in names:
        if name != "all" and name not in known:
            raise StandardError(f"there is no slice {name!r}{hint(str(name), known)}")
    return tuple(known if "all" in names else names)


def _line(given: Mapping[str, Any]) -> Line:
    found = [name for name in ("at_least", "at_most") if name in given]
    if len(found) != 1:
        raise StandardError("it has one of at_least and at_most")
    return Line(_finite(given, found[0]), at_least=found == ["at_least"])


def _gap(given: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """Margin and ratio; one of them is given."""
    found = [name for name in ("margin", "ratio") if name in given]
    if len(found) != 1:
        raise StandardError("it has one of margin and ratio")
    if found == ["margin"]:
        return _at_least_0(given, "margin"), 1.0
    if MEASURES[metric].better == "lower":
        raise StandardError(f"ratio is of metrics that are better when larger, and {metric} is not: give a margin")
    return 0.0, _share(given, "ratio")


def _only(keys: set[str], allowed: Sequence[str]) -> None:
    for key in sorted(keys):
        if key not in allowed:
            raise StandardError(f"{key} does not go with it{hint(key, allowed)}")


def _string(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise StandardError(f"{name} is not a text in quotes" if name in given else f"{name} is missing")
    return value


def _finite(given: Mapping[str, Any], name: str) -> float:
    value: Any = given.get(name)
    if not is_number(value) or not isfinite(value):
        raise StandardError(f"{name} is {value!r}, not a number" if name in given else f"{name} is missing")
    return float(value)


def _share(given: Mapping[str, Any], name: str) -> float:
    value = _finite(given, name)
    if not 0 <= value <= 1:
        raise StandardError(f"{name} is {value:g}, not a share from 0 to 1")
    return value


def _at_least_0(given: Mapping[str, Any], name: str) -> float:
    value = _finite(given, name)
    if value < 0:
        raise StandardError(f"{name} is {value:g}; it says how much worse is allowed, so it is not below 0")
    return value

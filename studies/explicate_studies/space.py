"""What a study varies: the dimensions in `[tune]` of a config file, or ready ones, as Optuna's distributions.

A dimension is an option of the config by its name ("learning_rate") or its path ("training.learning_rate"). All of
them are checked before anything is trained: each end of a range and each choice must make a config that is right.
"""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any  # TOML values

import tomlkit
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from explicate.errors import UsageError
from explicate_studies.tune_options import TuneOptions
from explicate_training.config.config_file import TUNE_SECTION, AnyConfig, format_config, parse_config

Space = dict[str, BaseDistribution]
"""Distributions by the path of an option, such as "training.learning_rate"."""

Point = dict[str, Any]
"""A value for each dimension."""

_LOG_FROM = 10.0  # times the low end, from which a range of fractions is searched by its logarithm
_GRID_POINTS = 3  # of a range without steps
_MOST_WHOLE_NUMBERS = 5  # of a range, all of which the grid takes
_TIED = {
    "data": "runs can be compared only on the same rows",
    "output": "a study places its runs itself",
    "training.seed": "a seed changes the split, and runs can be compared only on the same rows",
}
_KEYS = {"low", "high", "step", "log", "choices"}


def read_space(config: AnyConfig, dimensions: Mapping[str, Any]) -> Space:
    """The dimensions that a config file gives, or the ready ones if it gives none.

    Args:
        config: what each run has besides.
        dimensions: of `[tune]`, what is not an option of the study itself.

    Raises UsageError in one sentence that names the dimension.
    """
    values = flat(tomllib.loads(format_config(config)))
    space: Space = {}
    for name, given in _named(dimensions, values):
        key = _resolve(name, values)
        if key in space:
            raise _wrong(name, f"and another dimension are both {key}: leave one out")
        space[key] = _distribution(name, given, values[key])
    for key, distribution in space.items():
        for value in _ends(distribution):
            if refusal := _refusal(config, key, value):
                raise UsageError(f"{TUNE_SECTION}.{key}: {value!r} does not do: {refusal}")
    return space or ready_space(config)


def with_section(config: AnyConfig, dimensions: Mapping[str, Any], options: TuneOptions) -> AnyConfig:
    """The config with the defaults of `[interpretability]`, if it has no such section and what is asked for needs one.

    That is so with two objectives, of which one is what the section is for, or if a dimension is in it.
    """
    section: Any = type(config.interpretability)()
    if config.interpretability != type(config)().interpretability:
        return config
    names = {name for key in flat(dimensions) for name in key.split(".")}
    wanted = names & {"interpretability", *(one.name for one in fields(section))}
    return replace(config, interpretability=section) if wanted or len(options.objectives) > 1 else config


def ready_space(config: AnyConfig) -> Space:
    """What is varied if a config file does not say: known options, as far as they go with the rest of the config."""
    values = flat(tomllib.loads(format_config(config)))
    ready = {key: _ready(key, value, values) for key, value in values.items()}
    fitting = {key: _fitting(config, key, one) for key, one in ready.items() if one is not None}
    return {key: one for key, one in fitting.items() if one is not None}


def _fitting(config: AnyConfig, key: str, distribution: BaseDistribution) -> BaseDistribution | None:
    """The choices that go with the config, or the whole range; None if that leaves nothing to vary."""
    values = _ends(distribution)
    left = [value for value in values if not _refusal(config, key, value)]
    if len(left) == len(values):
        return distribution
    return CategoricalDistribution(left) if isinstance(distribution, CategoricalDistribution) and left[1:] else None


def _refusal(config: AnyConfig, key: str, value: Any) -> str:
    """Why a config cannot have this value; empty if it can."""
    try:
        with_point(config, {key: value})
    except UsageError as error:
        return str(error)
    return ""


def _ready(key: str, value: Any, values: Mapping[str, Any]) -> BaseDistribution | None:
    if key == "training.learning_rate":
        return FloatDistribution(value / 3, min(1.0, value * 3), log=True)
    if key == "training.epochs":
        return IntDistribution(max(1, value // 2), 2 * value)
    if key == "training.weight_decay" and value:
        return FloatDistribution(value / 10, min(1.0, value * 10), log=True)
    if key == "model.dropout":
        return FloatDistribution(0.0, 0.3)
    if key == "interpretability.additivity":
        return FloatDistribution(0.0, 0.2)
    if key == "interpretability.rationale_weight" and values.get("interpretability.rationales"):
        return FloatDistribution(0.1, 1.0, log=True)
    if key == "interpretability.form" and "data.table" in values:
        return CategoricalDistribution(("free", "pairs", "additive"))
    return None


def with_point(config: AnyConfig, point: Point) -> AnyConfig:
    """The config with other values; raises UsageError if they do not go with it, or with each other."""
    document = tomllib.loads(format_config(config))
    for key, value in point.items():
        *sections, name = key.split(".")
        inner = document
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    return parse_config(tomlkit.dumps(document), source="the config")


def point_of(config: AnyConfig, space: Space) -> Point | None:
    """Where a config itself is in a space; None if it is outside."""
    values = flat(tomllib.loads(format_config(config)))
    point = {key: values[key] for key in space}
    return point if all(_holds(distribution, point[key]) for key, distribution in space.items()) else None


def grid(space: Space) -> list[Point]:
    """Every combination: the choices, all steps, the few whole numbers, or three points of a range."""
    return [dict(zip(space, values, strict=True)) for values in product(*map(_points, space.values()))]


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their paths, such as "training.learning_rate"."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def told(distribution: BaseDistribution) -> str:
    """A dimension for people, such as "1e-05 to 1e-04, by its logarithm"."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low:g} to {distribution.high:g}{step}{', by its logarithm' if distribution.log else ''}"


def _named(dimensions: Mapping[str, Any], values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Dimensions by the names given: those of a section may be written inside it."""
    sections = {
        ".".join(parts[:length]) for key in values if (parts := key.split(".")) for length in range(1, len(parts))
    }

    def walk(inner: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
        for name, given in inner.items():
            if prefix + name in sections and isinstance(given, Mapping):
                yield from walk(given, f"{prefix}{name}.")
            else:
                yield prefix + name, given

    return walk(dimensions, "")


def _resolve(name: str, values: Mapping[str, Any]) -> str:
    found = [key for key in values if key == name or ("." not in name and key.endswith(f".{name}"))]
    if not found:
        close = difflib.get_close_matches(name, [*values, *(key.rpartition(".")[2] for key in values)], n=1)
        advice = f"did you mean {close[0]}?" if close else "give the name of an option, such as training.learning_rate"
        raise _wrong(name, f"is not an option of this config: {advice}")
    if len(found) > 1:
        raise _wrong(name, f"may be {' or '.join(found)}: give the whole name")
    for tied, reason in _TIED.items():
        if found[0] == tied or found[0].startswith(f"{tied}."):
            raise _wrong(name, f"cannot be varied: {reason}")
    return found[0]


def _distribution(name: str, given: Any, value: Any) -> BaseDistribution:
    """What Optuna draws from for one option, whose value in the config has its type."""
    if isinstance(value, list):
        raise _wrong(name, "cannot be varied: it is a list")
    if isinstance(given, Mapping):
        return _from_table(name, given, value)
    if not isinstance(given, list) or not given:
        raise _wrong(name, f"must be a range [low, high], a list of choices, or {{low = …, high = …}}, not {given!r}")
    if isinstance(value, str | bool) or len(given) != 2:
        return _choices(name, given, value)
    return _range(name, {"low": given[0], "high": given[1]}, value)


def _from_table(name: str, given: Mapping[str, Any], value: Any) -> BaseDistribution:
    if unknown := [key for key in given if key not in _KEYS]:
        raise _wrong(name, f"does not have {unknown[0]!r}: known are {', '.join(sorted(_KEYS))}")
    if "choices" in given:
        if len(given) > 1:
            raise _wrong(name, "must have choices or low and high, not both")
        return _choices(name, given["choices"], value)
    if isinstance(value, str | bool):
        raise _wrong(name, "is not a number: give a list of choices")
    if not {"low", "high"} <= set(given):
        raise _wrong(name, "must have low and high")
    return _range(name, given, value)


def _choices(name: str, given: Any, value: Any) -> CategoricalDistribution:
    if not isinstance(given, list) or not given:
        raise _wrong(name, f"must have a list of choices, not {given!r}")
    choices = [_typed(name, one, value) for one in given]
    if len({repr(one) for one in choices}) < len(choices):
        raise _wrong(name, "has a choice twice")
    return CategoricalDistribution(choices)


def _range(name: str, given: Mapping[str, Any], value: Any) -> BaseDistribution:
    low, high = (_typed(name, given[end], value) for end in ("low", "high"))
    if not low < high:
        raise _wrong(name, f"must have its low end below its high end, not {low!r} and {high!r}")
    step, log = given.get("step"), given.get("log")
    if log is not None and type(log) is not bool:
        raise _wrong(name, f"must have log = true or false, not {log!r}")
    if step is not None and log:
        raise _wrong(name, "cannot have both step and log")
    if log and low <= 0:
        raise _wrong(name, f"cannot be searched by its logarithm from {low!r}: raise low above 0, or leave out log")
    if step is not None and not (step := _typed(name, step, value)) > 0:
        raise _wrong(name, f"must have a step above 0, not {step!r}")
    if step is not None and step > high - low:
        raise _wrong(name, f"has a step of {step!r}, which is longer than its range")
    if isinstance(value, int):
        return IntDistribution(low, high, log=bool(log), step=step or 1)
    by_log = log if log is not None else step is None and low > 0 and high / low >= _LOG_FROM
    return FloatDistribution(low, high, log=bool(by_log), step=step)


def _typed(name: str, given: Any, value: Any) -> Any:
    """A value of an option's own type, as that of the config has it."""
    if isinstance(value, float) and type(given) in (int, float) and math.isfinite(given):
        return float(given)
    if type(given) is not type(value):
        wanted = {bool: "true or false", int: "whole numbers", float: "numbers", str: "strings"}[type(value)]
        raise _wrong(name, f"must have {wanted}, not {given!r}")
    return given


def _ends(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    steps = 0.0 if distribution.step is None else (value - distribution.low) / distribution.step
    return bool(distribution.low <= value <= distribution.high and math.isclose(steps, round(steps), abs_tol=1e-9))


def _points(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None and (step != 1 or high - low < _MOST_WHOLE_NUMBERS):
        return [type(low)(low + place * step) for place in range(int((high - low) / step + 1e-9) + 1)]
    ends = [math.log(low), math.log(high)] if distribution.log else [low, high]
    between = [ends[0] + (ends[1] - ends[0]) * place / (_GRID_POINTS - 1) for place in range(1, _GRID_POINTS - 1)]
    middle = [math.exp(one) if distribution.log else one for one in between]
    return [low, *(round(one) if isinstance(low, int) else one for one in middle), high]


def _wrong(name: str, what: str) -> UsageError:
    return UsageError(f"{TUNE_SECTION}.{name} {what}")

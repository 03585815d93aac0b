"""What a study is asked for: the options in `[tune]` of a config file, over which flags of the command line go."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any  # TOML values

from explicate.errors import UsageError
from explicate_training.config.config_file import TUNE_SECTION

METRIC = "metric"
"""The objective that is the validation metric of the config's task."""

EVALUATIONS = "evaluations_per_player"
SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("none", "median")
SMALLER_IS_BETTER = frozenset({"loss", "mae", "rmse", EVALUATIONS, "sufficiency", "contradictions"})
"""Of metrics and of figures of interpretability: for these a floor is a ceiling."""


@dataclass(frozen=True)
class TuneOptions:
    """How a study is run.

    Attributes:
        trials: runs at most, those that failed among them.
        minutes: after which no more runs are begun; 0: no limit.
        sampler: what chooses the next run's values.
        pruner: "median" stops a run that is worse at its step than half of those before; of one objective only.
        objectives: "metric" alone, or with "evaluations_per_player".
        metric: the validation metric; "auto": the one that chooses a run's checkpoint.
        inputs: validation inputs that each run's model explains.
        seed: of the sampler.
        floors: the least that a run must have, by the name of a metric or of a figure of interpretability; the most,
            of those that are better when smaller.
    """

    trials: int = 20
    minutes: float = 0.0
    sampler: str = "tpe"
    pruner: str = "none"
    objectives: tuple[str, ...] = (METRIC, EVALUATIONS)
    metric: str = "auto"
    inputs: int = 40
    seed: int = 0
    floors: Mapping[str, float] = field(default_factory=dict)

    def check(self) -> None:
        """Raises UsageError, naming the option, when a value is wrong."""
        for name, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{TUNE_SECTION}.{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}"
                )
        for name, least in (("trials", 1), ("minutes", 0), ("inputs", 5), ("seed", 0)):
            if not getattr(self, name) >= least:
                raise UsageError(f"{TUNE_SECTION}.{name} must be at least {least}, not {getattr(self, name)!r}")
        if self.objectives not in ((METRIC,), (METRIC, EVALUATIONS)):
            raise UsageError(
                f"{TUNE_SECTION}.objectives must be {METRIC} or {METRIC},{EVALUATIONS}, not "
                f"{','.join(self.objectives)!r}"
            )
        if self.pruner != "none" and len(self.objectives) > 1:
            raise UsageError(
                f"{TUNE_SECTION}.pruner is {self.pruner}, but a run cannot be stopped early by two objectives: "
                f"give --objectives {METRIC}, or leave the pruner out"
            )

    @property
    def explains(self) -> bool:
        """Whether the models' explanations are measured."""
        return EVALUATIONS in self.objectives or bool(set(self.floors) - {self.metric})


def read_tune(text: str, flags: Mapping[str, Any]) -> tuple[TuneOptions, dict[str, Any]]:
    """The study's options, and the dimensions as they are written, of a config file's text.

    Args:
        text: of the file, which is valid TOML.
        flags: of the command line, those that are given, by the names of TuneOptions; they go before the file.

    Raises UsageError that names what is wrong.
    """
    given = tomllib.loads(text).get(TUNE_SECTION, {})
    if not isinstance(given, dict):
        raise UsageError(f"{TUNE_SECTION} must be a section, written [{TUNE_SECTION}]")
    names = {one.name for one in fields(TuneOptions)}
    own = {name: _typed(name, value) for name, value in given.items() if name in names}
    options = replace(TuneOptions(), **{**own, **{name: _typed(name, value) for name, value in flags.items()}})
    options.check()
    return options, {name: value for name, value in given.items() if name not in names}


def _typed(name: str, value: Any) -> Any:
    default = getattr(TuneOptions(), name)
    if name == "floors":
        return _floors(value)
    if name == "objectives":
        return _objectives(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        wanted = {int: "a whole number", float: "a number", str: "a string"}[type(default)]
        raise UsageError(f"{TUNE_SECTION}.{name} must be {wanted}, not {value!r}")
    return value


def _floors(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise UsageError(f"{TUNE_SECTION}.floors must be a section, written [{TUNE_SECTION}.floors]")
    for name, floor in value.items():
        if type(floor) not in (int, float):
            raise UsageError(f"{TUNE_SECTION}.floors.{name} must be a number, not {floor!r}")
    return {name: float(floor) for name, floor in value.items()}


def _objectives(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{TUNE_SECTION}.objectives must be a list of names, not {value!r}")
    return tuple(name.strip() for name in names)

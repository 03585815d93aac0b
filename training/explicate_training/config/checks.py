"""Checks of options that all kinds of runs share."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any  # the values of options

from explicate.errors import UsageError
from explicate_training.config.sections import LabelledData, OptionalSection, Rule, TrainingOptions, rule_of
from explicate_training.tasks.registry import registered, task_named


def check_data(data: LabelledData, what: str, columns: Sequence[str], *, fixed: Sequence[str] = ()) -> None:
    """Raises UsageError, naming the option, when options of the data do not go together.

    Args:
        data: the section.
        what: what its source is, in words.
        columns: the options that name columns, besides those of the labels.
        fixed: options that must be left alone with a demo set.
    """
    if bool(data.demo) == bool(getattr(data, data.source)):
        raise UsageError(f"data.{data.source} or data.demo must be set, one of the two: {what}, or a demo set")
    if data.demo and (data.validation or data.test):
        raise UsageError("data.validation and data.test do not go with data.demo: leave them out")
    for name in (*columns, "label_column"):
        if getattr(type(data), name) and not getattr(data, name):
            raise UsageError(f"data.{name} must not be empty: give the name of the column")
    if data.demo and any(getattr(data, name) != getattr(type(data), name) for name in fixed):
        do, them = ("do", "them") if len(fixed) > 1 else ("does", "it")
        listed = " and ".join(f"data.{name}" for name in fixed)
        raise UsageError(f"{listed} {do} not go with data.demo: leave {them} out")
    _check_written(data)
    first, *_ = names = registered("names")
    task_named(data.task if data.task in names else first).check_label_options(data)  # "auto" is never several labels
    _check_columns_differ({**{f"data.{name}": getattr(data, name) for name in columns}, **data.columns_with_labels()})


def _check_written(data: LabelledData) -> None:
    if len(data.separator) > 1 or data.separator in ("\r", "\n", '"'):
        raise UsageError(f'data.separator must be one character, such as ";" or "\\t", not {data.separator!r}')
    try:
        " ".encode(data.encoding or "utf-8")
    except (LookupError, ValueError):  # unknown, none of text, or with a zero byte
        raise UsageError(
            f'data.encoding must be one that Python knows, such as "cp1252" or "utf-16", not {data.encoding!r}'
        ) from None


def _check_columns_differ(columns: Mapping[str, str]) -> None:
    """Raises UsageError when two options, the keys, name the same column; an empty name is none."""
    option_of: dict[str, str] = {}
    for option, name in columns.items():
        if name in option_of:
            raise UsageError(f"{option_of[name]} and {option} are both {name!r}: they must differ")
        option_of |= {name: option} if name else {}


def check_values(config: Any) -> None:
    """Raises UsageError, naming the option, when a value is out of its own range. `config`: a dataclass of sections."""
    for section in fields(config):
        values = getattr(config, section.name)
        for declared in fields(values):
            _check_value(f"{section.name}.{declared.name}", getattr(values, declared.name), rule_of(declared))
        if isinstance(values, OptionalSection):
            values.check()


def check_forgetting(training: TrainingOptions, *keys: str) -> None:
    """Raises UsageError when the section does not say what is measured for forgetting; `keys` are those it may have."""
    given = training.forgetting
    if given and not keys:
        raise UsageError(
            "training.forgetting is for a model that has learnt already, but a table's network is new: leave it out"
        )
    for key, value in given.items():
        if key not in keys:
            raise UsageError(f"training.forgetting.{key} is not an option: known are {', '.join(keys)}")
        if not isinstance(value, str) or not value:
            raise UsageError(f"training.forgetting.{key} must be a string that is not empty, not {value!r}")
    if given and "data" not in given:
        raise UsageError("training.forgetting.data must be set: the data of another task")


def check_layers(training: TrainingOptions, missing: str) -> None:
    """Raises UsageError when layers are to learn more slowly, or later, where there is nothing that these could keep.

    `missing` says why there is not, and what to do.
    """
    for name in ("layer_lr_decay", "gradual_unfreezing"):
        if getattr(training, name) != getattr(TrainingOptions, name):
            raise UsageError(f"training.{name} is for the layers of a model that has learnt already, but {missing}")


def _check_value(key: str, value: Any, rule: Rule) -> None:
    choices = (*rule.choices, *(registered(rule.registered) if rule.registered else ()))
    if choices and value not in choices:
        raise UsageError(f"{key} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    if isinstance(value, str | dict | tuple):
        return
    for holds, wanted in (
        (value >= rule.minimum, f"at least {rule.minimum:g}"),
        (value <= rule.maximum, f"at most {rule.maximum:g}"),
        (value > rule.above, f"above {rule.above:g}"),
        (value < rule.below, f"below {rule.below:g}"),
    ):
        if not holds:  # NaN holds nowhere
            raise UsageError(f"{key} must be {wanted}, not {value!r}")

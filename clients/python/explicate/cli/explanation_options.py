"""The options of `explicate explain` that say what is explained, how, and when to stop."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from explicate.cli import inputs
from explicate.errors import ServerError, UsageError
from explicate.options import (
    ALL,
    Contrast,
    ExplainOptions,
    Granularity,
    Masking,
    OutputSpace,
    QualityLevel,
    Target,
)

_HOW = "The server decides what you leave out; the answer says what it chose."


# The flags of fields that are not named like them.
_FLAGS = {
    "options.target": "--target",
    "options.target.label": "--target",
    "options.target.index": "--target-index",
    "options.target.contrast.target": "--target",
    "options.target.contrast.target.label": "--target",
    "options.target.contrast.target.index": "--target-index",
    "options.target.contrast.reference": "--against",
    "options.target.contrast.reference.label": "--against",
    "options.time_limit_seconds": "--time-limit",
    "model.model": "--model",
    "model.version": "--version",
    "model.label": "--label",
    "expected_version": "--expect",
}


def add_explanation_options(parser: argparse.ArgumentParser, *, method: bool = True) -> None:
    """The three groups, with or without --method."""
    _add_what(parser.add_argument_group("what is explained"))
    _add_how(parser.add_argument_group("how", _HOW), method=method)
    _add_when(parser.add_argument_group("when to stop", "The first of these that comes true stops the work."))


def _add_what(group: argparse._ArgumentGroup) -> None:
    target = group.add_mutually_exclusive_group()
    target.add_argument("--target", metavar="LABEL", help="explain this class (default: the predicted one)")
    target.add_argument("--target-index", metavar="N", type=int, help="explain the class with this index, from 0")
    target.add_argument("--all-classes", action="store_true", help="explain every class, from the same evaluations")
    group.add_argument(
        "--against", metavar="LABEL", help="why --target rather than this class: the difference of the two"
    )
    group.add_argument(
        "--output-space",
        choices=get_args(OutputSpace),
        help="the scale that is explained (default: probability; logit with --against)",
    )
    group.add_argument(
        "--granularity",
        choices=get_args(Granularity),
        help="what gets a number: " + "; ".join(kind.players for kind in inputs.KINDS.values() if kind.players),
    )
    for kind in inputs.KINDS.values():
        kind.add_player_options(group)


def _add_how(group: argparse._ArgumentGroup, *, method: bool) -> None:
    if method:
        group.add_argument(
            "--method",
            metavar="NAME",
            help="kernel-shap or another that `explicate models show` lists (default: auto, which is exact-shap for a "
            "short text or a few columns, else kernel-shap)",
        )
    group.add_argument(
        "--masking",
        choices=get_args(Masking),
        help=f"how it is left out: {'; '.join(kind.absence for kind in inputs.KINDS.values())} (default: the method's)",
    )
    group.add_argument(
        "--baseline",
        metavar="NAME|ROW|TEXT|FILE",
        help="what stands in for what is left out, so that the answer is why this and not that: "
        f"{'; '.join(kind.baselines for kind in inputs.KINDS.values())}; or @FILE that holds it",
    )
    group.add_argument("--seed", metavar="N", type=int, help="of all random choices (default: 0)")
    group.add_argument("--confidence", metavar="SHARE", type=float, help="coverage of the intervals (default: 0.95)")
    group.add_argument(
        "--quality",
        choices=get_args(QualityLevel),
        help="full: also measure how far the output falls without the words that raise it most, and with them alone",
    )


def _add_when(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--max-evaluations", metavar="N", type=int, help="after this many rows through the model")
    group.add_argument(
        "--tolerance",
        metavar="SHARE",
        type=float,
        help="once every interval is narrower than ± this share of the range of the values; 0: never",
    )
    group.add_argument(
        "--min-evaluations", metavar="N", type=int, help="--tolerance does not stop it before this many rows"
    )
    group.add_argument("--top-k", metavar="K", type=int, help="once it is certain which K words weigh most")
    group.add_argument(
        "--time-limit",
        metavar="SECONDS",
        dest="time_limit_s",
        type=float,
        help="after this long, with the best answer",
    )


def add_reasons_options(parser: argparse.ArgumentParser) -> None:
    """The group of `explicate explain` that asks for sentences."""
    group = parser.add_argument_group(
        "reasons in sentences", "What counts most, for people without training; a part whose interval holds 0 is none."
    )
    group.add_argument(
        "--reasons",
        choices=("all", "toward", "against"),
        nargs="?",
        const="all",
        help="sentences instead of the table (in JSON besides): what counts toward the explained class or number, "
        "against it, or both (default: all)",
    )
    group.add_argument(
        "--names",
        metavar="FILE",
        type=Path,
        help='TOML file with what columns and classes are called in them: dti = "debts as a share of income"',
    )


def reasons_options(arguments: argparse.Namespace) -> tuple[str, Mapping[str, str]] | None:
    """The side and the names; None where no reasons are asked for. Raises UsageError if they do not go together."""
    if arguments.reasons is None:
        if arguments.names is not None:
            raise UsageError("--names is for sentences: give --reasons, too")
        return None
    if arguments.format == "csv":
        raise UsageError("--reasons are sentences, which CSV does not have: take --format text or json")
    return arguments.reasons, {} if arguments.names is None else _names(arguments.names)


def _names(path: Path) -> Mapping[str, str]:
    try:
        names = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--names: cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--names: {path} is not TOML: {error}") from None
    for name, told in names.items():
        if not isinstance(told, str) or not told:
            raise UsageError(f"--names: {path}: {name} must be a text in quotes, not {told!r}")
    return names


def explanation_options(arguments: argparse.Namespace) -> ExplainOptions:
    """What was given; raises UsageError when --against has nothing to set it against."""
    given = {name: getattr(arguments, name) for name in ExplainOptions.__annotations__ if name != "target"}
    return cast(ExplainOptions, {"target": _target(arguments), **given})


def in_flags(error: ServerError) -> UsageError:
    """The same complaint in the words of the command line: with flags for the fields that the user has not seen."""
    return UsageError("; ".join(f"{_flag(path)}: {description}" for path, description in error.violations))


def _flag(path: str) -> str:
    if path.startswith("options.baseline."):  # the rest says which column or text
        return f"--baseline ({path.removeprefix('options.baseline.')})"
    own_name = f"--{path.removeprefix('options.').replace('_', '-')}"
    return _FLAGS.get(path, own_name if path.startswith("options.") else path)


def _target(arguments: argparse.Namespace) -> Target | None:
    one: int | str | None = arguments.target if arguments.target_index is None else arguments.target_index
    if arguments.against is None:
        return ALL if arguments.all_classes else one
    if one is None:
        raise UsageError(f"--against {arguments.against} needs --target LABEL: the class to explain rather than it")
    return Contrast(one, arguments.against)

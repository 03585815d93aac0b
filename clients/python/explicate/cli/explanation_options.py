"""The options of `explicate explain` that say what is explained, how, and when to stop."""

from __future__ import annotations

import argparse
import csv
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from explicate.cli import inputs
from explicate.cli.inputs.named_parts import forms, read_fixed, read_groups
from explicate.errors import ServerError, UsageError
from explicate.options import (
    ALL,
    ChangeSearch,
    Contrast,
    ExplainOptions,
    Granularity,
    Masking,
    OutputSpace,
    QualityLevel,
    Target,
    ValueRange,
)

# Options that several flags make together.
_OF_SEVERAL = ("target", "change")
_HOW = "The server decides what you leave out; the answer says what it chose."


# The flags of fields that are not named like them.
_FLAGS = {
    "options.groups": "--group",
    "options.target": "--target",
    "options.target.label": "--target",
    "options.target.index": "--target-index",
    "options.target.contrast.target": "--target",
    "options.target.contrast.target.label": "--target",
    "options.target.contrast.target.index": "--target-index",
    "options.target.contrast.reference": "--against",
    "options.target.contrast.reference.label": "--against",
    "options.time_limit_seconds": "--time-limit",
    "options.change": "--change",
    "options.change.class_label": "--change-to",
    "options.change.class_index": "--change-to",
    "options.change.value": "--change-to-value",
    "options.change.keep_others": "--keep-others",
    "options.change.absence": "--leave-out",
    "options.change.max_evaluations": "--change-evaluations",
    "options.change.columns": "--keep and --vary",
    "model.model": "--model",
    "model.version": "--version",
    "model.label": "--label",
    "expected_version": "--expect",
}


# options.change.columns[age].range.low
_OF_A_COLUMN = re.compile(r"options\.change\.columns\[(.*)\]")


def add_explanation_options(parser: argparse.ArgumentParser, *, of_files: bool = False) -> None:
    """The three groups; of files without what is of one input, and without --method, which says something else."""
    what = parser.add_argument_group("what is explained")
    _add_what(what)
    if not of_files:
        _add_of_one(what)
    _add_how(parser.add_argument_group("how", _HOW), method=not of_files)
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


def _add_of_one(group: argparse._ArgumentGroup) -> None:
    """What is asked about one input, or told of it, and has no place in columns."""
    group.add_argument(
        "--group",
        metavar="NAME=PART,PART",
        dest="groups",
        action="append",
        help=f"give these parts one number together, under this name; a part is {forms()}; repeat for more groups",
    )
    group.add_argument(
        "--fixed",
        metavar="PART,PART",
        action="append",
        help="never leave these parts out, so that they get no number: what would the rest do beside them?",
    )
    group.add_argument(
        "--language",
        metavar="TAG",
        help="of the sentences in plain words, such as de; de-AT takes the nearest that the server has (default: en)",
    )
    group.add_argument(
        "--interactions",
        metavar="K",
        type=int,
        help='also the K strongest pairs: what two words add together beyond what each adds alone. In "not good" the '
        'pair is below 0, as "not" turns what "good" adds around; so is that of two words of praise of which one would '
        "do. Takes all the rows it may, by default twice as many as without",
    )


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


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """The group of `explicate explain` that asks what would change the answer."""
    group = parser.add_argument_group(
        "what would change the answer",
        "Words or segments without which it would be another, or other values of a row's columns: as few as possible, "
        "of columns then as near as possible. The model is asked about what is told. Any of these options asks for it.",
    )
    group.add_argument(
        "--change", action="store_true", help="also look for the smallest change that changes the answer"
    )
    group.add_argument("--change-to", metavar="LABEL", help="the class that is to be answered (default: any other)")
    group.add_argument(
        "--change-to-value", metavar="X", type=float, help="of a number the value to reach from below, or to fall below"
    )
    group.add_argument(
        "--keep", metavar="COLUMN", action="append", default=[], help="this column keeps its value; may be repeated"
    )
    group.add_argument(
        "--vary",
        metavar="COLUMN=VALUES",
        action="append",
        default=[],
        help="what this column may become, a list or a range: --vary purpose=car,house --vary income=20000..60000/5000 "
        "(low..high/step; without a step the values that typical rows have in it); may be repeated (default: values "
        "of typical rows)",
    )
    group.add_argument("--keep-others", action="store_true", help="columns without --vary keep their values")
    group.add_argument(
        "--leave-out", action="store_true", help="of a row, leave columns out in the place of giving them other values"
    )
    group.add_argument(
        "--change-evaluations",
        metavar="N",
        type=int,
        help="try at most N changes (default: 8 for each word or segment, 128 for each column)",
    )


def _change(arguments: argparse.Namespace) -> ChangeSearch | None:
    """What is asked of a change; None where nothing is, or by a command that does not know it."""
    if not hasattr(arguments, "change"):
        return None
    vary: dict[str, ValueRange | tuple[float | str, ...]] = dict(map(_varied, arguments.vary))
    if len(vary) < len(arguments.vary):
        raise UsageError("--vary names a column twice: list all its values after one")
    if twice := vary.keys() & set(arguments.keep):
        raise UsageError(f"--keep and --vary both name {min(twice)}: give one")
    search = ChangeSearch(
        to=arguments.change_to,
        to_value=arguments.change_to_value,
        keep=tuple(dict.fromkeys(arguments.keep)),
        vary=vary,
        keep_others=arguments.keep_others,
        absence=arguments.leave_out,
        max_evaluations=arguments.change_evaluations,
    )
    asked = arguments.change or search != ChangeSearch()
    if asked and arguments.format == "csv":
        raise UsageError("what would change the answer is not in CSV: take --format text or json")
    return search if asked else None


def _varied(given: str) -> tuple[str, ValueRange | tuple[float | str, ...]]:
    """A column and what it may become; numbers are numbers, anything else is text."""
    column, equals, values = given.partition("=")
    if not (column and equals and values):
        raise UsageError(f"--vary {given}: give COLUMN=LOW..HIGH/STEP or COLUMN=A,B,C")
    low, dots, rest = values.partition("..")
    if not dots:
        return column, tuple(map(_plain, next(csv.reader([values]))))
    # A date may have slashes of its own: 1/2/2020..1/3/2020/7.
    high, slash, step = rest.rpartition("/") if rest.count("/") == low.count("/") + 1 else (rest, "", "")
    if slash and not _is_number(step):
        raise UsageError(f"--vary {given}: the step {step!r} is not a number")
    if not (low and high):
        raise UsageError(f"--vary {given}: a range has two ends, such as {column}=10..20")
    return column, ValueRange(_plain(low), _plain(high), float(step) if slash else None)


def _plain(value: str) -> float | str:
    return float(value) if _is_number(value) else value


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


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
    """What was given; raises UsageError when --against has nothing to set it against, or a file cannot be read."""
    given = {name: getattr(arguments, name, None) for name in ExplainOptions.__annotations__ if name not in _OF_SEVERAL}
    parts = {"groups": read_groups(given["groups"]), "fixed": read_fixed(given["fixed"])}
    given["baseline"] = inputs.held_baseline(given["baseline"])
    return cast(ExplainOptions, {"target": _target(arguments), "change": _change(arguments), **given, **parts})


def in_flags(error: ServerError) -> UsageError:
    """The same complaint in the words of the command line: with flags for the fields that the user has not seen."""
    return UsageError("; ".join(f"{_flag(path)}: {description}" for path, description in error.violations))


def _flag(path: str) -> str:
    if column := _OF_A_COLUMN.match(path):
        return f"--keep or --vary {column[1]}"
    if path.startswith("options.baseline."):  # the rest says which column or text
        return f"--baseline ({path.removeprefix('options.baseline.')})"
    if found := re.fullmatch(r"options\.groups\[(.*?)\](\.name|\.parts.*)?", path):
        return f"--group {found[1]}"
    if path.startswith("options.fixed"):
        return "--fixed"
    own_name = f"--{path.removeprefix('options.').replace('_', '-')}"
    return _FLAGS.get(path, own_name if path.startswith("options.") else path)


def _target(arguments: argparse.Namespace) -> Target | None:
    one: int | str | None = arguments.target if arguments.target_index is None else arguments.target_index
    if arguments.against is None:
        return ALL if arguments.all_classes else one
    if one is None:
        raise UsageError(f"--against {arguments.against} needs --target LABEL: the class to explain rather than it")
    return Contrast(one, arguments.against)

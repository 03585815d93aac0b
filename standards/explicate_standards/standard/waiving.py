"""What is given on the command line beside a standard: waivers, what becomes of a verdict by them, and runs of other
seeds. Imports nothing heavy."""

import argparse
import getpass
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.errors import UsageError
from explicate_bundle.errors import StandardError
from explicate_bundle.standard.requirement_lines import required_line
from explicate_bundle.standard.standard_file import hint, read_standard_file
from explicate_bundle.standard.verdicts import Verdict
from explicate_bundle.standard.waivers import Waiver, today, waiver_for

if TYPE_CHECKING:
    from explicate_standards.standard.check import Checked
    from explicate_standards.standard.requirement import Judgement


def add_waiver_options(parser: argparse.ArgumentParser) -> None:
    """`--waive` and what it takes."""
    group = parser.add_argument_group(
        "waivers", "somebody answers for a requirement that is not met; a server counts that if its own file says so"
    )
    group.add_argument(
        "--waive", metavar="ID", action="append", default=[], help="of this requirement; may be given several times"
    )
    group.add_argument("--why", metavar="REASON", help="for what reason")
    group.add_argument("--until", metavar="DATE", help="the last day on which it counts (UTC), such as 2027-03-31")
    group.add_argument("--by", metavar="NAME", help="who answers for it (default: the user's name)")


def add_seeds_option(parser: argparse.ArgumentParser) -> None:
    """`--seeds`."""
    parser.add_argument(
        "--seeds",
        metavar="RUN",
        type=Path,
        nargs="+",
        default=[],
        help="runs whose configs differ in training.seed alone, three or more, for what a standard requires of "
        "seeds.METRIC",
    )


def given_waivers(arguments: argparse.Namespace) -> tuple[Waiver, ...]:
    """The waivers that the arguments say, for the standard of `--standard`.

    Raises:
        UsageError: something is missing, the day has passed, or the standard has no such requirement.
    """
    if not arguments.waive:
        for name in ("why", "until", "by"):
            if getattr(arguments, name) is not None:
                raise UsageError(f"--{name} goes with --waive ID: name the requirement")
        return ()
    if arguments.standard is None:
        raise UsageError("--waive is of a requirement of a standard: give --standard FILE")
    if not (arguments.why or "").strip():
        raise UsageError("--waive needs a reason: --why REASON")
    until, who = _until(arguments.until), (arguments.by or _user()).strip()
    if not who:
        raise UsageError("--by is empty; say who answers for it")
    _check_known(arguments)
    return tuple(Waiver(one, who, arguments.why.strip(), until) for one in dict.fromkeys(arguments.waive))


def _check_known(arguments: argparse.Namespace) -> None:
    try:
        known = [one.id for one in read_standard_file(arguments.standard, required_line).requirements]
    except StandardError as error:
        raise UsageError(str(error)) from None
    for name in arguments.waive:
        if name not in known:
            raise UsageError(f"--waive {name}: {arguments.standard} has no such requirement{hint(name, known)}")


def _until(text: str | None) -> date:
    if text is None:
        raise UsageError("--waive needs its last day: --until DATE, such as 2027-03-31")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until is {text!r}, not a day such as 2027-03-31") from None
    if day < today():
        raise UsageError(f"--until {day} has passed, and a waiver counts up to that day")
    return day


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise UsageError("who answers for the waiver is not known: give --by NAME") from None


def excused(checked: "Checked", waivers: Sequence[Waiver]) -> "Checked":
    """The same with what is waived: requirements that are met stay met."""
    failing = {Verdict.NOT_MET, *([Verdict.CANNOT_TELL] if checked.standard.refuses_unknown else [])}
    judgements = tuple(_excused(one, waivers) if one.verdict in failing else one for one in checked.judgements)
    return replace(checked, judgements=judgements, waivers=(*checked.waivers, *waivers))


def _excused(judgement: "Judgement", waivers: Sequence[Waiver]) -> "Judgement":
    waiver = waiver_for(waivers, judgement.requirement, today())
    if waiver is None:
        return judgement
    more = f"; {judgement.note}" if judgement.note else ""
    return replace(judgement, verdict=Verdict.WAIVED, note=f"{judgement.verdict.value}, {waiver}{more}")

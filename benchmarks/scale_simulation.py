"""`python -m benchmarks.scale_simulation`: 1e9 rows scored by 100 servers, with failures, as docs/scale.md tells.

What a row costs comes from results/row_costs.json (`python -m benchmarks.row_costs`) where that was measured on this
machine, or from the flags; everything else is assumed, and the output says which is which. `--sweep` shows what the
size of parts, the number of shards and the choice of servers do.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from benchmarks.fleet import Fleet, Outcome
from benchmarks.report import RESULTS
from benchmarks.scale_model import Simulation

COSTS = RESULTS / "row_costs.json"
CORE_HOUR = 0.04
"""What an hour of a core costs, assumed: a virtual core of the large clouds' general machines, in dollars."""


@dataclass(frozen=True)
class Origin:
    """Where a figure comes from."""

    value: float
    told: str


def origins(given: Mapping[str, float], costs: Path = COSTS) -> dict[str, Origin]:
    """Every field of a fleet with where it comes from: a flag, the file of costs, or nowhere.

    Raises ValueError for a file of costs that is not one.
    """
    measured = _measured(costs)
    found = {}
    for field in fields(Fleet):
        if field.name in given:
            found[field.name] = Origin(given[field.name], "given")
        elif field.name in measured:
            found[field.name] = measured[field.name]
        else:
            found[field.name] = Origin(field.default, "assumed")  # type: ignore[arg-type] # each has one, a number
    return found


def _measured(path: Path) -> dict[str, Origin]:
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_text("utf-8"))
        told = f"measured {held['measured']} by `{held['command']}` on {held['machine']}"
        return {name: Origin(float(value), told) for name, value in held["seconds"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not what benchmarks.row_costs writes: {error!r}") from None


def fleet_of(found: Mapping[str, Origin]) -> Fleet:
    """The fleet with these figures. Raises ValueError as Fleet does."""
    kinds = {field.name: type(field.default) for field in fields(Fleet)}
    return Fleet(**{name: kinds[name](origin.value) for name, origin in found.items()})


def _told(outcome: Outcome, fleet: Fleet) -> Iterator[str]:
    """A run in lines."""
    core_hours = fleet.servers * fleet.cores * outcome.seconds / 3600
    yield f"time           {_span(outcome.seconds)}; with all cores busy all the time {_span(outcome.ideal_s)}"
    yield f"rows a day     {fleet.rows / outcome.seconds * 86_400:,.0f}"
    yield (
        f"core hours     {core_hours:,.0f} of the servers, ${core_hours * CORE_HOUR:,.0f} at an assumed ${CORE_HOUR} "
        f"each, ${core_hours * CORE_HOUR / fleet.rows * 1e6:.2f} a million rows"
    )
    yield (
        f"lost work      {outcome.lost:.3%}: {outcome.lost_with_scorers_s / outcome.work_s:.3%} with "
        f"{outcome.scorer_deaths} scorers that died, {outcome.lost_with_servers_s / outcome.work_s:.3%} with "
        f"{outcome.server_deaths} servers"
    )
    yield f"slowest shards add {outcome.slowest:.2%} of the time: cores without work once no shard was left to take"
    yield f"refusals       {outcome.refusals / outcome.calls:.3f} a call, {outcome.calls:,} calls"
    yield f"memory         {outcome.most_rows_held:,} rows held by one scorer at most"
    parts = -(-fleet.rows // fleet.part_rows)
    yield f"rows           {outcome.written_rows:,}, none lost or doubled: each of {parts:,} parts was written once"


def _span(seconds: float) -> str:
    hours, left_s = divmod(seconds, 3600)
    return f"{hours:.0f} h {left_s / 60:04.1f} min"


# What a sweep varies, and the values.
_SWEEPS: Mapping[str, Sequence[int]] = {
    "part_rows": (2_000, 10_000, 100_000, 1_000_000),
    "shards": (100, 1_000, 10_000),
    "scorers": (25, 50, 100, 400),
    "choices": (1, 2, 5),
}


def _sweep(fleet: Fleet) -> Iterator[str]:
    yield f"{'':<24}{'time':>14}{'lost work':>12}{'slowest':>10}{'refusals':>10}{'rows held':>12}"
    for name, values in _SWEEPS.items():
        for value in values:
            label = f"{name} {value:,}" + (" *" if value == getattr(fleet, name) else "")
            try:
                done = Simulation(replace(fleet, **{name: value})).run()  # type: ignore[arg-type] # whole numbers all
            except ValueError as error:
                yield f"{label:<24}{error}"
                continue
            yield (
                f"{label:<24}{_span(done.seconds):>14}{done.lost:>12.3%}{done.slowest:>10.2%}"
                f"{done.refusals / done.calls:>10.3f}{done.most_rows_held:>12,}"
            )


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_simulation", description=__doc__)
    parser.add_argument(
        "--sweep", action="store_true", help="also vary parts, shards, scorers and choices, one at a time"
    )
    for field in fields(Fleet):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=float,
            default=argparse.SUPPRESS,
            help=f"{field.default:g} unless measured or given; see Fleet in benchmarks/fleet.py",
        )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Print a run; returns the exit code, 2 for a fleet that cannot be simulated."""
    given = vars(_arguments(argv))
    sweep = given.pop("sweep")
    try:
        found = origins(given)
        fleet = fleet_of(found)
        started_s = time.process_time()
        outcome = Simulation(fleet).run()
    except ValueError as error:
        print(f"scale_simulation: {error}", file=sys.stderr)
        return 2
    for name, origin in found.items():
        print(f"  {name:<18}{origin.value:>16,.7g}  {origin.told}")
    print()
    for line in _told(outcome, fleet):
        print(line)
    print(f"simulated in {time.process_time() - started_s:.1f} s", file=sys.stderr)
    if sweep:
        print()
        for line in _sweep(fleet):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`explicate leaderboard`: runs side by side."""

import argparse
import sys
from pathlib import Path

FORMATS = ("table", "wide", "json", "csv")
_DESCRIPTION = """\
Put training runs and bundles side by side: the metric on their held-out rows with its interval, the worst slice,
calibration, robustness, what an explanation costs, how well a sum of attributions says what the model does, stability,
size, time, and the verdict of a standard. Runs whose configs differ in the seed alone are one line, the mean over
seeds; from three seeds on it has a rank, which is a range: what chance leaves open. Of a bundle what is on record is
told, without a rank. Only what was tested on the same held-out rows, and held to the same standard, is compared; others
get tables of their own. What was not measured is told as missing.
"""
_EPILOG = """\
Prints a table on stdout (all columns with -o wide, CSV with --csv, JSON with --json), and what it does on stderr.
Exit codes: 0 done, 2 wrong usage.

examples:
  explicate leaderboard runs/reviews-*
  explicate leaderboard repository/reviews/* -o wide
  explicate leaderboard runs/* --metric f1_macro --html leaderboard.html
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand; imports nothing heavy."""
    parser = subparsers.add_parser(
        "leaderboard",
        help="put training runs and bundles side by side",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", metavar="FOLDER", type=Path, nargs="+", help="of a run, as `explicate train` wrote it, or of a bundle"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="what to rank by (default: accuracy, f1_macro for labels, r2 for numbers)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "-o", "--format", choices=FORMATS, default="table", help="wide: all columns (default: table, in 100 columns)"
    )
    form.add_argument("--json", action="store_true", help="JSON, an object a recipe")
    form.add_argument("--csv", action="store_true", help="CSV, a line a recipe")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page that links the runs' reports, too")
    parser.set_defaults(run=run, extra="standards")


def run(arguments: argparse.Namespace) -> int:
    """Reads, ranks and prints; returns the exit code."""
    import json

    from explicate_standards.leaderboard.boards import as_csv, as_documents, as_page, as_text
    from explicate_standards.leaderboard.bundles import read_entry
    from explicate_standards.leaderboard.ranking import ranked

    directories = list(dict.fromkeys(path.resolve() for path in arguments.runs))
    _say(f"reading {len(directories)} runs and bundles")
    groups = ranked([read_entry(directory) for directory in directories], arguments.metric)
    if arguments.html is not None:
        arguments.html.write_text(as_page(groups, arguments.html.resolve()), encoding="utf-8")
        _say(f"wrote {arguments.html}")
    form = "json" if arguments.json else "csv" if arguments.csv else arguments.format
    if form == "json":
        print(json.dumps(as_documents(groups), indent=2, allow_nan=False))
    elif form == "csv":
        print(as_csv(groups), end="")
    else:
        print(as_text(groups, wide=form == "wide"))
    return 0


def _say(line: str) -> None:
    print(f"leaderboard: {line}", file=sys.stderr, flush=True)

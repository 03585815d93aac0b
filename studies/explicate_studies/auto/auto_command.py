"""The subcommand `explicate auto`: from data to the model to take."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any  # what is imported only when the command runs

from explicate.cli.main import EXIT_INTERRUPTED

_DESCRIPTION = """Finds the model to take for some data in a given time, and says why in one paragraph.

It types the data as explicate train does (a table, a column of texts, pictures), and trains what fits: of a table a
linear model, gradient-boosted trees, and networks with and without [interpretability]; of texts and pictures networks,
beside a simple model. The time that is left tunes the best one. All of them are judged on validation rows. Of those
that chance does not tell from the best one, the one whose explanations are cheapest wins. The winner is exported,
checked once on the held-out rows (by a standard, if there is one), and is ready for explicate serve.

--minutes is kept: schedules are shortened to the steps that fit, by rates that are measured. Export and check come
behind it, and it is said how long they take. After Ctrl-C it ends with what there is; after kill -9 or Ctrl-C the same
command goes on, and more --minutes add to those before."""

_EXAMPLES = """examples:
  explicate auto customers.csv --label churn                     20 minutes; all goes to runs/customers-auto
  explicate auto credit --minutes 5                              a ready set, or a config that explicate train takes
  explicate auto reviews.csv --label stars --text review         where the column of texts is not found by itself
  explicate auto photos/ --minutes 60                            a folder of pictures for each class
  explicate auto customers.csv --label churn --ignore refund     without a column that knows the answer
  explicate auto customers.csv --label churn --standard standard.toml
  explicate auto customers.csv --label churn --check             read the data, print the plan, and stop

the folder:
  report.html      the paragraph, what was tried, the leaderboard     candidates/   their run directories and logs
  leaderboard.*    all of them on the held-out rows                   repository/   the winner's bundle
  result.json      the same for programs                              tuning/       the study of the best network

stdout has the candidates, the leaderboard, the paragraph, and last the bundle (--json: result.json).
Exit codes: 0 done, 1 not published, for the winner does not meet the standard or has learnt nothing, 2 wrong usage."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `auto` to the command line; imports nothing heavy."""
    parser = subparsers.add_parser(
        "auto",
        help="find the model to take for some data in a given time, and say why",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", metavar="DATA", help="a file, a folder, a ready set (credit, digits) or a TOML config")
    parser.add_argument("--label", metavar="COLUMN", help="the column to predict; several 0/1 columns with commas")
    parser.add_argument("--minutes", type=float, default=20.0, metavar="M", help="time to find it (default: 20)")
    parser.add_argument("--standard", type=Path, metavar="FILE", help="the standard that the winner must meet")
    parser.add_argument(
        "--allow-unmet", action="store_true", help="publish it even if it does not, with that on record"
    )
    parser.add_argument("--kind", metavar="KIND", help="what the data are (table, text, …), instead of what is found")
    parser.add_argument("--text", metavar="COLUMN", help="the column with the texts")
    parser.add_argument(
        "--task", metavar="NAME", help="classification, multi-label or regression, where it is not clear"
    )
    parser.add_argument("--ignore", metavar="COLUMNS", default="", help="of a table: not to learn from, with commas")
    parser.add_argument(
        "--metric", metavar="NAME", default="auto", help="the validation metric (default: as training has)"
    )
    parser.add_argument("--only", metavar="NAMES", default="", help="candidates to try, such as trees,network")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of splits and models (default: 0)")
    parser.add_argument("--name", metavar="NAME", help="of the model in the repository (default: that of the data)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="the folder (default: runs/NAME-auto)")
    parser.add_argument("--repository", type=Path, metavar="DIR", help="of bundles (default: repository in the folder)")
    parser.add_argument("--check", action="store_true", help="read the data, print the plan, and stop")
    parser.add_argument("--json", action="store_true", help="print result.json")
    parser.set_defaults(run=run, extra="studies")


def run(args: argparse.Namespace) -> int:
    """Runs `explicate auto` and returns its exit code."""
    begin_s = time.monotonic()  # before what is heavy is imported: that is part of the time
    from explicate_studies.auto.whole import Request, auto

    ignored = tuple(filter(None, (name.strip() for name in args.ignore.split(","))))
    only = tuple(filter(None, (name.strip() for name in args.only.split(","))))
    request = Request(
        data=args.data,
        label=args.label,
        text=args.text,
        kind=args.kind,
        task=args.task,
        ignored=ignored,
        seed=args.seed,
        minutes=args.minutes,
        standard=args.standard,
        allow_unmet=args.allow_unmet,
        metric=args.metric,
        only=only,
        name=args.name,
        output=args.output,
        repository=args.repository,
        check=args.check,
    )
    ended = auto(request, say=_say, begin_s=begin_s)
    if ended is None:
        return 0
    _print(ended, as_json=args.json)
    return EXIT_INTERRUPTED if ended.interrupted else 0 if ended.published.bundle is not None else 1


def _print(ended: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(ended.result, indent=2, ensure_ascii=False))
        return
    print(f"{ended.table}\n\n{ended.board}\n\n{ended.paragraph}\n")
    _say(f"the report: {ended.report}")
    if ended.published.bundle is not None:
        _say(f"next: explicate serve --repository {ended.published.bundle.parents[1]}")
        print(ended.published.bundle)
    sys.stdout.flush()


def _say(line: str) -> None:
    print(f"auto: {line}", file=sys.stderr, flush=True)

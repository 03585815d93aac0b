"""`explicate check`: whether a bundle meets a standard."""

import argparse
import sys
from pathlib import Path

from explicate_standards.standard.waiving import add_waiver_options

_DESCRIPTION = """\
Judge a bundle by a benchmark standard, a file that says what a model must reach before it serves: metrics on all test
rows and on slices of them, no worse than the model that is live, how many rows it may newly get wrong, suites of cases
that it must get right, how well it can be explained. A requirement is met if the bound of its figure clears the line,
not met if the other bound does not either, and else it cannot be told from these rows.

  [standard]
  name = "reviews-production"
  version = "1"
  require = [
    { id = "accuracy", metric = "accuracy", at_least = 0.80 },
    { id = "no-worse", metric = "accuracy", against = "live", margin = 0.022 },
    { id = "worst-slice", metric = "accuracy", slices = "all", at_least = 0.70 },
  ]
  [slices]
  short = "words < 12"
  negation = "any_word(not, never, n't)"

--plan says before any training what a number of test rows can prove.
"""
_EPILOG = """\
Prints a table on stdout, or one JSON object with --json, and what it does on stderr.
Exit codes: 0 met or waived, 1 not met, 2 cannot tell, or wrong usage.

examples:
  explicate check repository/reviews/2 --standard standard.toml --run runs/reviews
  explicate check repository/reviews/2 --standard standard.toml --rows mine.jsonl --against repository/reviews/1
  explicate check repository/reviews/2 --standard standard.toml --run runs/reviews --junit check.xml --json
  explicate check repository/reviews/2 --standard standard.toml --run runs/reviews \\
      --waive typos --why "fixed in version 3" --until 2027-03-31
  explicate check --plan 1000
  explicate check --starter-suite sentiment --positive great --negative worse > behaviour.toml
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand; imports nothing heavy."""
    parser = subparsers.add_parser(
        "check",
        help="judge a bundle by a benchmark standard",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundle", metavar="BUNDLE", type=Path, nargs="?", help="folder of a version, such as repository/reviews/2"
    )
    parser.add_argument("--standard", metavar="FILE", type=Path, help="standard.toml")
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--run", metavar="DIR", type=Path, dest="run_directory", help="run whose held-out rows are asked"
    )
    given.add_argument("--rows", metavar="FILE", type=Path, help="JSON lines with inputs and labels")
    parser.add_argument(
        "--against",
        metavar="BUNDLE",
        type=Path,
        help='what "live" means (default: the version labelled live beside the bundle, else the newest other one)',
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write the judgements as JUnit XML, too")
    parser.add_argument("--plan", metavar="ROWS", type=int, help="say what that many test rows can prove, and stop")
    parser.add_argument(
        "--plan-accuracy", metavar="SHARE", type=float, default=0.84, help="of the model planned for (%(default)s)"
    )
    parser.add_argument(
        "--plan-confidence", metavar="C", type=float, default=0.95, help="of the standard planned for (%(default)s)"
    )
    parser.add_argument(
        "--starter-suite", metavar="NAME", help="print templates of cases to begin with (sentiment), and stop"
    )
    parser.add_argument("--positive", metavar="LABEL", default="positive", help="of the starter suite (%(default)s)")
    parser.add_argument("--negative", metavar="LABEL", default="negative", help="of the starter suite (%(default)s)")
    add_waiver_options(parser)
    parser.set_defaults(run=run, extra="standards")


def run(arguments: argparse.Namespace) -> int:
    """Judges and prints; returns the exit code."""
    from explicate.errors import UsageError

    if arguments.plan is not None:
        return _plan(arguments)
    if arguments.starter_suite is not None:
        from explicate_standards.outcomes.suite_templates import starter

        print(starter(arguments.starter_suite, positive=arguments.positive, negative=arguments.negative), end="")
        return 0
    for name in ("bundle", "standard"):
        if getattr(arguments, name) is None:
            told = "the folder of a bundle" if name == "bundle" else "--standard FILE"
            raise UsageError(f"there is nothing to judge: give {told}, or ask what rows can prove with --plan ROWS")
    return _check(arguments)


def _plan(arguments: argparse.Namespace) -> int:
    from explicate.errors import UsageError
    from explicate_standards.standard.plan import plan_lines

    if arguments.plan < 2:
        raise UsageError(f"--plan must be at least 2 rows, not {arguments.plan}")
    for name in ("plan_accuracy", "plan_confidence"):
        if not 0 < getattr(arguments, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be between 0 and 1, not {getattr(arguments, name):g}")
    print("\n".join(plan_lines(arguments.plan, arguments.plan_accuracy, arguments.plan_confidence)))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    import json

    from explicate_bundle.standard.verdicts import Verdict
    from explicate_standards.standard.check import check
    from explicate_standards.standard.standard import read_standard
    from explicate_standards.standard.verdict_report import as_document, as_junit, as_table
    from explicate_standards.standard.waiving import excused, given_waivers

    standard = read_standard(arguments.standard)
    waivers = given_waivers(arguments)
    rows = _rows(arguments, standard.test, standard.path.parent)
    checked = excused(check(standard, arguments.bundle, rows, against=arguments.against, say=_say), waivers)
    if arguments.junit is not None:
        arguments.junit.write_text(as_junit(checked), encoding="utf-8")
        _say(f"wrote {arguments.junit}")
    print(json.dumps(as_document(checked), indent=2, allow_nan=False) if arguments.json else as_table(checked))
    return {Verdict.NOT_MET: 1, Verdict.CANNOT_TELL: 2}.get(checked.verdict, 0)


def _rows(arguments: argparse.Namespace, test: str, folder: Path) -> Path:
    """The test rows: those that are given, or the file that the standard names."""
    from explicate.errors import UsageError
    from explicate_bundle.standard.standard_file import HELD_OUT
    from explicate_standards.held_out_rows import rows_of_run

    if arguments.rows is not None:
        return Path(arguments.rows)
    if arguments.run_directory is not None:
        return rows_of_run(arguments.run_directory)
    if test != HELD_OUT:
        return folder / test
    raise UsageError(
        "the standard is about the held-out rows of the run that the bundle was made of: give it with --run DIR, or "
        "rows with --rows FILE"
    )


def _say(line: str) -> None:
    print(f"check: {line}", file=sys.stderr, flush=True)

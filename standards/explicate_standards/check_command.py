"""`explicate check`: whether a bundle meets a standard."""

import argparse
import sys
from pathlib import Path

from explicate_standards.standard.waiving import add_seeds_option, add_waiver_options

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

Asked for the rows of --run or --rows, the model answers them anew: how long that takes is said first, and after a break
the same command goes on where it was. Without either, what is on record in the bundle is judged by the standard, as a
server does it. --plan says before any training what a number of test rows can prove.
"""
_EPILOG = """\
Prints a table on stdout, or one JSON object with --json, and what it does on stderr.
Exit codes: 0 met or waived, 1 not met, 2 cannot tell, or wrong usage.

examples:
  explicate check repository/reviews/2 --standard standard.toml --run runs/reviews
  explicate check repository/reviews/2 --standard standard.toml
  explicate check repository/reviews/2 --standard standard.toml --run runs/reviews --confusion
  explicate check repository/reviews/2 --standard standard.toml --run runs/s1 --seeds runs/s1 runs/s2 runs/s3
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
    add_seeds_option(parser)
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "fp16", "int8"),
        default="auto",
        help="which graph of the bundle is judged (default: what a server on this machine's CPU would take)",
    )
    parser.add_argument(
        "--confusion", action="store_true", help="tell for each slice what is taken for what; --json always has it"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write the judgements as JUnit XML, too")
    _add_without_a_model(parser)
    add_waiver_options(parser)
    parser.set_defaults(run=run, extra="standards")


def _add_without_a_model(parser: argparse.ArgumentParser) -> None:
    """What needs no model: what rows can prove, and cases to begin with."""
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

    from explicate.errors import UsageError
    from explicate_bundle.standard.verdicts import Verdict
    from explicate_standards.standard.check import check
    from explicate_standards.standard.recorded import check_recorded
    from explicate_standards.standard.standard import read_standard
    from explicate_standards.standard.verdict_report import as_document, as_junit, as_table, confusion_tables
    from explicate_standards.standard.waiving import excused, given_waivers

    standard = read_standard(arguments.standard)
    waivers = given_waivers(arguments)
    rows = _rows(arguments, standard.test, standard.path.parent)
    if rows is None:
        if arguments.confusion or arguments.seeds or arguments.precision != "auto":
            raise UsageError(
                "--confusion, --seeds and --precision are about a model that is asked: give --run DIR or --rows FILE"
            )
        _say("judging what is on record; with --run DIR or --rows FILE the model is asked anew")
        checked = check_recorded(standard, arguments.bundle, against=arguments.against)
    else:
        checked = check(
            standard,
            arguments.bundle,
            rows,
            against=arguments.against,
            of_run=arguments.rows is None and arguments.run_directory is not None,
            seeds=arguments.seeds,
            precision="" if arguments.precision == "auto" else arguments.precision,
            say=_say,
        )
    checked = excused(checked, waivers)
    if arguments.junit is not None:
        _write(arguments.junit, as_junit(checked))
    confusion = f"{confusion_tables(checked)}\n\n" if arguments.confusion and not arguments.json else ""
    told = json.dumps(as_document(checked), indent=2, allow_nan=False) if arguments.json else as_table(checked)
    print(confusion + told)
    return {Verdict.NOT_MET: 1, Verdict.CANNOT_TELL: 2}.get(checked.verdict, 0)


def _write(path: Path, content: str) -> None:
    from explicate.errors import UsageError

    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--junit: {path} cannot be written ({error.strerror})") from None
    _say(f"wrote {path}")


def _rows(arguments: argparse.Namespace, test: str, folder: Path) -> Path | None:
    """The test rows: those that are given, or the file that the standard names; None to judge what is on record."""
    from explicate_bundle.standard.standard_file import HELD_OUT
    from explicate_standards.held_out_rows import rows_of_run

    if arguments.rows is not None:
        return Path(arguments.rows)
    if arguments.run_directory is not None:
        return rows_of_run(arguments.run_directory)
    return None if test == HELD_OUT else folder / test


def _say(line: str) -> None:
    print(f"check: {line}", file=sys.stderr, flush=True)

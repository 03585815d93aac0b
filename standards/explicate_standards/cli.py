"""`explicate evaluate`, and with `check_command` the command line of this package."""

import argparse
import sys
from pathlib import Path

from explicate_standards import check_command
from explicate_standards.leaderboard import leaderboard_command

_DESCRIPTION = """\
Measure how well a bundle's model can be explained, on held-out inputs, as a server explains it: whether it is right
with parts of its input missing, how much a sum of the parts' effects says of it, what an explanation costs, whether the
parts that are named first carry the answer, whether explanations stay where the input hardly changes, and more. Every
figure has a 95 % interval (bootstrap over the inputs).

The inputs are the held-out rows of the run that the bundle was made of (--run), or a file of the same form (--rows):
one JSON object a line with "text" (and "text_pair"), "row" or the name of a file, and "label", "labels" or "value". A
person's grounds may be given as "rationale", a list of words or of [first, end] spans; plausibility is measured then.

It says first what it will take. When it is interrupted, the same command goes on where it was.
"""
_EPILOG = """\
Prints a table on stdout, or one JSON object with --json, and what it does on stderr.
Exit codes: 0 measured, 1 the work could not be done, 2 wrong usage.

examples:
  explicate evaluate repository/reviews/1 --run runs/reviews
  explicate evaluate repository/reviews/1 --rows mine.jsonl --inputs 50
  explicate evaluate repository/reviews/1 --run runs/reviews --metrics additive_r2,evaluations_per_player --json
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommands; imports nothing heavy."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure how well a bundle's model can be explained",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of a version, such as repository/reviews/1")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--run", metavar="DIR", type=Path, dest="run_directory", help="run that it was made of")
    given.add_argument("--rows", metavar="FILE", type=Path, help="JSON lines with inputs and labels")
    parser.add_argument(
        "--inputs", metavar="N", type=int, default=200, help="inputs to measure on, drawn at random (%(default)s)"
    )
    parser.add_argument("--metrics", metavar="IDS", help="only these, with commas between them (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object, with the figures of each input")
    parser.set_defaults(run=run, extra="standards")
    check_command.register(subparsers)
    leaderboard_command.register(subparsers)


def run(arguments: argparse.Namespace) -> int:
    """Measures and prints; returns the exit code."""
    from explicate.errors import UsageError
    from explicate_standards.held_out_rows import rows_of_run

    if arguments.inputs < 1:
        raise UsageError(f"--inputs must be at least 1, not {arguments.inputs}")
    if arguments.run_directory is None and arguments.rows is None:
        raise UsageError(
            "there is nothing to measure on: give the run that the bundle was made of with --run DIR, or held-out rows "
            "with --rows FILE"
        )
    path = arguments.rows or rows_of_run(arguments.run_directory)
    _measure(arguments, path)
    return 0


def _measure(arguments: argparse.Namespace, path: Path) -> None:
    import json

    from explicate_standards.evaluated_model import open_published
    from explicate_standards.evaluation import chosen_metrics, chosen_names
    from explicate_standards.held_out_rows import is_of_other_data, read_rows
    from explicate_standards.measuring import measure
    from explicate_standards.told import as_document, as_table

    metrics = chosen_metrics(None if arguments.metrics is None else chosen_names(arguments.metrics))
    _say(f"loading {arguments.bundle}")
    model = open_published(arguments.bundle)
    if arguments.run_directory is not None and is_of_other_data(arguments.run_directory, model):
        _say(f"note: {arguments.run_directory} is not on the bundle's data; the model may have learnt these rows")
    evaluation = measure(model, read_rows(path, model, count=arguments.inputs), metrics, say=_say)
    print(json.dumps(as_document(evaluation), indent=2, allow_nan=False) if arguments.json else as_table(evaluation))


def _say(line: str) -> None:
    print(f"evaluate: {line}", file=sys.stderr, flush=True)

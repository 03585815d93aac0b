"""The subcommand `explicate curve`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any  # what is imported only when the command runs

from explicate.cli.main import EXIT_INTERRUPTED

_DESCRIPTION = """Trains on 8, 32, 128 and 512 labels of each class, and says what more labels would buy.

Texts of one class each are trained in two ways: by full fine-tuning, and by the recipe for few labels ([few_shot]:
pairs of texts, then a linear layer). Tables and pictures are trained as the config says. Of each the report has the
test metric with its 95 % interval over the draws, and a line through all runs: twice the labels ≈ +x. Labels of a run
are those of its training and of its validation together; the test part is all of it, and chooses nothing.

Each run that is done is kept: after Ctrl-C, a crash or kill -9 the same command goes on, and more --seeds or --labels
add to those before. A run has 60 steps at least, as few rows need to be gone through more often."""

_EXAMPLES = """examples:
  explicate curve food-reviews                              a ready set, or a config that explicate train takes
  explicate curve reviews.csv --label stars --text review   a file; the kind is found, as explicate auto does
  explicate curve my.toml --labels 8,32 --seeds 3           a quick look
  explicate curve my.toml --check                           what would be run?

the folder (runs/NAME-curve):
  report.html    the drawing, the table, and what twice the labels buy     points/   a small file for each run
  curve.json     the same for programs                                     runs/     logs; the runs with --keep-runs

stdout has the table, the sentences, and last the folder (--json: curve.json)."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `curve` to the command line; imports nothing heavy."""
    parser = subparsers.add_parser(
        "curve",
        help="train on few and more labels, and say what twice the labels would buy",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", metavar="DATA", help="a file, a folder, a ready set (food-reviews) or a TOML config")
    parser.add_argument("--label", metavar="COLUMN", help="the column to predict, of a file")
    parser.add_argument("--text", metavar="COLUMN", help="the column with the texts, where it is not found")
    parser.add_argument("--kind", metavar="KIND", help="what the data are (table, text, …), instead of what is found")
    parser.add_argument("--task", metavar="NAME", help="classification, multi-label or regression")
    parser.add_argument(
        "--labels", metavar="N,N", default="8,32,128,512", help="labels of each class (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="draws of each size (default: 5)")
    parser.add_argument(
        "--recipes", metavar="NAMES", default="full,few-shot", help="full, few-shot (default: those that fit)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="the folder (default: the run's with -curve)")
    parser.add_argument(
        "--keep-runs", action="store_true", help="keep the run directories; a text's takes 90 MB or more"
    )
    parser.add_argument("--check", action="store_true", help="read the data, say what would be run, and stop")
    parser.add_argument("--json", action="store_true", help="print curve.json")
    parser.set_defaults(run=run, extra="studies")


def run(args: argparse.Namespace) -> int:
    """Runs `explicate curve` and returns its exit code."""
    from explicate.errors import UsageError
    from explicate_studies.auto.given_data import Asked, config_of
    from explicate_studies.curve.points import RECIPES, check_identity, plan
    from explicate_studies.study import locked

    labels = _sizes(args.labels)
    recipes = [name.strip() for name in args.recipes.split(",") if name.strip()]
    if unknown := [name for name in recipes if name not in RECIPES]:
        raise UsageError(f"--recipes: {unknown[0]!r} is not one of {', '.join(RECIPES)}")
    asked = Asked(args.data, label=args.label, text=args.text, kind=args.kind, task=args.task)
    config = config_of(asked, _say)
    folder = args.output or Path(f"{config.output.directory or f'runs/{Path(args.data).stem}'}-curve")
    wanted = plan(config, folder, labels=labels, seeds=args.seeds, recipes=recipes, keep_runs=args.keep_runs, say=_say)
    _say(
        f"{len(wanted.runs())} runs: {', '.join(map(str, wanted.labels))} labels {wanted.of}, {wanted.seeds} draws, "
        f"{' and '.join(RECIPES[name] for name in wanted.recipes)}; metric: {wanted.title} on the test part"
    )
    if args.check:
        return 0
    with locked(folder, "explicate curve"):
        check_identity(wanted)
        return _curve(wanted, as_json=args.json)


def _curve(wanted: Any, *, as_json: bool) -> int:
    from explicate_studies.curve.curve_report import summary, table, write_report
    from explicate_studies.curve.doubling import sentences
    from explicate_studies.curve.points import known_points, run_points

    interrupted = False
    try:
        for one in run_points(wanted, _say):
            _say(f"  {wanted.title} {one.score:.3f}, simple model {one.simple:.3f}, {one.seconds:.0f} s")
            write_report(known_points(wanted), wanted)
    except KeyboardInterrupt:
        interrupted = True
        _say("interrupted: the same command goes on")
    points = known_points(wanted)
    if points:
        report = write_report(points, wanted)
        if as_json:
            print(json.dumps(summary(points, wanted), indent=2, ensure_ascii=False))
        else:
            print("\n".join([table(points, wanted), "", *sentences(points, wanted), ""]))
        _say(f"the report: {report}")
    if not as_json:
        print(wanted.folder)
    sys.stdout.flush()
    return EXIT_INTERRUPTED if interrupted else 0


def _sizes(text: str) -> list[int]:
    from explicate.errors import UsageError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--labels must be numbers with commas, such as 8,32,128, not {text!r}") from None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

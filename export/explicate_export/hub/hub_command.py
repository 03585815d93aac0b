"""`explicate hub`: the folder of a bundle for the Hugging Face Hub."""

import argparse
import sys
from pathlib import Path

_DESCRIPTION = """\
Make the folder of a bundle for the Hugging Face Hub: README.md (the model card, with the figures in its front matter
as the Hub's model-index), the bundle in MODEL/VERSION/, and with --task a file in .eval_results, which shows the model
on the leaderboard of a benchmark data set. Nothing is uploaded.
"""
_EPILOG = """\
Prints the folder on stdout, and what to do next on stderr.
Exit codes: 0 written, 2 wrong usage.

examples:
  explicate hub repository/credit/2 --repo acme/credit --into hub/credit --license apache-2.0
  explicate hub repository/credit/2 --repo acme/credit --into hub/credit --dataset acme/loans --task loans_test
  hf upload acme/credit hub/credit .
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand; imports nothing heavy."""
    parser = subparsers.add_parser(
        "hub",
        help="make the folder of a bundle for the Hugging Face Hub",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of a version, such as repository/credit/2")
    parser.add_argument("--repo", metavar="NAME", required=True, help="repository of the Hub, such as acme/credit")
    parser.add_argument("--into", metavar="DIR", type=Path, required=True, help="folder to write; made when missing")
    parser.add_argument("--license", metavar="NAME", default="", help="as the Hub names it, such as apache-2.0")
    parser.add_argument("--dataset", metavar="NAME", default="", help="data set of the Hub that the test rows are of")
    parser.add_argument("--dataset-name", metavar="TEXT", default="", help="what to call data that are not on the Hub")
    parser.add_argument("--split", metavar="NAME", default="test", help="the part that was tested on (%(default)s)")
    parser.add_argument("--task", metavar="ID", default="", help="task of the benchmark: write .eval_results")
    parser.add_argument("--metric", metavar="NAME", default="", help="the figure of the task (default: accuracy, …)")
    parser.set_defaults(run=run, extra="export")


def run(arguments: argparse.Namespace) -> int:
    """Writes and says what next; returns the exit code."""
    from explicate_export.hub.hub_folder import HubOptions, write_hub_folder

    options = HubOptions(
        repo=arguments.repo,
        license=arguments.license,
        dataset=arguments.dataset,
        task=arguments.task,
        dataset_name=arguments.dataset_name,
        split=arguments.split,
        metric=arguments.metric,
    )
    for path in write_hub_folder(arguments.bundle, arguments.into, options):
        _say(f"wrote {path}")
    _say(f"next: hf upload {arguments.repo} {arguments.into} .")
    print(arguments.into)
    return 0


def _say(line: str) -> None:
    print(f"hub: {line}", file=sys.stderr, flush=True)

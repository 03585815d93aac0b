"""`explicate export` and `explicate bundle`: the command line of this package."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from explicate_export.hub import hub_command
from explicate_export.mlflow import command as mlflow_command
from explicate_export.sources import bundle_command
from explicate_export.sources.publication_arguments import add_extras, publication

_DESCRIPTION = """\
Turn a finished training run into a bundle that `explicate serve` can load.

The model becomes an ONNX graph (dynamic batch and length). Its answers are compared with torch's on held-out texts,
rows or images, in batches and alone; when a logit differs by more than 1e-4 (a regression's value by more than 1e-4
of the target's spread), nothing is published. A model that is not better than always the same answer is refused, too.
The bundle appears in DIR/MODEL/VERSION/ by one rename, whole or not at all: model.onnx, tokenizer.json (texts) or
background.npz and lime.npz (tables), golden.npz (inputs with torch's answers and with attributions, which a server
checks), manifest.json (digests of all files, schema, metrics, provenance) and MODEL_CARD.md. Published versions never
change.

Beside model.onnx, which is in fp32, a bundle can hold variants: model.fp16.onnx for GPUs, model.int8.onnx for small
machines. One is kept only if, on the golden inputs and in the server's runtime, it is off by at most 0.005 of a
probability (of a regression's spread) and 2 % of an input's attributions, keeps the order of all parts that model.onnx
tells apart, and is at most 0.52 of its size. What is left off is said with its figures, here and in the model card.
"""

_EPILOG = """\
Prints the bundle's folder on stdout and what it does on stderr.
Exit codes: 0 published, 1 refused (the model learnt nothing, the graph differs from torch or cannot be made), 2 wrong
usage.

examples:
  explicate export runs/reviews --repository repository
  explicate export runs/reviews --repository repository --name food-reviews --version 3
  explicate export runs/reviews --repository repository --evaluate --evaluate-inputs 50
  explicate export runs/reviews --repository repository --variants fp16,int8
  explicate serve --repository repository
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommands; imports nothing heavy."""
    bundle_command.register(subparsers)
    parser = subparsers.add_parser(
        "export",
        help="turn a training run into a bundle for the server",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_directory", metavar="RUN", type=Path, help="folder that `explicate train` wrote")
    parser.add_argument(
        "--repository", metavar="DIR", type=Path, required=True, help="folder of bundles; made when it is missing"
    )
    parser.add_argument("--name", metavar="MODEL", help="name of the model (default: the name of the run's folder)")
    parser.add_argument(
        "--version", metavar="N", type=int, help="version to publish (default: one above the highest there is)"
    )
    parser.add_argument(
        "--compare",
        metavar="N",
        type=int,
        default=256,
        help="held-out texts, rows or images to compare on (default: %(default)s)",
    )
    parser.add_argument(
        "--sign-key",
        metavar="FILE",
        type=Path,
        help="private key (PEM, elliptic curve) to sign the bundle with, for servers that run with --verify-key",
    )
    parser.add_argument(
        "--allow-trivial",
        action="store_true",
        help="publish a model even if it was not shown to be better than always the same answer",
    )
    add_extras(parser, inputs="held-out", reduced="texts and images")
    parser.set_defaults(run=run, extra="export")
    mlflow_command.register(subparsers)
    hub_command.register(subparsers)


def run(args: argparse.Namespace) -> int:
    """Exports and says where the bundle is; returns the exit code."""
    options = publication(args, args.name or args.run_directory.resolve().name)

    from explicate_export.export import export_run

    options = replace(options, allow_trivial=args.allow_trivial)
    path = export_run(args.run_directory, args.repository, options, say=_say)
    _say(f"published; next: explicate serve --repository {args.repository}")
    print(path)
    return 0


def _say(line: str) -> None:
    print(f"export: {line}", file=sys.stderr, flush=True)

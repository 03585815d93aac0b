"""What `explicate export` and `explicate bundle` both ask about the bundle that they publish."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from explicate_standards.standard.waiving import add_seeds_option, add_waiver_options, given_waivers

if TYPE_CHECKING:
    from explicate_export.export import ExportOptions


def add_extras(parser: argparse.ArgumentParser, *, inputs: str, reduced: str) -> None:
    """What a bundle can have besides, each at the cost of some minutes.

    `inputs` says whose that is measured on, `reduced` which large models get fp16 unless told otherwise.
    """
    parser.add_argument(
        "--evaluate",
        action="store_true",
        help="measure how well the model can be explained (`explicate evaluate`), for manifest, card and report",
    )
    parser.add_argument(
        "--evaluate-inputs",
        metavar="N",
        type=int,
        default=200,
        help=f"{inputs} inputs to measure that on (default: %(default)s)",
    )
    parser.add_argument(
        "--evaluate-metrics", metavar="IDS", help="only these of its metrics, with commas between them (default: all)"
    )
    _add_standard(parser)
    parser.add_argument(
        "--gradient",
        action="store_true",
        help="of a text model with a mask token: its gradient as a second graph as large as model.onnx, for the method "
        "integrated-gradients and for a first guess in streams",
    )
    parser.add_argument(
        "--variants",
        metavar="auto|none|NAMES",
        default="auto",
        help=f"other precisions to add, fp16 and int8 with a comma between them; auto: fp16 for models of {reduced} "
        "from 8 MB on (default: %(default)s)",
    )


def _add_standard(parser: argparse.ArgumentParser) -> None:
    """What the model is held to."""
    parser.add_argument(
        "--standard",
        metavar="FILE",
        type=Path,
        help="standard.toml that the model must meet (`explicate check`); its verdict goes on record in the bundle",
    )
    parser.add_argument(
        "--allow-unmet", action="store_true", help="publish a model that does not meet it, with that on record"
    )
    parser.add_argument(
        "--standard-rows",
        metavar="N",
        type=int,
        default=200,
        help="test rows that the bundle keeps with their answers, for a server to score again; 0: none (default: "
        "%(default)s, fewer where they take more than 8 MiB)",
    )
    add_waiver_options(parser)
    add_seeds_option(parser)


def publication(args: argparse.Namespace, model: str) -> "ExportOptions":
    """What the arguments say of the bundle; raises UsageError before anything heavy is imported."""
    from explicate_export.errors import UsageError
    from explicate_export.publish import check_target

    if args.compare < 1:
        raise UsageError(f"--compare must be at least 1, not {args.compare}")
    if args.evaluate_inputs < 1:
        raise UsageError(f"--evaluate-inputs must be at least 1, not {args.evaluate_inputs}")
    if args.standard_rows < 0:
        raise UsageError(f"--standard-rows must be at least 0, not {args.standard_rows}")
    if args.seeds and args.standard is None:
        raise UsageError("--seeds are for what a standard requires of seeds.METRIC: give --standard, too")
    waivers = given_waivers(args)
    check_target(args.repository, model, version=args.version)
    variants = _variants(args.variants)

    from explicate_export.export import ExportOptions
    from explicate_standards.evaluation import chosen_names

    return ExportOptions(
        model,
        args.version,
        args.compare,
        args.sign_key,
        variants=variants,
        evaluated_inputs=args.evaluate_inputs if args.evaluate else None,
        evaluated_metrics=None if args.evaluate_metrics is None else chosen_names(args.evaluate_metrics),
        standard=args.standard,
        allow_unmet=args.allow_unmet,
        waivers=waivers,
        seeds=tuple(args.seeds),
        kept_rows=args.standard_rows,
        gradient=args.gradient,
    )


def _variants(text: str) -> tuple[str, ...] | None:
    """The precisions that are asked for; None to leave it to the kind of model."""
    from explicate_export.errors import UsageError

    if text in ("auto", "none"):
        return None if text == "auto" else ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name == "bf16":
            raise UsageError("--variants cannot be bf16: ONNX Runtime does not compute it on a CPU; take fp16")
        if name not in ("fp16", "int8"):
            raise UsageError(f"--variants is {text!r}; it must be auto, none, fp16, int8 or fp16,int8")
    return names

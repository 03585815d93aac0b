"""`explicate bundle`: the command line for models that somebody else made."""

import argparse
import sys
from pathlib import Path

from explicate.errors import UsageError
from explicate_export.sources.publication_arguments import add_extras, publication

_DESCRIPTION = """\
Turn a model that you have already into a bundle that `explicate serve` can load.

MODEL is a Hugging Face directory with a fine-tuned classifier of texts, of pairs of texts or of pictures, as
save_pretrained() leaves it: model.safetensors or pytorch_model.bin (in parts, too), tokenizer.json or the files of a
slow tokenizer, preprocessor_config.json. Labels, limits and preprocessing come from its own files. No code of the
folder is run and nothing is unpickled. Or it is a model of a table's rows: a file of XGBoost (model.json, model.ubj) or
LightGBM (model.txt), or model.onnx with a bundle.toml beside it (docs/own-models.md); a model of scikit-learn comes by
explicate_export.from_sklearn(model, X, repository=DIR, name=NAME), and pickles are not read.

FILE has some inputs of the kind that the model will be asked about, 20 to 200 of them: CSV, JSON lines or Parquet
with a column "text" (and "text_pair"), or a folder of pictures. The model becomes an ONNX graph, whose answers are
compared with those of transformers, through the model's own tokenizer or preprocessing, on these inputs; when a logit
differs by more than 1e-4, nothing is published. Some of the inputs become the bundle's golden inputs, which a server
checks at load. For a table it has 200 rows or more, with a column for each that the model reads. With a column "label"
it is also measured how often the model is right on them.

The bundle appears in DIR/NAME/VERSION/ by one rename, whole or not at all, with MODEL_CARD.md and report.html.
"""

_EPILOG = """\
Prints the bundle's folder on stdout and what it does on stderr.
Exit codes: 0 published, 1 refused (the graph differs from the original or cannot be made), 2 wrong usage.

examples:
  explicate bundle ./my-bert --inputs reviews.csv --repository repository --name reviews
  explicate bundle ./my-bert --inputs reviews.csv --column text=body --column label=stars --repository repository
  explicate bundle ./nli --inputs nli.jsonl --column text=premise --column text_pair=hypothesis --repository repository
  explicate bundle ./my-vit --inputs photos/ --repository repository --name photos
  explicate bundle ./my-bert --inputs reviews.csv --labels negative,positive --max-tokens 256 --repository repository
  explicate bundle model.json --inputs rows.csv --labels stays,leaves --repository repository --name churn
  explicate bundle credit/model.onnx --inputs rows.csv --repository repository --name credit
  explicate serve --repository repository
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand; imports nothing heavy."""
    parser = subparsers.add_parser(
        "bundle",
        help="turn a model that you have already into a bundle for the server",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="folder or file of the model")
    parser.add_argument(
        "--inputs", metavar="FILE", type=Path, required=True, help="inputs for the model: a file of rows, or a folder"
    )
    parser.add_argument(
        "--repository", metavar="DIR", type=Path, required=True, help="folder of bundles; made when it is missing"
    )
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: the name of MODEL)")
    parser.add_argument(
        "--column",
        metavar="FIELD=COLUMN",
        action="append",
        default=[],
        help="the column of the inputs that has a field: text, text_pair, label or the path of a file (repeatable; "
        "default: the column with the field's name)",
    )
    _add_about_the_model(parser)
    _add_publication(parser)
    parser.set_defaults(run=run, extra="export")


def _add_about_the_model(parser: argparse.ArgumentParser) -> None:
    """What may be said of the model in its place."""
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="names of the outputs, with commas between them, in the place of the model's own",
    )
    parser.add_argument(
        "--objective",
        choices=("classification", "multi-label", "regression"),
        help="what the model predicts (default: as its config says, or one class; of one output a number)",
    )
    parser.add_argument("--target", metavar="NAME", help="name of the number that a regression predicts")
    parser.add_argument(
        "--max-tokens",
        metavar="N",
        type=int,
        help="tokens of a text that are read at most (default: what the model can)",
    )


def _add_publication(parser: argparse.ArgumentParser) -> None:
    """As `explicate export` has them."""
    parser.add_argument(
        "--version", metavar="N", type=int, help="version to publish (default: one above the highest there is)"
    )
    parser.add_argument(
        "--compare", metavar="N", type=int, default=256, help="inputs to compare on at most (default: %(default)s)"
    )
    parser.add_argument(
        "--sign-key",
        metavar="FILE",
        type=Path,
        help="private key (PEM, elliptic curve) to sign the bundle with, for servers that run with --verify-key",
    )
    add_extras(parser, inputs="given", reduced="texts and pictures")


def run(args: argparse.Namespace) -> int:
    """Bundles and says where the bundle is; returns the exit code."""
    from explicate_export.export import check_options
    from explicate_export.sources.bundling import bundle_model
    from explicate_export.sources.sources import BundleRequest

    options = publication(args, args.name or args.model.resolve().stem)
    check_options(args.repository, options)
    if args.max_tokens is not None and args.max_tokens < 8:
        raise UsageError(f"--max-tokens must be at least 8, not {args.max_tokens}")
    labels = None if args.labels is None else tuple(name.strip() for name in args.labels.split(","))
    request = BundleRequest(
        model=args.model,
        inputs=args.inputs,
        columns=dict(map(_mapped, args.column)),
        labels=labels,
        objective=args.objective,
        target=args.target,
        max_tokens=args.max_tokens,
        compared=args.compare,
    )
    published = bundle_model(request, args.repository, options, say=_say)
    _say(f"published; next: explicate serve --repository {args.repository}")
    print(published.folder)
    return 0


def _mapped(text: str) -> tuple[str, str]:
    field, mark, column = text.partition("=")
    if not (field and mark and column):
        raise UsageError(f"--column is {text!r}; it must be FIELD=COLUMN, such as text=review")
    return field, column


def _say(line: str) -> None:
    print(f"bundle: {line}", file=sys.stderr, flush=True)

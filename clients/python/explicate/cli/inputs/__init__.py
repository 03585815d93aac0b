"""What a command is asked about, wherever it comes from; `KINDS` has one object for each kind of input."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.cli.inputs import column_files
from explicate.cli.inputs.asked import Asked, InputKind
from explicate.cli.inputs.image_inputs import ImageInputs
from explicate.cli.inputs.row_inputs import RowInputs
from explicate.cli.inputs.text_inputs import TextInputs
from explicate.errors import UsageError
from explicate.inputs import Image, Input

if TYPE_CHECKING:
    from explicate.client import Client
    from explicate.model_info import ModelDescription

KINDS: dict[str, InputKind] = {"text": TextInputs(), "tabular": RowInputs(), "image": ImageInputs()}
"""By what the name of a model's kind begins with."""

*_FIRST, _LAST = (kind.inputs for kind in KINDS.values())
NOUNS = f"{', '.join(_FIRST)} or {_LAST}"
"""What the commands may ask about, for their helps."""

_CHOICES = "give " + "; for a model of ".join(
    kind.choices if name == "text" else f"{kind.plural} {kind.choices}" for name, kind in KINDS.items()
)


@dataclass(frozen=True)
class Given:
    """The inputs, lazily; `model` describes the model, None for plain texts, which need no description."""

    inputs: Iterator[Asked]
    model: ModelDescription | None = None


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """The options of every kind, and --jsonl, which takes them all."""
    for kind in KINDS.values():
        kind.add_options(parser)
    lines = "; ".join(kind.json_lines for kind in KINDS.values())
    parser.add_argument(
        "--column",
        metavar="NAME=COLUMN",
        dest="columns",
        action="append",
        default=[],
        help="of a Parquet or Arrow file: what the model reads as NAME is in this column, such as text=review",
    )
    parser.add_argument("--jsonl", metavar="FILE", help=f"read one input a line from FILE, as JSON: {lines}")


def examples(of: str) -> str:
    """The examples of every kind for a command, "predict_examples" or "explain_examples", a line each."""
    return "\n".join(f"  {example}" for kind in KINDS.values() for example in getattr(kind, of))


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError unless the input comes from exactly one place."""
    places = ["jsonl", *(name for kind in KINDS.values() for name in kind.places)]
    if sum(bool(getattr(arguments, name)) for name in places) != 1:
        raise UsageError(_CHOICES)
    if arguments.columns and not (arguments.file and column_files.is_of_columns(arguments.file)):
        raise UsageError("--column is for a Parquet or an Arrow file: give it with --file FILE")
    for kind in KINDS.values():
        kind.check(arguments)


def read(arguments: argparse.Namespace, client: Client, model: str) -> Given:
    """What was given. Unless it is plain texts, the server is asked what the model reads.

    It is asked for plain texts too if the answer is CSV, whose columns depend on what the model predicts. Raises
    UsageError for a model that reads something else.
    """
    if arguments.file and column_files.is_of_columns(arguments.file):
        return _of_columns(arguments, client.get_model(model, version=arguments.version, label=arguments.label))
    given = next((kind for kind in KINDS.values() if kind.is_given(arguments)), None)
    if given is not None and not given.needs_model and arguments.format != "csv":
        return Given(given.read(arguments, None))
    description = client.get_model(model, version=arguments.version, label=arguments.label)
    kind = kind_of(description)
    if kind is None or given not in (None, kind):
        of, wanted = kind.plural if kind else description.status.kind, given.plural if given else "these"
        raise UsageError(f"{model} is a model of {of}, not of {wanted}: {_CHOICES}")
    return Given(kind.read(arguments, description), description)


def baseline(arguments: argparse.Namespace, given: Given) -> Input | None:
    """What --baseline says of inputs of a kind; None where it was not given.

    Raises UsageError for a file that cannot be read, or a row that is none.
    """
    written: str | None = arguments.baseline
    if written is None:
        return None
    if written.startswith("@"):
        return read_file(Path(written[1:]))
    kind = KINDS["text"] if given.model is None else kind_of(given.model)
    return written if kind is None else kind.baseline(written, given.model)


def _of_columns(arguments: argparse.Namespace, model: ModelDescription) -> Given:
    kind = kind_of(model)
    if kind is None:
        raise UsageError(f"{model.status.model} is a model of {model.status.kind}, which is not known here")
    return Given(column_files.read(arguments.file, arguments.columns, model, kind), model)


def kind_of(model: ModelDescription) -> InputKind | None:
    """The kind of input that a model reads; None for one that this client does not know."""
    return KINDS.get(model.status.kind.partition("-")[0])


def read_file(path: Path) -> Input:
    """A row or a pair from JSON, the text of a file of UTF-8, or the image that any other file is.

    Raises UsageError for a file that cannot be read, or JSON of another shape.
    """
    try:
        if path.suffix == ".json":
            held = json.loads(path.read_text(encoding="utf-8-sig"))
            if isinstance(held, dict) and held.keys() == {"text", "text_pair"}:
                return (str(held["text"]), str(held["text_pair"]))
            if isinstance(held, dict):
                return held
            raise UsageError(f"{path} must hold one JSON object: a row, or a pair with text and text_pair")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    try:
        return content.decode("utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError:
        return Image(content, str(path))

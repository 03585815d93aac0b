"""What a command is asked about, wherever it comes from: texts, pairs of texts, rows of a table or images."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explicate.cli import images, table_rows, texts
from explicate.cli.asked import Asked
from explicate.errors import UsageError
from explicate.inputs import MAX_IMAGE_BYTES

if TYPE_CHECKING:
    from explicate.client import Client
    from explicate.model_info import ModelDescription

_PLACES = ("texts", "file", "images", "csv", "jsonl", "row")
_READS = {"text": "texts", "tabular": "tables", "image": "images"}
_CHOICES = (
    "give texts as arguments, or - for stdin, or --file FILE or --jsonl FILE;"
    " for a model of tables --csv FILE, --jsonl FILE or --row 'column=value,...';"
    " for a model of images --image FILE or --jsonl FILE"
)


@dataclass(frozen=True)
class Given:
    """The inputs, lazily; `model` describes the model, None for plain texts that need no description."""

    inputs: Iterator[Asked]
    model: ModelDescription | None = None


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Texts, --text-pair, --file, --image, --csv, --jsonl and --row."""
    texts.add_text_options(parser)
    images.add_image_options(parser)
    table_rows.add_row_options(parser)


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError unless the input comes from exactly one place."""
    if sum(bool(getattr(arguments, name)) for name in _PLACES) != 1:
        raise UsageError(_CHOICES)
    texts.check_pairs(arguments)


def read(arguments: argparse.Namespace, client: Client, model: str) -> Given:
    """What was given. Unless it is plain texts, the server is asked what the model reads.

    Of those too for CSV, whose columns depend on what the model predicts. Raises UsageError for a model that reads
    something else.
    """
    plain = bool(arguments.texts or arguments.file)
    if plain and arguments.format != "csv":
        return Given(texts.texts(arguments))
    description = client.get_model(model, version=arguments.version, label=arguments.label)
    reads = description.status.kind.partition("-")[0]
    wanted = "text" if plain else "image" if arguments.images else "tabular" if not arguments.jsonl else reads
    if reads != wanted or reads not in _READS:
        of = _READS.get(reads, description.status.kind)
        raise UsageError(f"{model} is a model of {of}, not of {_READS.get(wanted, 'these')}: {_CHOICES}")
    return Given(_inputs(arguments, description, reads), description)


def _inputs(arguments: argparse.Namespace, model: ModelDescription, reads: str) -> Iterator[Asked]:
    if reads == "tabular":
        return table_rows.rows(arguments, model.columns)
    if reads == "image":
        max_bytes = model.limits.max_image_bytes or MAX_IMAGE_BYTES
        if arguments.images:
            return images.images(arguments.images, max_bytes)
        return images.json_images(arguments.jsonl, max_bytes)
    return texts.json_texts(arguments.jsonl) if arguments.jsonl else texts.texts(arguments)

"""What a command is asked about, wherever it comes from: texts or rows of a table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explicate.commands import table_rows, texts
from explicate.commands.asked import Asked
from explicate.errors import UsageError

if TYPE_CHECKING:
    from explicate.client import Client
    from explicate.model_info import ModelDescription

_TABLES = ("csv", "jsonl", "row")
_CHOICES = (
    "give texts as arguments, or - for stdin, or --file FILE;"
    " for a model of tables --csv FILE, --jsonl FILE or --row 'column=value,...'"
)


@dataclass(frozen=True)
class Given:
    """The texts or rows, lazily; `model` describes the model of rows, None for texts."""

    inputs: Iterator[Asked]
    model: ModelDescription | None = None


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Texts, --file, --csv, --jsonl and --row."""
    texts.add_text_options(parser)
    table_rows.add_row_options(parser)


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError unless the input comes from exactly one place."""
    if sum(bool(getattr(arguments, name)) for name in ("texts", "file", *_TABLES)) != 1:
        raise UsageError(_CHOICES)


def read(arguments: argparse.Namespace, client: Client, model: str) -> Given:
    """What was given; rows are typed by the columns of the model, for which the server is asked."""
    if not any(getattr(arguments, name) for name in _TABLES):
        return Given(texts.texts(arguments))
    description = _description(arguments, client, model)
    if not description.columns:
        raise UsageError(f"{model} is a model of texts, not of tables: {_CHOICES}")
    return Given(table_rows.rows(arguments, description.columns), description)


def _description(arguments: argparse.Namespace, client: Client, model: str) -> ModelDescription:
    version = arguments.version
    if arguments.label is not None:
        # A label that nothing has is left for the server to refuse, when it is asked about the rows.
        statuses = [s for s in client.list_models() if s.model == model and arguments.label in s.labels]
        version = statuses[0].version if statuses else None
    return client.get_model(model, version=version)

"""What stands in for absent players, between the wire and the domain."""

from typing import Any  # fields have values of several types

from google.protobuf.struct_pb2 import NULL_VALUE

from explicate.v1 import baseline_pb2 as messages
from explicate.v1 import explanation_pb2 as explanation_messages
from explicate.v1 import table_pb2 as table_messages
from explicate_bundle.model_inputs import CellValue, ModelInput, TabularInput, TextInput
from explicate_server.inference.asking.baselines import Baseline
from explicate_server.modalities.modality import BASELINE_PATH
from explicate_server.rpc.requests import model_input


def baseline(message: explanation_messages.ExplainOptions) -> Baseline | None:
    """The baseline as given; None where none is.

    Raises:
        InvalidRequest: it has a cell without a value.
    """
    if not message.HasField("baseline"):
        return None
    match message.baseline.WhichOneof("kind"):
        case "name":
            return Baseline(name=message.baseline.name)
        case "colour":
            return Baseline(colour=message.baseline.colour)
        case None:
            return Baseline()
        case _:
            return Baseline(value=model_input(message.baseline, BASELINE_PATH))


def baseline_message(resolved: Baseline | None) -> messages.Baseline | None:
    """The baseline as resolved; of a file its digest."""
    if resolved is None or resolved.value is None:
        return resolved and messages.Baseline(name=resolved.name or None, colour=resolved.colour or None)
    fields: dict[str, Any] = {resolved.value.field: _content(resolved.value)}
    return messages.Baseline(**fields)


def _content(value: ModelInput) -> dict[str, Any]:
    match value:
        case TextInput(text, text_pair):
            return {"text": text, "text_pair": text_pair}
        case TabularInput(cells):
            return {"cells": {name: cell_message(cell) for name, cell in cells.items()}}
        case _:
            return {"sha256": value.digest.hex()}


def baseline_used(resolved: Baseline | None) -> messages.BaselineUsed | None:
    """What an explanation says of it; None where none was asked for."""
    if resolved is None:
        return None
    return messages.BaselineUsed(name=resolved.described, rows=resolved.rows, sha256=resolved.sha256)


def cell_message(value: CellValue) -> table_messages.Cell:
    """A value of a column."""
    if value is None:
        return table_messages.Cell(missing=NULL_VALUE)
    return table_messages.Cell(category=value) if isinstance(value, str) else table_messages.Cell(number=value)

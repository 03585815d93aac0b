"""Requests to domain: what cannot be understood is refused here, with the path of its field."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from google.protobuf.message import Message

from explicate.v1 import inference_service_pb2 as inference_messages
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2 as table_messages
from explicate.v1.baseline_pb2 import Baseline
from explicate_bundle.model_inputs import CellValue, ImageInput, ModelInput, TabularInput, TextInput
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.modalities.rows.packed_table import CategoryValues, NumberValues, PackedTable
from explicate_server.runtime.batcher import Priority

Request = (
    messages.PredictRequest | messages.ExplainRequest | messages.StreamExplainRequest | messages.ExplainTableRequest
)


class InputsDigest:
    """SHA-256 of a request's inputs, computed when it is first asked for: most requests never are.

    A prediction of one input has the digest of an explanation of it.
    """

    def __init__(self, request: Request | Callable[[], Request]) -> None:
        """``request`` has the inputs, or gives the one that has."""
        self._request = request

    def __call__(self) -> bytes:
        """32 bytes."""
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        return _digest(_inputs(self._request() if callable(self._request) else self._request))


def _inputs(request: Request) -> Iterable[Message]:
    if isinstance(request, messages.ExplainRequest | messages.StreamExplainRequest):
        return [request.spec.input]
    if isinstance(request, messages.ExplainTableRequest) or request.HasField("table"):
        return [request.table]
    return request.inputs


def _digest(inputs: Iterable[Message]) -> bytes:
    digest = sha256()
    for item in inputs:
        digest.update(item.SerializeToString(deterministic=True))  # the cells of a row have no order of their own
    return digest.digest()


_BULK = inference_messages.PRIORITY_BULK
_PRIORITIES = frozenset(inference_messages.Priority.values())


def model_inputs(messages: Sequence[inference_messages.Input]) -> list[ModelInput]:
    """The inputs of a request.

    Raises:
        InvalidRequest: as `model_input` does.
    """
    return [model_input(message, f"inputs[{index}]") for index, message in enumerate(messages)]


def model_input(message: inference_messages.Input | Baseline, field_path: str) -> ModelInput:
    """An input, or a baseline that is formed like one.

    Raises:
        InvalidRequest: it is empty, or has a cell without a value.
    """
    match message.WhichOneof("kind"):
        case "text":
            pair = message.text.text_pair if message.text.HasField("text_pair") else None
            return TextInput(message.text.text, pair)
        case "tabular":
            return TabularInput(_cells(message.tabular.cells.items(), f"{field_path}.tabular"))
        case "image":
            return ImageInput(message.image.content)
        case _:
            raise InvalidRequest([Violation(field_path, "has no content; set text, tabular or image")])


def _cells(cells: Iterable[tuple[str, table_messages.Cell]], path: str) -> dict[str, CellValue]:
    values: dict[str, CellValue] = {}
    for name, cell in cells:
        match cell.WhichOneof("kind"):
            case "number":
                values[name] = cell.number
            case "category":
                values[name] = cell.category
            case "missing":
                values[name] = None
            case _:
                problem = "has no value; set number, category or missing"
                raise InvalidRequest([Violation(f"{path}.cells[{name}]", problem)])
    return values


def packed_table(message: table_messages.Table) -> PackedTable:
    """A table in packed form."""
    return PackedTable(message.rows, [(column.name, _column_values(column)) for column in message.columns])


def _column_values(column: table_messages.TableColumn) -> NumberValues | CategoryValues | None:
    match column.WhichOneof("values"):
        case "numbers":
            return NumberValues(np.array(column.numbers.values, dtype=np.float64))
        case "categories":
            codes = np.array(column.categories.codes, dtype=np.int64)
            return CategoryValues(tuple(column.categories.names), codes)
        case _:
            return None


def predict_priority(request: inference_messages.PredictRequest) -> Priority:
    """The class of a prediction."""
    return Priority.BULK if _checked_priority(request.priority) == _BULK else Priority.PREDICT


def explain_priority(asked: inference_messages.ExplainSpec | inference_messages.ExplainTableRequest) -> Priority:
    """The class of an explanation."""
    return Priority.BULK if _checked_priority(asked.priority) == _BULK else Priority.EXPLAIN


def _checked_priority(priority: Any) -> Any:
    if priority not in _PRIORITIES:
        raise InvalidRequest([Violation("priority", f"{priority} is not a value of this enum")])
    return priority

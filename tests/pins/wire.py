"""Calls to a real server through the generated stubs, and their answers as JSON that is the same everywhere.

The one place of the pins that builds requests, so that a changed field type is changed here.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # protobuf messages, JSON values, and stubs without types

import grpc
import numpy as np
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explicate.v1 import explanation_pb2, model_service_pb2, model_service_pb2_grpc, table_pb2
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc as services
from pins import record, tiny


def inputs_of(kind: str, pictures: tuple[Path, Path], *, pairs: bool) -> list[messages.Input]:
    """A plain input of that kind, and an odd one."""
    if kind == "text":
        pair = {"text_pair": tiny.TEXT_PAIR} if pairs else {}
        return [messages.Input(text=messages.TextInput(text=text, **pair)) for text in (tiny.TEXT, tiny.LONG_TEXT)]
    if kind == "table":
        return [_row(cells) for cells in (tiny.ROW, tiny.ODD_ROW)]
    return [messages.Input(image=messages.ImageInput(content=path.read_bytes())) for path in pictures]


def _row(cells: Mapping[str, Any]) -> messages.Input:
    return messages.Input(tabular=messages.TabularInput(cells={name: _cell(value) for name, value in cells.items()}))


def _cell(value: Any) -> table_pb2.Cell:
    if value is None:
        return table_pb2.Cell(missing=NULL_VALUE)
    if isinstance(value, bool):
        return table_pb2.Cell(category=str(value).lower())
    return table_pb2.Cell(category=value) if isinstance(value, str) else table_pb2.Cell(number=value)


def packed_table(rows: int) -> table_pb2.Table:
    """A table in columns, with a missing value and a category that no model knows."""
    table = table_pb2.Table(rows=rows)
    for place, name in enumerate(("age", "income", "distance")):
        values = [10.0 + place + row for row in range(rows)]
        table.columns.add(name=name).numbers.values.extend(values)
    for name, categories in (
        ("city", ("Ghent", "nowhere")),
        ("member", ("false", "true")),
        ("size", ("small", "large")),
    ):
        column = table.columns.add(name=name).categories
        column.names.extend(categories)
        column.codes.extend([row % 3 - 1 for row in range(rows)])  # -1: missing
    return table


class Caller:
    """Calls of one model; answers and refusals become JSON."""

    def __init__(self, channel: grpc.Channel, model: str, folders: Mapping[Path, str]) -> None:
        self._model = model
        self._folders = folders
        self._inference: Any = services.InferenceServiceStub(channel)
        self._models: Any = model_service_pb2_grpc.ModelServiceStub(channel)

    def predict(self, inputs: list[messages.Input], table: table_pb2.Table | None = None) -> Any:
        """Of `Predict`."""
        request = messages.PredictRequest(model=messages.ModelRef(model=self._model), inputs=inputs, table=table)
        return self._answer(self._inference.Predict, request)

    def explain(self, value: messages.Input, **options: Any) -> Any:
        """Of `Explain`; the options are JSON as the proto names them."""
        answer = self._answer(self._inference.Explain, messages.ExplainRequest(spec=self._spec(value, options)))
        return answer.get("result", answer)  # a refusal has none

    def stream_explain(self, value: messages.Input, **options: Any) -> Any:
        """The last message of `StreamExplain`, with the number of messages."""
        stream = list(self._inference.StreamExplain(messages.StreamExplainRequest(spec=self._spec(value, options))))
        last = self._as_json(stream[-1])
        return {"messages": len(stream), "last": {**last["result"], "final": last["final"]}}

    def get_model(self, **selector: Any) -> Any:
        """Of `GetModel`; the model card has a pin of its own."""
        return self._answer(
            self._models.GetModel, model_service_pb2.GetModelRequest(**{"model": self._model, **selector})
        )

    def _spec(self, value: messages.Input, options: Mapping[str, Any]) -> messages.ExplainSpec:
        chosen = json_format.ParseDict(dict(options), explanation_pb2.ExplainOptions())
        return messages.ExplainSpec(model=messages.ModelRef(model=self._model), input=value, options=chosen)

    def _answer(self, call: Any, request: Message) -> Any:
        try:
            return self._as_json(call(request, timeout=60))
        except grpc.RpcError as error:
            return refusal(error)

    def _as_json(self, message: Message) -> Any:
        value = json_format.MessageToDict(message, preserving_proto_field_name=True)
        if packed := value.get("result", {}).get("explanation", {}).get("segment_map"):
            packed["ids"] = np.frombuffer(base64.b64decode(packed["ids"]), dtype="<u2").tolist()
        return record.cleaned_values(record.without(value, {*record.OF_THE_MACHINE, "model_card"}), self._folders)


def refusal(error: Any) -> dict[str, Any]:
    """Code, sentence and details of a refused call, without the id of the request."""
    status = rpc_status.from_call(error)
    details = []
    for packed in status.details if status else ():
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
            detail = kind()
            if packed.Unpack(detail):
                details.append(record.without(json_format.MessageToDict(detail), ("requestId", "request_id")))
    return {"code": error.code().name, "sentence": error.details(), "details": details}

"""The Open Inference Protocol by hand: requests of grpc alone, whose messages come from the server's private pool."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf import message_factory

from explicate_server.rpc.open_inference.protocol import POOL, SERVICE
from support.tiny_table_bundle import Cell

METHODS = POOL.FindServiceByName(SERVICE).methods_by_name
DTYPES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "INT32": "<i4", "UINT8": "<u1", "BOOL": "?"}
CONTENTS = {"FP64": "fp64", "FP32": "fp32", "INT64": "int64", "INT32": "int", "UINT8": "uint", "BOOL": "bool"}
EXPLAINED = ("attributions", "lower", "upper", "features", "baseline")
Tensors = Mapping[str, tuple[str, Sequence[Any]]]


def message(name: str) -> Any:
    """A class of the protocol."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))


def infer_request(
    model: str,
    tensors: Tensors,
    *,
    outputs: Iterable[str] = (),
    raw: bool = True,
    version: str = "",
    id: str = "",
    column: bool = False,
    **parameters: bool | int | float | str,
) -> Any:
    """A ModelInferRequest; each tensor is its datatype and its elements, [N], or [N, 1] with `column`."""
    request = message("ModelInferRequest")(model_name=model, model_version=version, id=id)
    for name, (datatype, elements) in tensors.items():
        shape = [len(elements), 1] if column else [len(elements)]
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        if raw:
            request.raw_input_contents.append(raw_contents(datatype, elements))
        elif datatype == "BYTES":
            tensor.contents.bytes_contents.extend(map(as_bytes, elements))
        else:
            getattr(tensor.contents, f"{CONTENTS[datatype]}_contents").extend(elements)
    for name in outputs:
        request.outputs.add(name=name)
    for name, value in parameters.items():
        set_parameter(request.parameters[name], value)
    return request


def set_parameter(parameter: Any, value: bool | int | float | str) -> None:
    """A value in the field that tritonclient gives it."""
    kinds: dict[type, str] = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    setattr(parameter, kinds[type(value)], value)


def raw_contents(datatype: str, elements: Sequence[Any]) -> bytes:
    """Elements as raw_input_contents has them."""
    if datatype != "BYTES":
        return np.array(elements, DTYPES[datatype]).tobytes()
    return b"".join(struct.pack("<I", len(each)) + each for each in map(as_bytes, elements))


def as_bytes(element: str | bytes | None) -> bytes:
    """An element of BYTES."""
    return element.encode() if isinstance(element, str) else element or b""


def columns(rows: Sequence[Mapping[str, Cell]]) -> dict[str, tuple[str, list[Any]]]:
    """Rows of cells as tensors: numbers FP64 with NaN for missing, all else BYTES with "" for missing."""
    tensors: dict[str, tuple[str, list[Any]]] = {}
    for name in rows[0]:
        cells = [row[name] for row in rows]
        if any(isinstance(cell, str) for cell in cells) or all(cell is None for cell in cells):
            tensors[name] = ("BYTES", cells)
        else:
            tensors[name] = ("FP64", [np.nan if cell is None else cell for cell in cells])
    return tensors


async def call(channel: grpc.aio.Channel, method: str, request: Any = None, **options: Any) -> Any:
    """The answer of a method of one answer; `request` may be the bytes of one."""
    found = METHODS[method]
    serialised = (
        request if isinstance(request, bytes) else request or message_factory.GetMessageClass(found.input_type)()
    )
    multi = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=lambda each: each if isinstance(each, bytes) else each.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(found.output_type).FromString,
    )
    return await multi(serialised, **options)


def stream(channel: grpc.aio.Channel, **options: Any) -> Any:
    """An open ModelStreamInfer: `write`, `read`, `done_writing`."""
    return channel.stream_stream(
        f"/{SERVICE}/ModelStreamInfer",
        request_serializer=lambda each: each.SerializeToString(),
        response_deserializer=message("ModelStreamInferResponse").FromString,
    )(**options)


def tensors_of(response: Any) -> dict[str, Any]:
    """The outputs of an answer by name: arrays of their shapes, of float64 or of str."""
    found = {}
    for place, output in enumerate(response.outputs):
        if response.raw_output_contents:
            raw = response.raw_output_contents[place]
            elements = texts_of(raw) if output.datatype == "BYTES" else np.frombuffer(raw, "<f8")
        else:
            contents = output.contents
            is_text = output.datatype == "BYTES"
            elements = [each.decode() for each in contents.bytes_contents] if is_text else contents.fp64_contents
        found[output.name] = np.array(elements).reshape(list(output.shape))
    return found


def texts_of(raw: bytes) -> list[str]:
    """Elements of BYTES."""
    texts, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        texts.append(raw[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return texts

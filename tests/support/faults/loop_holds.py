"""How long the event loop is held by the largest message of each kind: those that are answered, and those refused."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # generated stubs of grpc.aio have no types of their own

import grpc
import numpy as np

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2
from explicate_server.settings import Settings
from support.harness import ALL_CLASSES, explain_input, image_input, reference, table_input, text_input

_LIMITS = Settings()
_SERVICE = "/explicate.v1.InferenceService/"
# What the server takes at the most, a little less for names and tags.
_MOST_BYTES = _LIMITS.max_message_bytes - 4096
_QUIET_S = 0.3
Message = tuple[str, bytes]
"""Method and request."""


@dataclass
class HoldFigures:
    """Longest holds in seconds by kind of message, one of each time it was sent; and what came that should not."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """The longest hold of any kind; of each kind the time counts at which the machine did the least else."""
        return max(min(times) for times in self.seconds.values())

    def lines(self) -> list[str]:
        """The figures as lines of text."""
        kinds = sorted(self.seconds.items(), key=lambda item: -min(item[1]))
        return [
            f"{1e3 * min(times):6.1f} ms at least, {1e3 * max(times):6.1f} at most: {kind} ({self.codes[kind]})"
            for kind, times in kinds
        ]


def largest_messages(*, text_model: str, table_model: str, image_model: str, row: messages.Input) -> dict[str, Message]:
    """The largest message of each kind that is answered, and of each that its bytes show to be too large.

    ``row`` is one that the table's model answers.
    """
    words = text_input("tea " * (_LIMITS.max_text_bytes // 4))
    short = text_input("tea " * (_MOST_BYTES // _LIMITS.max_inputs // 4 - 8))
    image = image_input(_noise(_LIMITS.max_image_bytes))
    wide = messages.Input()
    for number in range(10_000):
        wide.tabular.cells[f"column {number}"].number = number
    empty_cells = _field(2, _field(2, _field(1, b"") * (_MOST_BYTES // 2)))
    codes = table_pb2.Table(rows=1)
    codes.columns.add(name="a").categories.codes.extend([1] * (_MOST_BYTES - 1024))
    names = table_pb2.Table(rows=1)
    names.columns.add(name="a").categories.names.extend(["n"] * (_MOST_BYTES // 3 - 1024))
    numbers = table_pb2.Table(rows=_LIMITS.max_inputs)
    for number in range(_MOST_BYTES // (8 * _LIMITS.max_inputs) - 8):
        numbers.columns.add(name=f"c{number}").numbers.values.extend([0.5] * _LIMITS.max_inputs)
    every = {"method": "kernel-shap", "max_evaluations": 2048, "tolerance": 0.0, "target": ALL_CLASSES}
    return {
        "1,024 short texts": _predict(text_model, [text_input("good tea")] * _LIMITS.max_inputs),
        "texts of 16 MiB": _predict(text_model, [short] * _LIMITS.max_inputs),
        "an explanation of a text with every word of it": ("Explain", explain_input(
            text_input("tea " * 100), model=text_model, **every).SerializeToString()),
        "an explanation of the longest text": ("Explain", explain_input(words, model=text_model).SerializeToString()),
        "1,024 rows": _predict(table_model, [row] * _LIMITS.max_inputs),
        "an image of the most bytes": _predict(image_model, [image]),
        "an explanation of an image of the most bytes": (
            "Explain", explain_input(image, model=image_model).SerializeToString()),
        "rows of 10,000 cells, 16 MiB of them": _predict(table_model, [wide] * (_MOST_BYTES // wide.ByteSize())),
        "columns of numbers, 16 MiB of them": _packed(table_model, numbers),
        "a row of 8 million cells": ("Predict", _predict(table_model, [])[1] + empty_cells),
        "15 million codes": _packed(table_model, codes),
        "5 million names": _packed(table_model, names),
        "8 million inputs": ("Predict", _predict(text_model, [])[1] + _field(2, b"") * (_MOST_BYTES // 2 - 64)),
        "fields that nobody knows": ("Predict", b"\x50\x01" * (_MOST_BYTES // 2)),
        "a text of 16 MiB": _predict(text_model, [text_input("t" * (_MOST_BYTES - 64))]),
    }  # fmt: skip


def soaked_messages() -> dict[str, Message]:
    """Those for the models of `build_soaked_repository`."""
    from support.tiny_table_bundle import tiny_table

    table = tiny_table()
    numbers, codes = table.rows(1, missing=0.0)
    row = table_input(table.cells(numbers[0], codes[0]))
    return largest_messages(text_model="tiny", table_model="loans", image_model="animals", row=row)


async def measure_holds(repository: Path, kinds: Mapping[str, Message], *, times: int) -> HoldFigures:
    """Send each message so many times, one after the other, to a server of its own."""
    figures = HoldFigures({kind: [] for kind in kinds})
    with _held_server(repository) as (address, longest_s):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(address, options) as channel:
            for _ in range(times):
                for kind, (method, request) in kinds.items():
                    await asyncio.to_thread(longest_s)
                    send: Any = channel.unary_unary(_SERVICE + method)
                    call = send(request)
                    figures.codes[kind] = (await call.code()).name
                    await asyncio.sleep(_QUIET_S)  # what is thrown away afterwards counts too
                    figures.seconds[kind].append(await asyncio.to_thread(longest_s))
    return figures


@contextmanager
def _held_server(repository: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "support.faults.held_server", str(repository)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def longest_s() -> float:
        print("longest", file=process.stdin, flush=True)
        return float(process.stdout.readline())  # type: ignore[union-attr]

    try:
        yield process.stdout.readline().strip(), longest_s
    finally:
        process.communicate("stop\n", timeout=60)


def _predict(model: str, inputs: Sequence[messages.Input]) -> Message:
    return "Predict", messages.PredictRequest(model=reference(model), inputs=inputs).SerializeToString()


def _packed(model: str, table: table_pb2.Table) -> Message:
    return "Predict", messages.PredictRequest(model=reference(model), table=table).SerializeToString()


def _field(number: int, value: bytes) -> bytes:
    """A field with these bytes as its value: protobuf itself takes seconds to make a map of so many cells."""
    size, head = len(value), bytearray([number << 3 | 2])
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + value


def _noise(most_bytes: int) -> bytes:
    """A PNG of noise, which does not get smaller, of nearly so many bytes."""
    from support.tiny_image_bundle import png

    edge = int((most_bytes / 3.1) ** 0.5)
    return png(np.random.default_rng(0).integers(0, 256, (edge, edge, 3), dtype=np.uint8))

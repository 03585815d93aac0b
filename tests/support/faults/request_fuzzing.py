"""Mutated requests against a real server process: every one gets a status that is not the server's own fault."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explicate.v1 import inference_service_pb2 as inference
from explicate.v1 import model_service_pb2 as models
from explicate.v1 import table_pb2
from support.faults.faulted_server import FaultedServer, faulted_server
from support.faults.mutation import damaged, disturbed
from support.harness import TEXT, explain_request, predict_request, stream_request, table_input
from support.tiny_image_bundle import pictures, png
from support.tiny_table_bundle import COLUMNS

_SERVICE, _SHOWN = "/explicate.v1.InferenceService/", "/explicate.v1.ModelService/"
_CALLERS = 32
# Share of the requests that change models, and after how many requests all is made live again.
_CHANGES = 0.05
_CHUNK = 2000
# The server gives up on a call after a second, so a caller that waits for so long waits for nothing.
_HANGS_AFTER_S = 30.0
# What is kept of answered explanations grows up to its bound; kept small, it is not taken for a leak.
_FLAGS = ("--max-call-s", "1", "--max-evaluations", "256", "--max-inputs", "64", "--max-memo-bytes", "1000000")
# INTERNAL is right where a model has no usable answer, such as for a number near the end of what a float can hold.
_FAULTS_OF_THE_MODEL = frozenset({"MODEL_OUTPUT_NOT_FINITE", "MODEL_RUN_FAILED"})
_OURS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
_ROW = {column.name: column.categories[0] if column.categories else 30.0 for column in COLUMNS}


@dataclass
class FuzzFigures:
    """What came back, by status; ``bad`` are the requests whose answer is a bug, with what was answered."""

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[str, bytes, str]] = field(default_factory=list)
    first_resident_bytes: int = 0
    last_resident_bytes: int = 0
    lived: bool = True

    def lines(self) -> list[str]:
        """The figures as a table of text."""
        first_mb, last_mb = self.first_resident_bytes / 1e6, self.last_resident_bytes / 1e6
        statuses = ", ".join(f"{name} {count:,}" for name, count in self.statuses.most_common())
        return [
            f"{self.sent:,} mutated requests: {statuses}",
            f"answers that are bugs: {len(self.bad)}; the server lived: {self.lived}; "
            f"memory from {first_mb:.0f} to {last_mb:.0f} MB",
        ]


def seeds() -> list[tuple[str, Message]]:
    """A good request of each call that changes nothing, with most of its fields set."""
    text = explain_request(TEXT, method="kernel-shap", max_evaluations=64, seed=3, confidence=0.9, tolerance=0.1)
    text.spec.options.target.contrast.target.label = "great"
    text.spec.options.target.contrast.reference.index = 0
    row = inference.ExplainRequest(
        spec=inference.ExplainSpec(model=inference.ModelRef(model="loans"), input=table_input(_ROW))
    )
    numbers = table_pb2.NumberValues(values=[1.0, float("nan")])
    columns = [
        table_pb2.TableColumn(
            name=column.name, categories=table_pb2.CategoryValues(names=column.categories[:1], codes=[0, -1])
        )
        if column.categories
        else table_pb2.TableColumn(name=column.name, numbers=numbers)
        for column in COLUMNS
    ]
    packed = inference.PredictRequest(
        model=inference.ModelRef(model="loans"), table=table_pb2.Table(rows=2, columns=columns)
    )
    animals, picture = inference.ModelRef(model="animals"), inference.ImageInput(content=png(pictures(1)[0]))
    both = [inference.Input(image=picture), predict_request(TEXT).inputs[0]]
    seen = inference.ExplainRequest(spec=inference.ExplainSpec(model=animals, input=both[0]))
    seen.spec.options.segments = 6
    return [
        (f"{_SERVICE}Predict", predict_request(TEXT, "good tea")),
        (f"{_SERVICE}Predict", packed),
        (f"{_SERVICE}Predict", inference.PredictRequest(model=animals, inputs=both[:1] * 3)),
        (f"{_SERVICE}Predict", inference.PredictRequest(model=animals, inputs=both)),
        (f"{_SERVICE}Explain", seen),
        (f"{_SERVICE}Predict", inference.PredictRequest(model=row.spec.model, inputs=[row.spec.input], priority=2)),
        (f"{_SERVICE}Explain", text),
        (f"{_SERVICE}Explain", row),
        (f"{_SERVICE}StreamExplain", stream_request(TEXT, method="permutation-shap", max_evaluations=64)),
        (f"{_SHOWN}GetModel", models.GetModelRequest(model="tiny", version=1)),
        (f"{_SHOWN}ListModels", models.ListModelsRequest(page_size=2, page_token="dGlueS8x")),
        (f"{_SHOWN}WatchModels", models.WatchModelsRequest(model="tiny")),
    ]


def changes() -> list[tuple[str, Message]]:
    """A good request of each call that changes models."""
    traffic = models.Traffic(canary_share=0.5, shadow_share=0.5)
    return [
        (f"{_SHOWN}LoadModel", models.LoadModelRequest(model="tiny", version=1)),
        (f"{_SHOWN}UnloadModel", models.UnloadModelRequest(model="tiny", version=1)),
        (f"{_SHOWN}ActivateVersion", models.ActivateVersionRequest(model="tiny", version=2, expected_version=2)),
        (f"{_SHOWN}RollbackModel", models.RollbackModelRequest(model="loans")),
        (f"{_SHOWN}RemoveLabel", models.RemoveLabelRequest(model="tiny", label="canary")),
        (f"{_SHOWN}SetTraffic", models.SetTrafficRequest(model="tiny", traffic=traffic)),
    ]


async def fuzz_requests(repository: Path, *, count: int, seed: int, log: Path) -> FuzzFigures:
    """Send that many mutated requests, 32 at a time, half of them damaged bytes and half odd messages."""
    with faulted_server(repository, *_FLAGS, log=log) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            figures = FuzzFigures()
            await _send(channel, figures, random.Random(seed), count // 5)  # what grows at first is not a leak
            figures.first_resident_bytes = server.resident_bytes
            await _send(channel, figures, random.Random(seed + 1), count - count // 5)
        figures.last_resident_bytes, figures.lived = server.resident_bytes, server.alive
        await _still_answers(server)
    return figures


async def _send(channel: grpc.aio.Channel, figures: FuzzFigures, stream: random.Random, count: int) -> None:
    for sent in range(0, count, _CHUNK):
        await _restore(channel)
        todo = iter(range(min(_CHUNK, count - sent)))
        await asyncio.gather(*(_ask(channel, figures, stream, todo) for _ in range(_CALLERS)))
    await _restore(channel)


async def _ask(channel: grpc.aio.Channel, figures: FuzzFigures, stream: random.Random, todo: Iterator[int]) -> None:
    asking, changing = seeds(), changes()
    for _ in todo:
        method, message = stream.choice(changing if stream.random() < _CHANGES else asking)
        content = message.SerializeToString()
        mutated = damaged(stream, content) if stream.random() < 0.5 else disturbed(stream, message)
        status = await _call(channel, method, mutated)
        figures.sent += 1
        figures.statuses[status] += 1
        if status.startswith("BUG"):
            figures.bad.append((method, mutated, status))


async def _restore(channel: grpc.aio.Channel) -> None:
    """Make live again what requests that change models may have taken away."""
    for model, version in (("tiny", 2), ("loans", 1), ("animals", 1)):
        request = models.ActivateVersionRequest(model=model, version=version).SerializeToString()
        await channel.unary_unary(f"{_SHOWN}ActivateVersion")(request, timeout=_HANGS_AFTER_S)


async def _call(channel: grpc.aio.Channel, method: str, request: bytes) -> str:
    try:
        if "Stream" in method or "Watch" in method:
            call = channel.unary_stream(method)(request, timeout=_HANGS_AFTER_S)
            async for _ in call:
                if "Watch" in method:  # it would tell of changes for ever
                    call.cancel()
                    break
        else:
            await channel.unary_unary(method)(request, timeout=_HANGS_AFTER_S)
    except grpc.aio.AioRpcError as error:
        return _verdict(error)
    return "OK"


def _verdict(error: grpc.aio.AioRpcError) -> str:
    """The status, said to be a bug when it is the server's own fault or has no reason."""
    reasons = _reasons(error)
    if error.code() in _OURS and not set(reasons) & _FAULTS_OF_THE_MODEL:
        return f"BUG {error.code().name}: {error.details()}"
    if not reasons:
        return f"BUG {error.code().name} without ErrorInfo: {error.details()}"
    return error.code().name


def _reasons(error: grpc.aio.AioRpcError) -> Sequence[str]:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it takes what has the three accessors
    infos = []
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info.reason)
    return infos


async def _still_answers(server: FaultedServer) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        answer = await channel.unary_unary(
            "/explicate.v1.InferenceService/Predict",
            request_serializer=inference.PredictRequest.SerializeToString,
            response_deserializer=inference.PredictResponse.FromString,
        )(predict_request("good tea"), timeout=_HANGS_AFTER_S)
    assert len(answer.predictions) == 1

"""Loading, using and unloading a version over and over: the memory comes back, also after a load that failed."""

import asyncio
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any  # generated stubs of grpc.aio have no types of their own

import grpc

from explicate.v1 import inference_service_pb2_grpc as inference_services
from explicate.v1 import model_service_pb2 as models
from explicate.v1 import model_service_pb2_grpc as model_services
from support.faults.bundle_mutation import mutated_bundle
from support.faults.faulted_server import FaultedServer, faulted_server
from support.harness import TEXT, explain_request, predict_request

# What grows while allocators and caches settle is not a leak: of 5,000 mutated bundles the first 200 took 14 MB, as
# they failed in new ways, and the other 4,800 took six.
_SETTLING_CYCLES, _SETTLING_BUNDLES = 30, 200
_WINDOW = 10
# Bundles of each kind, by model and version.
_MUTATED = (("tiny", "2"), ("loans", "1"), ("animals", "1"))


@dataclass
class MemoryFigures:
    """Resident bytes after each cycle; what the load said each time that it failed, and what came that should not."""

    settling: int = _SETTLING_CYCLES
    cycles: int = 0
    resident_bytes: list[int] = field(default_factory=list)
    refused: int = 0
    bad: list[str] = field(default_factory=list)
    lived: bool = True

    @property
    def growth(self) -> float:
        """The median of the last cycles over that of the first ones that are settled, less 1."""
        settled = self.resident_bytes[min(self.settling, len(self.resident_bytes) // 2) :]
        return median(settled[-_WINDOW:]) / median(settled[:_WINDOW]) - 1

    def lines(self, what: str) -> list[str]:
        """The figures as lines of text."""
        first_mb, last_mb = self.resident_bytes[0] / 1e6, self.resident_bytes[-1] / 1e6
        return [
            f"{self.cycles:,} {what}; refused {self.refused:,}; wrong {len(self.bad)}; the server lived: {self.lived}",
            f"memory {first_mb:.0f} MB at first, {last_mb:.0f} MB at the end, {self.growth:+.1%} since it settled",
        ]


async def load_and_unload(repository: Path, *, cycles: int, log: Path) -> MemoryFigures:
    """Load version 1 of "tiny" beside the live version 2, predict and explain with it, and unload it."""
    figures = MemoryFigures()
    with faulted_server(repository, log=log) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            admin: Any = model_services.ModelServiceStub(channel)
            stub: Any = inference_services.InferenceServiceStub(channel)
            for number in range(cycles):
                await admin.LoadModel(models.LoadModelRequest(model="tiny", version=1))
                predict, explain = predict_request(TEXT, "good tea"), explain_request(f"{TEXT} {number}", method="lime")
                predict.model.version = explain.spec.model.version = 1
                predicted, explained = await asyncio.gather(stub.Predict(predict), stub.Explain(explain))
                if {predicted.model.version, explained.result.model.version} != {1}:
                    figures.bad.append("another version answered")
                await admin.UnloadModel(models.UnloadModelRequest(model="tiny", version=1))
                _note(figures, server)
    return figures


async def load_mutated_bundles(repository: Path, *, count: int, seed: int, log: Path) -> MemoryFigures:
    """Publish mutated copies of the live versions of three kinds, and have each loaded and taken out again.

    The repository is changed: give a copy.
    """
    figures, stream = MemoryFigures(_SETTLING_BUNDLES), random.Random(seed)
    with faulted_server(repository, log=log) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            admin: Any = model_services.ModelServiceStub(channel)
            for number in range(count):
                model, origin = _MUTATED[number % len(_MUTATED)]
                target = repository / model / str(number + 10)
                deed = mutated_bundle(stream, repository / model / origin, target)
                problem = await _load_and_drop(admin, model, number + 10)
                if problem:
                    figures.refused += problem.startswith("refused")
                    figures.bad += [] if problem.startswith("refused") else [f"{deed}: {problem}"]
                shutil.rmtree(target)
                _note(figures, server)
            await _live_answers(channel, figures)
    return figures


async def _load_and_drop(admin: Any, model: str, version: int) -> str:
    """What became of it: nothing when it was loaded and unloaded, else why it was refused or what went wrong."""
    try:
        await admin.LoadModel(models.LoadModelRequest(model=model, version=version), timeout=60)
        await admin.UnloadModel(models.UnloadModelRequest(model=model, version=version), timeout=60)
    except grpc.aio.AioRpcError as error:
        expected = error.code() is grpc.StatusCode.FAILED_PRECONDITION
        return f"{'refused' if expected else error.code().name}: {error.details()}"
    return ""


async def _live_answers(channel: grpc.aio.Channel, figures: MemoryFigures) -> None:
    stub: Any = inference_services.InferenceServiceStub(channel)
    answer = await stub.Predict(predict_request(TEXT))
    if answer.model.version != 2:
        figures.bad.append(f"version {answer.model.version} of tiny is live")


def _note(figures: MemoryFigures, server: FaultedServer) -> None:
    figures.cycles += 1
    figures.lived = server.alive
    figures.resident_bytes.append(server.resident_bytes)

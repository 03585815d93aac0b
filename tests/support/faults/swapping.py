"""Swaps of the live version under load: nothing fails, no answer mixes versions, nobody waits long."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any  # generated stubs of grpc.aio have no types of their own

import grpc

from explicate.v1 import inference_service_pb2 as inference
from explicate.v1 import inference_service_pb2_grpc as inference_services
from explicate.v1 import model_service_pb2 as models
from explicate.v1 import model_service_pb2_grpc as model_services
from support.faults.faulted_server import faulted_server
from support.harness import TEXT, explain_request, predict_request

_TEXTS = (TEXT, "good tea", "the coffee was not good", "a great box of tea came late")
# Every fourth call of a caller explains; the others predict.
_EXPLAIN_EVERY = 4
_EVALUATIONS = 48
# Answers of one version to one text differ by the batches they came in.
_CLOSE = 1e-4
_BLOCKS = 5


@dataclass
class SwapFigures:
    """What the callers saw: seconds of each call without a swap and while versions were swapped, and what was wrong."""

    swaps: int = 0
    quiet_s: list[float] = field(default_factory=list)
    swapping_s: list[float] = field(default_factory=list)
    explanations: int = 0
    wrong: list[str] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)

    @property
    def p99_ratio(self) -> float:
        """The 99th percentile during swaps over that without."""
        return _p99(self.swapping_s) / _p99(self.quiet_s)

    def lines(self) -> list[str]:
        """The figures as lines of text."""
        answers = len(self.quiet_s) + len(self.swapping_s)
        return [
            f"{self.swaps} swaps, {answers:,} answers of which {self.explanations:,} explanations, "
            f"failed or wrong: {len(self.wrong)}",
            f"p99 without swaps {_p99(self.quiet_s) * 1e3:.0f} ms, during swaps {_p99(self.swapping_s) * 1e3:.0f} ms "
            f"({self.p99_ratio:.2f} times)",
        ]


async def swap_under_load(repository: Path, *, swaps: int, callers: int, quiet_s: float, log: Path) -> SwapFigures:
    """Alternate `quiet_s` seconds without swaps and a share of the swaps, while the callers never pause.

    The repository has versions 1 and 2 of the model "tiny", which answer differently.
    """
    figures = SwapFigures()
    with faulted_server(repository, log=log) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            admin: Any = model_services.ModelServiceStub(channel)
            await admin.LoadModel(models.LoadModelRequest(model="tiny", version=1))
            truth = await _truth(channel)
            load = _Load(channel, figures, truth)
            tasks = [asyncio.ensure_future(load.calls(number)) for number in range(callers)]
            try:
                for block in range(_BLOCKS):
                    load.into = figures.quiet_s
                    await asyncio.sleep(quiet_s / _BLOCKS)
                    load.into = figures.swapping_s
                    for _ in range(swaps * block // _BLOCKS, swaps * (block + 1) // _BLOCKS):
                        figures.swaps += 1
                        await admin.ActivateVersion(_activation(1 + figures.swaps % 2))
                        await load.some_answers(callers)
            finally:
                load.stopped = True
                await asyncio.gather(*tasks)
    return figures


class _Load:
    """Callers that ask without a pause, check each answer and note how long it took."""

    def __init__(self, channel: grpc.aio.Channel, figures: SwapFigures, truth: "dict[tuple[int, str], _Truth]") -> None:
        self._stub: Any = inference_services.InferenceServiceStub(channel)
        self._figures = figures
        self._truth = truth
        self.into = figures.quiet_s
        self.stopped = False

    async def calls(self, caller: int) -> None:
        number = caller
        while not self.stopped:
            number += 1
            text, into, begin_s = _TEXTS[number % len(_TEXTS)], self.into, time.perf_counter()
            try:
                wrong = await (self._explain(text) if number % _EXPLAIN_EVERY == 0 else self._predict(text))
            except grpc.aio.AioRpcError as error:
                wrong = f"{error.code().name}: {error.details()}"
            into.append(time.perf_counter() - begin_s)
            if wrong:
                self._figures.wrong.append(wrong)

    async def some_answers(self, count: int) -> None:
        """Wait until the callers have that many more answers."""
        most = len(self.into) + count
        while len(self.into) < most:  # noqa: ASYNC110 - one condition among thousands of appends
            await asyncio.sleep(0.002)

    async def _predict(self, text: str) -> str:
        answer = await self._stub.Predict(predict_request(text), timeout=30)
        self._figures.versions.add(answer.model.version)
        return self._truth[answer.model.version, text].problem(answer.predictions[0])

    async def _explain(self, text: str) -> str:
        answer = (await self._stub.Explain(explain_request(text, max_evaluations=_EVALUATIONS), timeout=30)).result
        self._figures.explanations += 1
        truth, (attribution,) = self._truth[answer.model.version, text], answer.explanation.attributions
        return truth.problem(answer.prediction) or truth.problem_of_attribution(attribution)


@dataclass(frozen=True)
class _Truth:
    """What one version answers to a text, and with all players absent: probabilities by class."""

    version: int
    whole: Sequence[float]
    empty: float

    def problem(self, prediction: inference.Prediction) -> str:
        scores = [score.probability for score in prediction.classification.scores]
        return _unless(self, "prediction", all(abs(a - b) < _CLOSE for a, b in zip(scores, self.whole, strict=True)))

    def problem_of_attribution(self, attribution: Any) -> str:
        total = attribution.baseline_value + sum(attribution.values)
        holds = (
            abs(attribution.baseline_value - self.empty) < _CLOSE
            and abs(attribution.instance_value - self.whole[attribution.class_index]) < _CLOSE
            and abs(total - attribution.instance_value) < _CLOSE
        )
        return _unless(self, "explanation", holds)


def _unless(truth: _Truth, what: str, holds: bool) -> str:
    return "" if holds else f"the {what} is not of version {truth.version}, which it names"


async def _truth(channel: grpc.aio.Channel) -> dict[tuple[int, str], _Truth]:
    """Answers of both versions, each asked by its number before any swap."""
    stub: Any = inference_services.InferenceServiceStub(channel)
    truth = {}
    for version in (1, 2):
        for text in _TEXTS:
            request = explain_request(text, max_evaluations=_EVALUATIONS)
            request.spec.model.version = version
            answer = (await stub.Explain(request)).result
            scores = [score.probability for score in answer.prediction.classification.scores]
            truth[version, text] = _Truth(version, scores, answer.explanation.attributions[0].baseline_value)
    assert all(abs(truth[1, text].whole[0] - truth[2, text].whole[0]) > 10 * _CLOSE for text in _TEXTS)
    return truth


def _activation(version: int) -> models.ActivateVersionRequest:
    return models.ActivateVersionRequest(model="tiny", version=version)


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98]

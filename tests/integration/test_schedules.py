"""Randomised schedules: calls of every kind, with cancels, deadlines and failures at whatever moment chance finds.

Each schedule is drawn from its seed. Batches stop at a gate that opens at random; some fail as a whole, and rows with a
bad word always fail. No caller may hang, every answer must be the one for the caller's own text, and nothing may be
left behind. The expected answers come from calls that nothing disturbed, and from the bare model.
"""

import asyncio
import gc
import logging
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from explicate.v1 import explanation_pb2, inference_service_pb2
from explicate_bundle.model_inputs import TextInput
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import Entry, Ticket
from support.harness import Running, explain_request, predict_request, running_server, stream_request, until

SCHEDULES_OF_ONE_SERVER = 25
BAD_WORD = "horrible"
# Short enough that an explanation enumerates every coalition, so that its values do not depend on how it was run.
SHORT_TEXTS = ("good tea", "bad tea", "a cup of tea", "late again", "great taste and price", "cold and bitter coffee")
LONG_TEXTS = (
    "this tea is great but the box was not good and it came very late so we never had any of it",
    "my dog will not eat the food that we bought at this store and my cat would not even look at it",
)
BAD_TEXTS = ("a horrible cup", "the tea was horrible and the box came late")


class ChaoticRuntime:
    """The real model behind a gate: runs of several rows may fail as a whole, a run with the bad word always does."""

    def __init__(self, inner: Runtime, bad_token: int) -> None:
        self.inner = inner
        self.name, self.batch_tokens, self.lanes = inner.name, inner.batch_tokens, inner.lanes
        self._bad_token = bad_token
        self._changed = threading.Condition()
        self._permits = 0
        self._opened = True
        self._stream = random.Random(0)
        self._failing = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._permits > 0)
            self._permits -= not self._opened
            fails = len(feeds["input_ids"]) > 1 and self._stream.random() < self._failing
        if fails or (feeds["input_ids"] == self._bad_token).any():
            raise RuntimeError("this run fails on purpose")
        return self.inner.run(feeds)

    def start(self, stream: random.Random) -> None:
        """Shut the gate for a new schedule."""
        with self._changed:
            self._opened, self._permits, self._stream = False, 0, stream
            self._failing = stream.choice([0.0, 0.2])

    def let_through(self, runs: int) -> None:
        with self._changed:
            self._permits += runs
            self._changed.notify_all()

    def open(self) -> None:
        with self._changed:
            self._opened = True
            self._changed.notify_all()


@dataclass(frozen=True)
class Expected:
    """Probabilities of each text by the bare model, and the values of the short texts' exact explanations."""

    probabilities: dict[str, NDArray[np.float64]]
    values: dict[str, NDArray[np.float64]]


class Schedule:
    """One schedule: some calls, and what is done to them."""

    def __init__(self, running: Running, runtime: ChaoticRuntime, expected: Expected, seed: int) -> None:
        self._running = running
        self._runtime = runtime
        self._expected = expected
        self._stream = random.Random(seed)
        self._calls: list[Any] = []
        self._checks: list[asyncio.Task[str]] = []

    async def run(self) -> Counter[str]:
        """Play it to its end; how often calls ended in which way."""
        self._runtime.start(self._stream)
        for _ in range(self._stream.randint(4, 20)):
            step = self._stream.random()
            if step < 0.45:
                self._begin()
            elif step < 0.75:
                self._runtime.let_through(self._stream.randint(1, 4))
            elif self._calls:
                self._stream.choice(self._calls).cancel()
            for _ in range(self._stream.choice([0, 1, 3, 10, 40])):
                await asyncio.sleep(0)
        self._runtime.open()
        return Counter(await asyncio.wait_for(asyncio.gather(*self._checks), 30.0))

    def _begin(self) -> None:
        start = self._stream.choice([self._predict, self._predict, self._explain, self._stream_explain])
        text = self._stream.choice(self._stream.choice([SHORT_TEXTS, LONG_TEXTS, BAD_TEXTS]))
        timeout = self._stream.choice([None, None, None, 0.001, 0.01, 0.05])
        start(text, timeout)

    def _predict(self, text: str, timeout: float | None) -> None:
        texts = [text, *self._stream.choices(SHORT_TEXTS + LONG_TEXTS, k=self._stream.randint(0, 4))]
        request = predict_request(*texts)
        request.priority = self._stream.choice(inference_service_pb2.Priority.values())
        call = self._running.inference.Predict(request, timeout=timeout)

        async def check() -> None:
            answer = await call
            for of_text, prediction in zip(texts, answer.predictions, strict=True):
                self._check_prediction(of_text, prediction)

        self._follow(call, check(), texts)

    def _explain(self, text: str, timeout: float | None) -> None:
        request = explain_request(text, **self._options())
        request.spec.priority = self._stream.choice(inference_service_pb2.Priority.values())
        call = self._running.inference.Explain(request, timeout=timeout)

        async def check() -> None:
            self._check_explanation(text, (await call).result)

        self._follow(call, check(), [text])

    def _stream_explain(self, text: str, timeout: float | None) -> None:
        call = self._running.inference.StreamExplain(stream_request(text, **self._options()), timeout=timeout)

        async def check() -> None:
            answers = [answer async for answer in call]
            for answer in answers:
                self._check_prediction(text, answer.result.prediction)
            self._check_explanation(text, answers[-1].result)

        self._follow(call, check(), [text])

    def _options(self) -> dict[str, Any]:
        method = self._stream.choice(["kernel-shap", "kernel-shap", "permutation-shap", "partition-shap", "occlusion"])
        limits = self._stream.choice([{}, {}, {"time_limit_seconds": 0.02}])
        return {"method": method, "tolerance": 0.0, "max_evaluations": 128, **limits}

    def _follow(self, call: Any, check: Any, texts: Sequence[str]) -> None:
        async def outcome() -> str:
            try:
                await check
            except asyncio.CancelledError:
                return "cancelled"
            except grpc.aio.AioRpcError as error:
                return self._check_refusal(error, texts)
            return "answered"

        self._calls.append(call)
        self._checks.append(asyncio.create_task(outcome()))

    def _check_refusal(self, error: grpc.aio.AioRpcError, texts: Sequence[str]) -> str:
        code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.INTERNAL:
            assert any(BAD_WORD in text for text in texts), f"a good text was failed: {details}"
            assert "failed on this input" in details, details
        else:
            allowed = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
            assert code in allowed, f"{code}: {details}"
        return code.name.lower()

    def _check_prediction(self, text: str, prediction: inference_service_pb2.Prediction) -> None:
        probabilities = [score.probability for score in prediction.classification.scores]
        np.testing.assert_allclose(probabilities, self._expected.probabilities[text], atol=1e-5, err_msg=text)

    def _check_explanation(self, text: str, answer: Any) -> None:
        assert BAD_WORD not in text
        self._check_prediction(text, answer.prediction)
        explanation = answer.explanation
        assert [feature.text.text for feature in explanation.features] == text.split()
        (attribution,) = explanation.attributions
        expected = self._expected.probabilities[text][attribution.class_index]
        assert attribution.instance_value == pytest.approx(expected, abs=1e-5)
        exact = explanation.stop_reason == explanation_pb2.STOP_REASON_EXACT
        if exact and explanation.options.method == "kernel-shap":
            np.testing.assert_allclose(attribution.values, self._expected.values[text], atol=1e-5, err_msg=text)


async def undisturbed(running: Running, runtime: Runtime) -> Expected:
    """What each text must be answered with."""
    modality = running.served().modality
    probabilities = {}
    for text in SHORT_TEXTS + LONG_TEXTS:
        logits = runtime.run(modality.collate([modality.encode(TextInput(text)).row]))[0].astype(np.float64)
        probabilities[text] = np.exp(logits) / np.exp(logits).sum()
    values = {}
    for text in SHORT_TEXTS:
        answer = (await running.inference.Explain(explain_request(text, tolerance=0.0, max_evaluations=128))).result
        assert answer.explanation.stop_reason == explanation_pb2.STOP_REASON_EXACT
        values[text] = np.array(answer.explanation.attributions[0].values)
    return Expected(probabilities, values)


async def nothing_is_left(running: Running) -> None:
    """Wait until no call is in progress, then look at everything that callers hold while they are."""
    server, served = running.server, running.served()
    await until(lambda: server.calls.in_flight == 0)
    batcher = served.batcher
    await until(lambda: batcher.waiting_tickets == 0)  # a flight that nobody waits for lands on its own
    assert sum(batcher.queued_rows.values()) == 0
    assert served.leases == 0
    assert server.admission.in_progress == 0
    assert server.admission.evaluations_by_caller == {}


def kept_in_memory() -> int:
    """Tickets and rows that something still refers to."""
    gc.collect()
    return sum(type(thing) in (Ticket, Entry) for thing in gc.get_objects())  # isinstance wakes torch's lazy objects


@pytest.mark.parametrize("first_seed", range(0, 200, SCHEDULES_OF_ONE_SERVER))
async def test_no_caller_hangs_no_answer_goes_astray_and_nothing_is_left(
    tiny_repository: Path, first_seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the faults are on purpose; their traces would fill a hundred pages
    memo_bytes = 0 if first_seed % 2 else 1 << 20  # half of the servers never answer from memory
    limits = {"max_queued_rows": 12, "max_queued_bulk_rows": 6, "max_explanations": 4}
    async with running_server(tiny_repository, max_memo_bytes=memo_bytes, **limits) as running:
        served = running.served()
        expected = await undisturbed(running, served.runtime)
        bad_token = int(served.modality.encode(TextInput(BAD_WORD)).row.values[0, 1])
        runtime = ChaoticRuntime(served.runtime, bad_token)
        (instance,) = served.batcher.instances
        instance.runtime, instance.runs_here = runtime, False  # a gate on the event loop could not be opened
        outcomes: Counter[str] = Counter()
        for seed in range(first_seed, first_seed + SCHEDULES_OF_ONE_SERVER):
            outcomes += await Schedule(running, runtime, expected, seed).run()
            await nothing_is_left(running)
        answered = await running.inference.Predict(predict_request("good tea"))  # the server is none the worse
        assert len(answered.predictions) == 1
        await nothing_is_left(running)
        await until(lambda: kept_in_memory() == 0)  # a lane may be between its last answer and its next wait
    # A run in which nothing was cancelled or refused would prove nothing.
    assert {"answered", "cancelled", "deadline_exceeded", "internal"} <= set(outcomes), outcomes

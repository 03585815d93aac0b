"""The asyncio client: the methods of `explicate.client` as coroutines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import grpc
import grpc.aio

from explicate import convert, requests
from explicate.channel import channel_options
from explicate.deadlines import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, POLL_INTERVAL_S, call_timeout, not_ready
from explicate.options import ExplainOptions
from explicate.results import ExplainResult, ModelDescription, ModelStatus, PredictResult
from explicate.rpc_errors import from_rpc_error
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1.inference_service_pb2_grpc import InferenceServiceStub
from explicate.v1.model_service_pb2 import ListModelsRequest
from explicate.v1.model_service_pb2_grpc import ModelServiceStub

if TYPE_CHECKING:  # these two exist in the stubs' type information only
    from explicate.v1.inference_service_pb2_grpc import InferenceServiceAsyncStub
    from explicate.v1.model_service_pb2_grpc import ModelServiceAsyncStub

_Answer = TypeVar("_Answer")


class AsyncClient:
    """Asks one Explicate server from asyncio; use it in an `async with` statement, or await `close`.

    The arguments are those of `explicate.Client`. It may be made outside the event loop and belongs to the loop of
    its first call.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.target = target
        self.timeout_s = timeout_s
        self._credentials = credentials

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        if "_channel" in self.__dict__:
            await self._channel.close()

    async def predict(
        self,
        model: str,
        inputs: Sequence[str],
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> PredictResult:
        """Score texts, in order, by the live version of `model`, or the `version` or `label` given."""
        request = requests.predict_request(model, inputs, version=version, label=label)
        return convert.predict_result(await self._call(self._inference.Predict, request, timeout_s))

    async def explain(
        self,
        model: str,
        text: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[ExplainOptions],
    ) -> ExplainResult:
        """Predict one text and say what each word adds; the options are those of `explicate.ExplainOptions`.

        When the time runs out, the answer is the best estimate so far, with `stop_reason` "deadline".
        """
        request = requests.explain_request(model, text, version=version, label=label, options=options)
        return convert.explain_result(text, await self._call(self._inference.Explain, request, timeout_s))

    def stream_explain(
        self,
        model: str,
        text: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[ExplainOptions],
    ) -> AsyncGenerator[ExplainResult]:
        """Like `explain`, with a better estimate after every round; the last one has `final` set.

        Closing the generator (`aclose`, or `contextlib.aclosing` around the loop) cancels the call, and the server
        stops working on it.
        """
        request = requests.explain_request(model, text, version=version, label=label, options=options)
        return self._stream(text, requests.stream_explain_request(request), timeout_s)

    async def list_models(self, *, timeout_s: float | None = None) -> tuple[ModelStatus, ...]:
        """Every model version the server knows, by name and version, the broken ones included."""
        response = await self._call(self._models.ListModels, ListModelsRequest(), timeout_s)
        return tuple(convert.model_status(status) for status in response.models)

    async def get_model(
        self, name: str, *, version: int | None = None, timeout_s: float | None = None
    ) -> ModelDescription:
        """One version of a model in full; the live one when `version` is not given."""
        request = requests.get_model_request(name, version)
        return convert.model_description(await self._call(self._models.GetModel, request, timeout_s))

    async def wait_ready(self, *, model: str | None = None, timeout_s: float | None = None) -> None:
        """Return once the server serves `model`, or any model; DeadlineExceeded says what it was still doing."""
        total_s = call_timeout(timeout_s, self.timeout_s)
        end = None if total_s is None else time.monotonic() + total_s
        while True:
            left_s = None if end is None else end - time.monotonic()
            statuses = await self._statuses_when_connected(left_s)
            if any(status.state == "ready" and model in (None, status.model) for status in statuses):
                return
            if left_s is not None and left_s < POLL_INTERVAL_S:
                raise not_ready(self.target, model, statuses)
            await asyncio.sleep(POLL_INTERVAL_S)

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        # Made at the first call: an aio channel binds itself to the loop that runs when it is made.
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.target, channel_options())
        return grpc.aio.secure_channel(self.target, self._credentials, channel_options())

    @cached_property
    def _inference(self) -> InferenceServiceAsyncStub:
        return InferenceServiceStub(self._channel)

    @cached_property
    def _models(self) -> ModelServiceAsyncStub:
        return ModelServiceStub(self._channel)

    async def _statuses_when_connected(self, timeout_s: float | None) -> tuple[ModelStatus, ...]:
        try:
            response = await self._models.ListModels(ListModelsRequest(), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.target) from error
        return tuple(convert.model_status(status) for status in response.models)

    async def _call(
        self, method: Callable[..., Awaitable[_Answer]], request: object, timeout_s: float | None
    ) -> _Answer:
        try:
            return await method(request, timeout=call_timeout(timeout_s, self.timeout_s))
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.target) from error

    async def _stream(
        self, text: str, request: inference_pb.StreamExplainRequest, timeout_s: float | None
    ) -> AsyncGenerator[ExplainResult]:
        call = self._inference.StreamExplain(request, timeout=call_timeout(timeout_s, self.timeout_s))
        try:
            async for response in call:
                yield convert.explain_result(text, response)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.target) from error
        finally:
            call.cancel()  # does nothing to a call that has ended

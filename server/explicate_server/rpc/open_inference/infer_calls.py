"""ModelInfer and ModelStreamInfer: rights, deadlines and errors of requests, one by one or in a stream.

The requests of a stream are answered one after the other. Of an explanation of one input a stream has the estimates as
they grow.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any

import grpc

from explicate_server.call_record import CallRecord, current_call, request_id_of
from explicate_server.errors import InvalidRequest, NotServing, ServerError
from explicate_server.rpc import error_catalogue
from explicate_server.rpc.inference_service import STREAM_INTERVAL_S
from explicate_server.rpc.interceptor import time_left_s
from explicate_server.rpc.open_inference.infer_asked import Asked, read_asked
from explicate_server.rpc.open_inference.infer_inputs import in_their_words
from explicate_server.rpc.open_inference.infer_work import InferWork
from explicate_server.rpc.open_inference.protocol import ModelStreamInferResponse
from explicate_server.rpc.reception import Reception
from explicate_server.rpc.streaming import Pacer, newest
from explicate_server.settings import Settings

_log = logging.getLogger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]
# What a request needs that asks for predictions only, or for more: what our own calls need.
_AS_PREDICT, _AS_EXPLAIN = (f"explicate.v1.InferenceService/{name}" for name in ("Predict", "Explain"))
_FINAL = "triton_final_response"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class InferServicer:
    """Answers both calls."""

    def __init__(
        self, work: InferWork, reception: Reception, ended: Callable[[CallRecord, str], None], settings: Settings
    ) -> None:
        """``ended`` is told of every request of a stream."""
        self._work = work
        self._reception = reception
        self._ended = ended
        self._settings = settings
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """End the streams, each after the request that it answers."""
        self._draining.set()

    async def ModelInfer(self, request: Any, context: _Context) -> Any:
        """The answer to one request."""
        with _their_words():
            asked, ends_s = self._asked(request, context)
            if not asked.explains:
                return await self._work.predict(request, asked, ends_s)
            async with aclosing(self._work.explain(request, asked, ends_s, lambda: False)) as answers:
                return [message async for message, _ in answers][-1]

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: _Context) -> AsyncIterator[Any]:
        """The answers to many. What is wrong with one is told in its place, and the stream goes on."""
        of_stream = current_call.get()
        assert of_stream is not None
        count = 0
        while (request := await self._next(requests)) is not None:
            count += 1
            request_id = request_id_of(request.id or f"{of_stream.request_id[:48]}.{count}")
            record = replace(of_stream, request_id=request_id, started_s=time.monotonic())
            current_call.set(record)
            try:
                async with aclosing(self._stream_answers(request, context, record)) as answers:
                    async for answer in answers:
                        yield answer
            finally:
                current_call.set(of_stream)

    async def _next(self, requests: AsyncIterator[Any]) -> Any:
        """The next request of a stream; None after the last one.

        Raises:
            NotServing: the server drains.
        """
        coming = asyncio.ensure_future(anext(requests, None))
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait((coming, draining), return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                raise NotServing("DRAINING", "open the stream on another server", retry_after_s=1.0)
            return coming.result()
        finally:
            coming.cancel()
            draining.cancel()
            await asyncio.gather(coming, draining, return_exceptions=True)

    async def _stream_answers(self, request: Any, context: _Context, record: CallRecord) -> AsyncGenerator[Any]:
        """The answers to one request of a stream; the last one says that it is."""
        code = grpc.StatusCode.CANCELLED
        try:
            async with aclosing(newest(self._answers(request, context))) as answers:
                async for message, final in answers:
                    message.parameters[_FINAL].bool_param = final
                    yield ModelStreamInferResponse(infer_response=message)
            code = grpc.StatusCode.OK
        except Exception as error:
            status = error_catalogue.to_status(error, record.request_id)
            code = _CODES[status.code]
            if error_catalogue.is_internal(error):
                _log.error("call %s failed: %s", record.request_id, error, exc_info=error)
            answer = ModelStreamInferResponse(error_message=status.message)
            answer.infer_response.model_name, answer.infer_response.id = request.model_name, request.id
            reason = error.reason if isinstance(error, ServerError) else "INTERNAL"
            answer.infer_response.parameters["reason"].string_param = reason
            answer.infer_response.parameters[_FINAL].bool_param = True
            yield answer
        finally:
            self._ended(record, code.name)

    async def _answers(self, request: Any, context: _Context) -> AsyncGenerator[tuple[Any, bool]]:
        """The answers to a request of a stream, each with whether it is the last."""
        with _their_words():
            asked, ends_s = self._asked(request, context)
            if not asked.explains:
                yield await self._work.predict(request, asked, ends_s), True
                return
            progress = Pacer(STREAM_INTERVAL_S).due
            async with aclosing(self._work.explain(request, asked, ends_s, progress)) as answers:
                async for answer in answers:
                    yield answer

    def _asked(self, request: Any, context: _Context) -> tuple[Asked, float]:
        """What a request asks for, once it is allowed, and when its time is over by the monotonic clock."""
        asked = read_asked(request)
        self._reception.check_as(_AS_EXPLAIN if asked.explains else _AS_PREDICT, context)
        left_s = time_left_s(context, self._settings.max_call_s)
        return asked, time.monotonic() + min(left_s, asked.timeout_s or left_s)


@contextmanager
def _their_words() -> Iterator[None]:
    """Have errors name the fields of a ModelInferRequest."""
    try:
        yield
    except InvalidRequest as error:
        raise in_their_words(error) from None

"""InferenceService: predictions and explanations."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any, TypedDict, TypeVar

import grpc

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc as services
from explicate_bundle.manifest import MODEL_NAME
from explicate_bundle.model_inputs import ModelInput
from explicate_server.call_record import caller_of_call, note_version, request_bytes
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.inference.explain_work import ExplainAnswer
from explicate_server.inference.explainer import Explainer
from explicate_server.inference.predictor import Predictor
from explicate_server.inference.shadow import Shadow
from explicate_server.inference.workers import Workers
from explicate_server.modalities.modality import Player
from explicate_server.registry.label_store import LABEL_NAME
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.records import ServedModel
from explicate_server.rpc import answers, option_messages, requests, table_answers
from explicate_server.rpc.interceptor import time_left_s
from explicate_server.rpc.requests import InputsDigest
from explicate_server.rpc.streaming import Pacer, newest
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings

# A person or a plot cannot follow faster, and every answer costs a fit and a message.
STREAM_INTERVAL_S = 0.2
# A cell of a row, or a class's score, takes 1 to 2 µs; so many less than a hand-over to a thread.
_MOST_INLINE_STEPS = 256
# A cell has about as many bytes of the request.
_BYTES_OF_STEP = 16
_T = TypeVar("_T")
_Context = grpc.aio.ServicerContext[Any, Any]


class _Asked(TypedDict):
    caller: str
    priority: Priority
    time_left_s: float


class Answering:
    """What the calls for answers have in common: the version that is leased, and steps that belong in a thread."""

    def __init__(
        self,
        registry: ModelRegistry,
        predictor: Predictor,
        explainer: Explainer,
        shadow: Shadow,
        workers: Workers,
        settings: Settings,
    ) -> None:
        self._registry = registry
        self._shadow = shadow
        self._predictor = predictor
        self._explainer = explainer
        self._workers = workers
        self._settings = settings

    async def _digest(
        self, inputs: requests.Request | Callable[[], requests.Request], model: messages.ModelRef
    ) -> InputsDigest:
        """What tells the canary's share; computed here if it is needed and takes long."""
        digest = InputsDigest(inputs)
        if self._registry.splits_traffic(model.model):
            await self._apart(digest, cost=request_bytes() // _BYTES_OF_STEP)
        return digest

    async def _apart(self, convert: Callable[..., _T], *arguments: Any, cost: int) -> _T:
        """A conversion, in a thread where its cost, in steps of a microsecond or two, is worth the hand-over."""
        if cost <= _MOST_INLINE_STEPS:
            return convert(*arguments)
        step = partial(convert, *arguments)
        return await self._workers.predict.run(step, caller=caller_of_call(), priority=Priority.PREDICT)

    @contextmanager
    def _lease(self, reference: messages.ModelRef, digest: InputsDigest) -> Iterator[ServedModel]:
        """The version that answers, written into the record of the call."""
        with self._registry.lease(**selected(reference), inputs_digest=digest) as served:
            note_version(served.name, served.version)
            yield served

    def _is_shadowed(self, served: ServedModel, reference: messages.ModelRef, digest: InputsDigest) -> bool:
        return reference.WhichOneof("selector") is None and self._registry.is_shadowed(served, digest)


class InferenceServicer(Answering, services.InferenceServiceServicer):
    """Converts, leases the version that answers, and delegates."""

    async def Predict(
        self, request: messages.PredictRequest, context: _Context
    ) -> Any:  # PredictResponse, or its bytes
        """Score inputs, in order."""
        left_s = time_left_s(context, self._settings.max_call_s)
        digest = await self._digest(request, request.model)
        with self._lease(request.model, digest) as served:
            priority = requests.predict_priority(request)
            asked = _Asked(caller=caller_of_call(), priority=priority, time_left_s=left_s)
            if request.HasField("table"):
                return await self._predict_packed(served, request, digest, asked)
            # An image or a text is an object of Python at once; a row of a table, cell by cell.
            values = await self._apart(requests.model_inputs, request.inputs, cost=request_bytes() // _BYTES_OF_STEP)
            answer = await self._predictor.predict(served, values, **asked)
            if self._is_shadowed(served, request.model, digest):
                self._shadow.predicted(served, values, answer.answers, size_bytes=request_bytes())
            return await self._apart(answers.predict_response, served, answer, cost=answer.answers.size)

    async def _predict_packed(
        self, served: ServedModel, request: messages.PredictRequest, digest: InputsDigest, asked: "_Asked"
    ) -> Any:
        if request.inputs:
            raise InvalidRequest([Violation("inputs", "must be empty where table is set")])
        table = await self._apart(requests.packed_table, request.table, cost=request_bytes() // _BYTES_OF_STEP)
        answer = await self._predictor.predict_packed(served, table, **asked)
        if self._is_shadowed(served, request.model, digest):
            self._shadow.predicted_packed(served, table, answer.answers, size_bytes=request_bytes())
        return await self._apart(table_answers.packed_response, served, answer, cost=answer.answers.size // 16)

    async def Explain(
        self, request: messages.ExplainRequest, context: _Context
    ) -> Any:  # ExplainResponse, or its bytes
        """The prediction and its explanation."""
        digest = await self._digest(request, request.spec.model)
        with self._lease(request.spec.model, digest) as served:
            value = await self._value(request.spec)
            async with aclosing(self._answers(served, value, request, digest, context, lambda: False)) as steps:
                answer = await anext(steps)
                return await self._apart(answers.explain_response, served, value, answer, cost=answers.size(answer))

    async def ExplainTable(
        self, request: messages.ExplainTableRequest, context: _Context
    ) -> Any:  # ExplainTableResponse, or its bytes
        """The predictions of a table's rows and their explanations, packed."""
        left_s = time_left_s(context, self._settings.max_call_s)
        digest = await self._digest(request, request.model)
        with self._lease(request.model, digest) as served:
            asked = _Asked(caller=caller_of_call(), priority=requests.explain_priority(request), time_left_s=left_s)
            table = await self._apart(requests.packed_table, request.table, cost=request_bytes() // _BYTES_OF_STEP)
            options = option_messages.explain_options(request.options)
            answer = await self._explainer.explain_table(served, table, options, digest=digest, **asked)
            if self._is_shadowed(served, request.model, digest):
                self._shadow.predicted_packed(served, table, answer.predictions, size_bytes=request_bytes())
            return await self._apart(table_answers.explain_table_response, served, answer, cost=answer.values.size)

    async def StreamExplain(
        self, request: messages.StreamExplainRequest, context: _Context
    ) -> AsyncIterator[Any]:  # StreamExplainResponse, or its bytes
        """Estimates as they grow; the last one is final. A caller who reads slowly gets fewer of them."""
        known: Sequence[Player] | None = None  # by the caller
        async with aclosing(newest(self._estimates(request, context))) as estimates:
            async for served, value, answer in estimates:
                new = answer.final or answer.players != known
                convert = partial(answers.stream_explain_response, with_features=new)
                yield await self._apart(convert, served, value, answer, cost=answers.size(answer))
                known = answer.players

    async def _estimates(
        self, request: messages.StreamExplainRequest, context: _Context
    ) -> AsyncGenerator[tuple[ServedModel, ModelInput, ExplainAnswer]]:
        """Holds the version and the place of the explanation as long as it computes, whoever reads what it gives."""
        pacer = Pacer(STREAM_INTERVAL_S)
        digest = await self._digest(request, request.spec.model)
        with self._lease(request.spec.model, digest) as served:
            value = await self._value(request.spec)
            async with aclosing(self._answers(served, value, request, digest, context, pacer.due)) as steps:
                async for answer in steps:
                    yield served, value, answer

    async def _value(self, spec: messages.ExplainSpec) -> ModelInput:
        cost = request_bytes() // _BYTES_OF_STEP
        return await self._apart(requests.model_input, spec.input, "input", cost=cost)

    async def _answers(
        self,
        served: ServedModel,
        value: ModelInput,
        request: messages.ExplainRequest | messages.StreamExplainRequest,
        digest: InputsDigest,
        context: _Context,
        progress: Callable[[], bool],
    ) -> AsyncGenerator[ExplainAnswer]:
        spec = request.spec
        options = option_messages.explain_options(spec.options)
        steps = self._explainer.explain(
            served,
            value,
            options,
            caller=caller_of_call(),
            priority=requests.explain_priority(spec),
            time_left_s=time_left_s(context, self._settings.max_call_s),
            field_path="input",
            progress=progress,
        )
        async with aclosing(steps):
            async for answer in steps:
                if answer.final and self._is_shadowed(served, spec.model, digest):
                    self._shadow.explained(served, value, options, answer, size_bytes=request_bytes())
                yield answer


def selected(message: messages.ModelRef) -> dict[str, Any]:
    """Keywords for a lease.

    Raises:
        InvalidRequest: no model is named, or the name is malformed.
    """
    if not message.model:
        raise InvalidRequest([Violation("model.model", "is empty; name a model, as `explicate models list` does")])
    if not MODEL_NAME.fullmatch(message.model):
        raise InvalidRequest([Violation("model.model", "is not a model's name; `explicate models list` gives them")])
    if message.label and not LABEL_NAME.fullmatch(message.label):
        raise InvalidRequest([Violation("model.label", "is not a label; `explicate models list` gives them")])
    selector = message.WhichOneof("selector")
    return {"model": message.model} | ({selector: getattr(message, selector)} if selector else {})

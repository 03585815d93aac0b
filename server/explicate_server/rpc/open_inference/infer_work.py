"""What a ModelInferRequest takes: read, leased, predicted or explained, and written as tensors.

By the predictor, the explainer and the shadow of our own calls, with inputs that are those of our own calls.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypedDict

from explicate_bundle.model_inputs import ModelInput
from explicate_server.call_record import caller_of_call, request_bytes
from explicate_server.errors import DeadlinePassed, InvalidRequest, Overloaded
from explicate_server.explain.methods import methods_of
from explicate_server.inference.evaluations import Timings
from explicate_server.inference.explain_options import ExplainOptions
from explicate_server.inference.explain_work import ExplainAnswer
from explicate_server.registry.records import ServedModel
from explicate_server.rpc import option_messages
from explicate_server.rpc.inference_service import Answering, selected
from explicate_server.rpc.open_inference import infer_answers
from explicate_server.rpc.open_inference.infer_answers import Explained
from explicate_server.rpc.open_inference.infer_asked import EXPLANATION, Asked
from explicate_server.rpc.open_inference.infer_inputs import TABLE, Inputs, read_inputs
from explicate_server.rpc.open_inference.request_sums import SumsOfVersions
from explicate_server.rpc.open_inference.tensors import BYTES
from explicate_server.rpc.requests import InputsDigest
from explicate_server.runtime.batcher import Priority

# Steps of a microsecond or two have so many elements of BYTES, or so many bytes of numbers, raw or typed.
_TEXTS_OF_STEP = 4
_RAW_BYTES_OF_STEP, _TYPED_BYTES_OF_STEP = 1024, 16
_FEW_BYTES = 4096


class _Whose(TypedDict):
    caller: str
    priority: Priority
    time_left_s: float


@dataclass(frozen=True)
class _Work:
    """A request that was read, and the version that answers it."""

    request: Any
    asked: Asked
    outputs: Sequence[str]
    inputs: Inputs
    served: ServedModel
    digest: InputsDigest
    ends_s: float

    @property
    def whose(self) -> _Whose:
        """Who asks, and what is left of the time now."""
        priority = Priority.EXPLAIN if self.asked.explains else Priority.PREDICT
        if self.asked.bulk:
            priority = Priority.BULK
        left_s = max(0.0, self.ends_s - time.monotonic())
        return _Whose(caller=caller_of_call(), priority=priority, time_left_s=left_s)


class InferWork(Answering):
    """Does the work of all requests.

    Attributes:
        sums: what ModelStatistics tells.
    """

    def __init__(self, *of_our_own: Any) -> None:
        """Take what InferenceServicer takes."""
        super().__init__(*of_our_own)
        self.sums = SumsOfVersions()

    async def predict(self, request: Any, asked: Asked, ends_s: float) -> Any:
        """The answer to a request for predictions.

        ``ends_s`` is when its time is over, by the monotonic clock. Raises as the predictor does, with the paths of our
        own requests.
        """
        inputs, digest = await self._inputs(request, asked, self._settings.max_inputs)
        with self._lease(asked.model, digest) as served, self.sums.counted(served, len(inputs)) as timings:
            outputs = infer_answers.check_outputs(served, asked.outputs)
            work = _Work(request, asked, outputs, inputs, served, digest, ends_s)
            try:
                return await self._predicted(work, timings)
            except InvalidRequest:
                if served.modality.field != TABLE or inputs.table is not None:
                    raise
                # What is wrong with few rows is told as of many, by column.
                inputs = read_inputs(request, served.modality.field, len(inputs), packed=True)
                return await self._predicted(replace(work, inputs=inputs), timings)

    async def explain(
        self, request: Any, asked: Asked, ends_s: float, progress: Callable[[], bool]
    ) -> AsyncGenerator[tuple[Any, bool]]:
        """The answers to a request for explanations, each with whether it is the last. There is more than one where one
        input is explained, after rounds at which ``progress`` says yes. Raises as the explainer does.
        """
        inputs, digest = await self._inputs(request, asked, self._settings.max_explained_rows)
        with self._lease(asked.model, digest) as served, self.sums.counted(served, len(inputs)) as timings:
            outputs = infer_answers.check_outputs(served, asked.outputs)
            work = _Work(request, asked, outputs, inputs, served, digest, ends_s)
            async with aclosing(self._explained(work, timings, progress)) as answers:
                async for explained, final in answers:
                    cost = explained.values.size + sum(map(len, explained.documents)) // 8
                    yield await self._apart(_written, work, explained, cost=cost), final

    async def _inputs(self, request: Any, asked: Asked, most: int) -> tuple[Inputs, InputsDigest]:
        """What a request gives to predict, at most so many rows."""
        kind, cost = self._kind(asked), _reading_cost(request)
        read = partial(read_inputs, packed=asked.explains)
        inputs = await self._apart(read, request, kind, most, cost=cost)
        return inputs, await self._digest(inputs.request, asked.model)

    def _kind(self, asked: Asked) -> str:
        """The kind of input that the model reads, of which a canary's is no other."""
        with self._registry.lease(**selected(asked.model)) as served:
            return served.modality.field

    async def _predicted(self, work: _Work, timings: list[Timings]) -> Any:
        """The answer to a request for predictions."""
        served, table, values = work.served, work.inputs.table, work.inputs.values
        shadowed = self._is_shadowed(served, work.asked.model, work.digest)
        if table is not None:
            packed = await self._predictor.predict_packed(served, table, **work.whose)
            raw, timing = packed.answers, packed.timings
            if shadowed:
                self._shadow.predicted_packed(served, table, raw, size_bytes=request_bytes())
        else:
            answer = await self._predictor.predict(served, values, **work.whose)
            raw, timing = answer.answers, answer.timings
            if shadowed:
                self._shadow.predicted(served, values, raw, size_bytes=request_bytes())
        timings.append(timing)

        def written() -> Any:
            message, outputs = infer_answers.response(work.request, served)
            infer_answers.add_prediction(outputs, work.outputs, served, raw)
            return message

        return await self._apart(written, cost=raw.size // 4)

    async def _explained(
        self, work: _Work, timings: list[Timings], progress: Callable[[], bool]
    ) -> AsyncGenerator[tuple[Explained, bool]]:
        """The explanations of all inputs; of one alone also the estimates before it."""
        options = option_messages.explain_options(work.asked.options)
        if self._is_shared(work, options):
            yield await self._table(work, options, timings), True
            return
        values = work.inputs.one_by_one()
        told: list[ExplainAnswer] = []
        for place in range(len(values)):
            steps = self._one(work, values[place], options, place, progress if len(values) == 1 else _never)
            async with aclosing(steps):
                async for answer in steps:
                    if answer.final:
                        told.append(answer)
                    else:
                        yield await self._side_by_side(work, values, [answer]), False
        timings.extend(answer.timings for answer in told)
        yield await self._side_by_side(work, values, told), True

    def _is_shared(self, work: _Work, options: ExplainOptions) -> bool:
        """Whether the rows of a table are explained together, as ExplainTable does it, without a document of each."""
        method = methods_of(work.served.bundle.kind.reads.name).get(options.method or "")
        alone = len(work.inputs) == 1 or EXPLANATION in work.outputs or (method is not None and not method.shared)
        return work.inputs.table is not None and not alone

    async def _table(self, work: _Work, options: ExplainOptions, timings: list[Timings]) -> Explained:
        served, table = work.served, work.inputs.table
        assert table is not None
        answer = await self._explainer.explain_table(served, table, options, digest=work.digest, **work.whose)
        timings.append(answer.timings)
        if self._is_shadowed(served, work.asked.model, work.digest):
            self._shadow.predicted_packed(served, table, answer.predictions, size_bytes=request_bytes())
        return infer_answers.of_table(answer)

    async def _one(
        self, work: _Work, value: ModelInput, options: ExplainOptions, place: int, progress: Callable[[], bool]
    ) -> AsyncGenerator[ExplainAnswer]:
        """The answers about one input, which has its share of the time that is left."""
        served, shadowed = work.served, self._is_shadowed(work.served, work.asked.model, work.digest)
        while True:
            whose = work.whose
            whose["time_left_s"] /= len(work.inputs) - place
            path = f"inputs[{place}]"
            steps = self._explainer.explain(served, value, options, **whose, field_path=path, progress=progress)
            try:
                async with aclosing(steps):
                    async for answer in steps:
                        if answer.final and shadowed:
                            self._shadow.explained(served, value, options, answer, size_bytes=request_bytes())
                        yield answer
            except Overloaded as error:
                # What was explained before is not thrown away for a seat that somebody else has for the moment.
                if not place:
                    raise
                if work.whose["time_left_s"] <= error.retry_after_s:
                    raise DeadlinePassed from error
                await asyncio.sleep(error.retry_after_s)
            else:
                return

    async def _side_by_side(
        self, work: _Work, values: Sequence[ModelInput], told: Sequence[ExplainAnswer]
    ) -> Explained:
        documents = EXPLANATION in work.outputs
        cost = sum(answer.attribution.values.size for answer in told) * (16 if documents else 1)
        return await self._apart(infer_answers.of_answers, work.served, values, told, documents, cost=cost)


def _reading_cost(request: Any) -> int:
    """About how many steps reading the tensors takes."""
    size = request_bytes()
    if size <= _FEW_BYTES:
        return 0
    if not request.raw_input_contents:
        return size // _TYPED_BYTES_OF_STEP
    texts: int = sum(max(0, *tensor.shape) for tensor in request.inputs if tensor.datatype == BYTES and tensor.shape)
    return texts // _TEXTS_OF_STEP + size // _RAW_BYTES_OF_STEP + len(request.inputs)


def _written(work: _Work, explained: Explained) -> Any:
    """The answer with explanations, and with what of the predictions was asked for."""
    message, outputs = infer_answers.response(work.request, work.served, **(explained.parameters or {}))
    all_classes = work.asked.options.target.HasField("all")
    infer_answers.add_explanation(outputs, work.outputs, work.served, explained, all_classes=all_classes)
    return message


def _never() -> bool:
    return False

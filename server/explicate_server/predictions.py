"""Predictions: inputs in, logits out, in the inputs' order."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import DeadlinePassed, InvalidRequest, Violation
from explicate_server.modalities.base import EncodedInput, ModelInput, TextUsage
from explicate_server.registry.models import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings
from explicate_server.timings import Timings

# Tokenising this many characters takes less time (about 0.5 ms) than waiting for a thread that does it.
_INLINE_CHARACTERS = 4096
# A call with a thousand bad inputs is told of the first ones only.
_MAX_VIOLATIONS = 8


@dataclass(frozen=True)
class PredictAnswer:
    """Logits float64[inputs, classes], how much of each input was seen, and where the time went."""

    logits: NDArray[np.float64]
    usages: Sequence[TextUsage | None]
    timings: Timings


class Predictor:
    """Computes predictions; one for the whole server."""

    def __init__(self, settings: Settings, workers: Executor) -> None:
        self._settings = settings
        self._workers = workers

    async def predict(
        self, served: ServedModel, values: Sequence[ModelInput], *, priority: Priority, time_left_s: float
    ) -> PredictAnswer:
        """Predict every input, or none.

        Raises:
            InvalidRequest: names the bad inputs, ``inputs[3].text``.
            Overloaded: the queue cannot take the inputs.
            DeadlinePassed: time was over before the last answer.
            ModelFault: the model failed on one of the inputs.
        """
        timings = Timings()
        self._check(served, values)
        encoded = await self._encode(served, values)
        timings.preprocessing_s = timings.total_s
        batcher = served.batcher
        ticket = batcher.submit([item.row for item in encoded], priority=priority)
        try:
            in_time = await batcher.wait(ticket, timeout_s=max(0.0, time_left_s - timings.total_s))
        finally:
            batcher.abandon(ticket)  # harmless when it is done; drops the rows of a caller who left
        if not in_time:
            raise DeadlinePassed
        timings.add(ticket)
        return PredictAnswer(ticket.values, [item.usage for item in encoded], timings)

    def _check(self, served: ServedModel, values: Sequence[ModelInput]) -> None:
        most = self._settings.max_inputs
        if not 1 <= len(values) <= most:
            raise InvalidRequest([Violation("inputs", f"has {len(values):,} inputs; give 1 to {most:,} in one call")])
        violations = []
        for index, value in enumerate(values):
            problem = served.modality.violation(value)
            if problem:
                violations.append(Violation(f"inputs[{index}].text", problem))
                if len(violations) == _MAX_VIOLATIONS:
                    break
        if violations:
            raise InvalidRequest(violations)

    async def _encode(self, served: ServedModel, values: Sequence[ModelInput]) -> list[EncodedInput]:
        def encode() -> list[EncodedInput]:
            return [served.modality.encode(value) for value in values]

        if sum(len(value.text) for value in values) <= _INLINE_CHARACTERS:
            return encode()
        return await asyncio.get_running_loop().run_in_executor(self._workers, encode)

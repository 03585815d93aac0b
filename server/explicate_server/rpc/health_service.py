"""What `grpc.health.v1` says: alive, ready, and ready for each model; and the watch over runtimes that hang.

``""`` is liveness: SERVING from the first moment until the server drains. ``explicate.v1.InferenceService/MODEL`` is
SERVING while that model answers, also while others are still loaded. ``explicate.v1.InferenceService`` is readiness:
SERVING once every model was started, while at least one answers. A balancer that sent traffic from the first model on
would take the old server away before this one answers for the others.

Strangers may ask for them, so that a name that is asked for is kept nowhere.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from explicate.v1 import inference_service_pb2, model_service_pb2
from explicate_bundle.manifest import MODEL_NAME
from explicate_server.errors import NotFound
from explicate_server.rpc.reception import Context
from explicate_server.runtime.batcher import Batcher, Batchers

_log = logging.getLogger(__name__)
_messages: Any = health_pb2
_Status = health_pb2.HealthCheckResponse
INFERENCE = inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
MODELS = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
LIVENESS = ""
# How long health may lag behind what happens to the models.
_INTERVAL_S = 0.25


class HealthReport(health_pb2_grpc.HealthServicer):
    """The health service, kept at what the registry and the runtimes really do.

    Attributes:
        report: told which services this process does not serve, whenever that changes; of several that answer as one,
            each serves only what all do.
    """

    def __init__(
        self,
        live: Callable[[], Mapping[str, Batcher | None]],
        loaded: Batchers,
        *,
        started: Callable[[], bool] = lambda: True,
        stuck_batch_s: float,
    ) -> None:
        """``live`` gives the batcher of the version that answers for each known model now, or None; ``loaded`` all.

        ``started`` tells whether every model was loaded or refused once.
        """
        self._live = live
        self._loaded = loaded
        self._started = started
        self._stuck_batch_s = stuck_batch_s
        self.report: Callable[[frozenset[str]], Awaitable[None]] | None = None
        self._reported: frozenset[str] = frozenset()
        self._silent_elsewhere: frozenset[str] = frozenset()
        self._told: dict[str, int] = {LIVENESS: _Status.SERVING}
        self._changed = asyncio.Event()
        self._stuck: set[str] = set()
        self._draining = False
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Alive, not ready; and follow the models from now on."""
        await self.refresh()
        self._watch = asyncio.create_task(self._follow())

    async def drain(self) -> None:
        """Say NOT_SERVING of everything, for good."""
        self._draining = True
        await self.refresh()

    async def stop(self) -> None:
        """Stop following."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def refresh(self) -> None:
        """Tell what changed since the last time."""
        own = self._now()
        now = {service: self._everywhere(service, status) for service, status in own.items()}
        if now != self._told:
            self._told = now
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
        await self._report(frozenset(service for service, status in own.items() if status == _Status.NOT_SERVING))

    async def note_elsewhere(self, silent: frozenset[str]) -> None:
        """Other processes of this server do not serve these."""
        self._silent_elsewhere = silent
        await self.refresh()

    def _everywhere(self, service: str, status: int) -> int:
        silent = status == _Status.SERVING and service in self._silent_elsewhere and not self._draining
        return int(_Status.NOT_SERVING) if silent else status

    async def _report(self, silent: frozenset[str]) -> None:
        # One that drains alone tells nobody: the others go on.
        if self.report is not None and silent != self._reported and not self._draining:
            self._reported = silent
            await self.report(silent)

    def is_serving(self, service: str) -> bool:
        """Whether a service is known and SERVING, as the last look found it."""
        return self._told.get(service) == _Status.SERVING

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """The status of a service."""
        if request.service not in self._told:
            raise _not_found(request.service)
        return _Status(status=self._told[request.service])

    async def List(self, request: Any, context: Context) -> Any:  # messages that the published types do not have yet
        """The status of every service."""
        statuses = {service: _Status(status=status) for service, status in self._told.items()}
        return _messages.HealthListResponse(statuses=statuses)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status of a service now, and whenever it changes; of a model that may yet come too."""
        if request.service not in self._told and not _may_come(request.service):
            raise _not_found(request.service)
        told = None
        while True:
            changed = self._changed
            status = self._told.get(request.service, _Status.SERVICE_UNKNOWN)
            if status != told:
                yield _Status(status=status)
                told = status
            await changed.wait()

    def _now(self) -> dict[str, int]:
        live = self._live()
        self._note_stuck()
        ready = {name for name, batcher in live.items() if batcher is not None and self._answers(batcher)}
        now = {f"{INFERENCE}/{name}": _status(name in ready and not self._draining) for name in live}
        # A model that is known no more; the health protocol has a word for it.
        gone = [service for service in self._told if service.startswith(f"{INFERENCE}/") and service not in now]
        now |= dict.fromkeys(gone, _Status.SERVICE_UNKNOWN)
        now |= dict.fromkeys((INFERENCE, MODELS), _status(bool(ready) and self._started() and not self._draining))
        return now | {LIVENESS: _status(not self._draining)}

    def _answers(self, batcher: Batcher) -> bool:
        """Whether a device is left for it, and not stuck."""
        return batcher.answers_within(self._stuck_batch_s)

    def _note_stuck(self) -> None:
        """Log which versions hang, the canaries among them, and which have come back."""
        loaded = {f"{model}/{version}": batcher for model, version, batcher in self._loaded()}
        stuck = {name for name, batcher in loaded.items() if batcher.running_s > self._stuck_batch_s}
        for name in sorted(stuck - self._stuck):
            _log.error("%s is stuck: one batch has run for %.1f s", name, loaded[name].running_s)
        for name in sorted(self._stuck - stuck):
            _log.warning("%s %s", name, "answers again" if name in loaded else "is taken out while it is stuck")
        self._stuck = stuck

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self.refresh()


def _may_come(service: str) -> bool:
    owner, _, model = service.rpartition("/")
    return owner == INFERENCE and MODEL_NAME.fullmatch(model) is not None


def _not_found(service: str) -> NotFound:
    known = f'it knows "", {INFERENCE}, {MODELS} and {INFERENCE}/MODEL'
    return NotFound("SERVICE_NOT_FOUND", known, resource_type="service", resource_name=service)


def _status(serving: bool) -> int:
    return int(_Status.SERVING if serving else _Status.NOT_SERVING)

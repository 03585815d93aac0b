"""What `grpc.health.v1` says: alive, ready, and ready for each model; and the watch over runtimes that hang.

``""`` is liveness: SERVING from the first moment until the server drains. ``explicate.v1.InferenceService/MODEL`` is
SERVING while that model answers, also while others are still loaded. ``explicate.v1.InferenceService`` is readiness:
SERVING once every model was started, while at least one answers. A balancer that sent traffic from the first model on
would take the old server away before this one answers for the others.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from grpc_health.v1 import health, health_pb2

from explicate_server.rpc.ports import INFERENCE, MODELS
from explicate_server.runtime.batcher import Batcher, Batchers

_log = logging.getLogger(__name__)
_Status = health_pb2.HealthCheckResponse
LIVENESS = ""
# How long health may lag behind what happens to the models.
_INTERVAL_S = 0.25


class HealthReport:
    """Keeps the health service at what the registry and the runtimes really do."""

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
        self.servicer = health.aio.HealthServicer()
        self._live = live
        self._loaded = loaded
        self._started = started
        self._stuck_batch_s = stuck_batch_s
        self._told: dict[str, int] = {}
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
        for service, status in self._now().items():
            if self._told.get(service) != status:
                self._told[service] = status
                await self.servicer.set(service, status)

    def _now(self) -> dict[str, int]:
        live = self._live()
        self._note_stuck()
        ready = {name for name, batcher in live.items() if batcher is not None and not self._is_stuck(batcher)}
        now = {f"{INFERENCE}/{name}": _status(name in ready and not self._draining) for name in live}
        # A model that is known no more; the health protocol has a word for it.
        gone = [service for service in self._told if service.startswith(f"{INFERENCE}/") and service not in now]
        now |= dict.fromkeys(gone, _Status.SERVICE_UNKNOWN)
        now |= dict.fromkeys((INFERENCE, MODELS), _status(bool(ready) and self._started() and not self._draining))
        return now | {LIVENESS: _status(not self._draining)}

    def _is_stuck(self, batcher: Batcher) -> bool:
        return batcher.running_s > self._stuck_batch_s

    def _note_stuck(self) -> None:
        """Log which versions hang, the canaries among them, and which have come back."""
        loaded = {f"{model}/{version}": batcher for model, version, batcher in self._loaded()}
        stuck = {name for name, batcher in loaded.items() if self._is_stuck(batcher)}
        for name in sorted(stuck - self._stuck):
            _log.error("%s is stuck: one batch has run for %.1f s", name, loaded[name].running_s)
        for name in sorted(self._stuck - stuck):
            _log.warning("%s %s", name, "answers again" if name in loaded else "is taken out while it is stuck")
        self._stuck = stuck

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self.refresh()


def _status(serving: bool) -> int:
    return int(_Status.SERVING if serving else _Status.NOT_SERVING)

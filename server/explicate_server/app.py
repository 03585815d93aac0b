"""The life of a server process: listen, load, serve, drain, stop."""

import asyncio
import gc
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from explicate_bundle.errors import SignatureError, StandardError
from explicate_bundle.repository import in_words
from explicate_bundle.signatures import check_verify_key
from explicate_bundle.standard.gate import StandardGate
from explicate_server import tracing
from explicate_server.address import parse_address
from explicate_server.call_record import CallRecord
from explicate_server.inference.admission import Admission
from explicate_server.inference.explainer import Explainer, Observer
from explicate_server.inference.predictor import Predictor
from explicate_server.inference.shadow import Shadow
from explicate_server.inference.workers import Workers
from explicate_server.lifetime import HANG_S, Ending, StartError, tell_address, unless
from explicate_server.registry.label_store import LIVE
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.peers import Peers
from explicate_server.registry.poll import RepositoryPoll
from explicate_server.registry.records import UNKNOWN_VERSION, VersionRecord
from explicate_server.registry.required.overrides import OverrideStore
from explicate_server.registry.required.required_standard import RequiredStandard
from explicate_server.rpc.health_service import HealthReport
from explicate_server.rpc.inference_service import InferenceServicer
from explicate_server.rpc.interceptor import Calls
from explicate_server.rpc.message_bytes import Reader
from explicate_server.rpc.model_service import ModelServicer
from explicate_server.rpc.open_inference.infer_calls import InferServicer
from explicate_server.rpc.open_inference.infer_walk import InferWalk
from explicate_server.rpc.open_inference.infer_work import InferWork
from explicate_server.rpc.open_inference.model_calls import InspectServicer
from explicate_server.rpc.open_inference.protocol import ModelInferRequest
from explicate_server.rpc.ports import PortError, Ports, Services
from explicate_server.rpc.reception import Reception, is_own
from explicate_server.runtime.batcher import Batcher
from explicate_server.runtime.nvml import open_nvml
from explicate_server.security.access import Access
from explicate_server.security.tokens import Reloaded, Token, read_tokens
from explicate_server.settings import Settings
from explicate_server.telemetry.audit_log import AuditLog
from explicate_server.telemetry.logs import log_call
from explicate_server.telemetry.metrics import (
    Metrics,
    device_metrics,
    model_metrics,
    standard_metrics,
    state_metrics,
    store_metrics,
)

_log = logging.getLogger(__name__)
# How long a thread that computes in Python may keep the others from the interpreter. At the default of 5 ms a lane that
# is done waits for the event loop before its next batch can start: 2 % of the rows a second, 32 callers, 2 cores.
SWITCH_INTERVAL_S = 0.0005
# After our own drain only health watchers are left, and they would hold a longer grace to its end.
_STOP_GRACE_S = 0.5


class Server:
    """One server on one port. Create and use it on a running event loop.

    Attributes:
        listens_first: whether it listens before its models are loaded.
        leads: whether it decides which models can be served; else it follows another process.
    """

    listens_first = True
    leads = True

    def __init__(self, settings: Settings, *, peers: Peers | None = None) -> None:
        """``peers`` are the other processes that serve the port."""
        self._settings = settings
        self.workers = Workers()
        self.registry = ModelRegistry(settings, peers=peers)
        self.poll = RepositoryPoll(self.registry, settings.repository, interval_s=settings.watch_interval_s)
        self._background: list[asyncio.Task[None]] = []
        self.admission = Admission(
            max_explanations=settings.max_explanations, max_evaluations_per_caller=settings.max_evaluations_per_caller
        )
        self.audit = _audit_log(settings)
        self.metrics = Metrics(self._batchers, self.admission, self.audit)
        observers: list[Observer] = [self.metrics, *([self.audit] if self.audit else [])]
        self.metrics_port: int | None = None
        access = Access(_tokens(settings), admin_apart=bool(settings.admin_listen))
        reader = Reader(settings, self.workers, walks={ModelInferRequest: InferWalk})
        self.calls = Calls(Reception(access, settings, self.admission), reader, self._call_ended, settings)
        self.health = HealthReport(
            self._live_batchers,
            self._batchers,
            started=lambda: self.registry.started,
            stuck_batch_s=settings.stuck_batch_s,
        )
        explainer = Explainer(settings, self.workers, self.admission, observers)
        self.registry.lifecycle.on_freed.append(explainer.store.forget)
        self.metrics.add(partial(model_metrics, self.registry.lifecycle.outcomes, self._batchers))
        self.metrics.add(partial(state_metrics, lambda: self.registry.records))
        self.metrics.add(partial(standard_metrics, lambda: self.registry.records))
        self.metrics.add(partial(store_metrics, explainer.store))
        self.metrics.add(partial(device_metrics, open_nvml()))
        predictor = Predictor(settings, self.workers)
        self.shadow = Shadow(self.registry, predictor, explainer, settings)
        parts = self.registry, predictor, explainer, self.shadow, self.workers, settings
        models = ModelServicer(self.registry, self.shadow, self.calls.reception, settings)
        work = InferWork(*parts)
        self.request_sums = work.sums
        self.open_infer = InferServicer(work, self.calls.reception, self._call_ended, settings)
        open_inspect = InspectServicer(self.registry, self.health, work.sums, settings)
        services = Services(InferenceServicer(*parts), models, self.health, self.open_infer, open_inspect)
        self.ports = Ports(settings, services, self.calls)

    async def start(self) -> int:
        """Listen, not serving yet; returns the port.

        Raises:
            StartError: an address cannot be bound, or the certificates, the key for signatures or the standard cannot
                be used.
        """
        if self._settings.verify_key:
            try:
                await asyncio.to_thread(check_verify_key, Path(self._settings.verify_key))
            except SignatureError as error:
                raise StartError(f"--verify-key: {error}") from None
        if self._settings.require_standard:
            try:
                self.registry.lifecycle.standard = await asyncio.to_thread(self._required_standard)
            except StandardError as error:
                raise StartError(f"--require-standard: {error}") from None
        await self.health.start()
        self._listen_for_metrics()
        try:
            return await self.ports.start()
        except PortError as error:
            raise StartError(str(error)) from None

    def _required_standard(self) -> RequiredStandard:
        settings = self._settings
        return RequiredStandard(
            StandardGate.read(Path(settings.require_standard)),
            OverrideStore(settings.kept_in),
            settings.standard_recheck,
            self.audit.write if self.audit else None,
        )

    async def load(self) -> None:
        """Load the repository, each model serving as soon as it can, then report SERVING.

        Raises:
            StartError: the repository cannot be read, does not have a model that was chosen, or nothing in it can be
                served and no operator could change that while the server runs.
        """
        repository = self._settings.repository
        watching = self._settings.model_control == "watch"
        try:
            await self.start_models(all_chosen=not watching)
        except OSError as error:
            raise StartError(f"cannot read the repository {repository}: {error.strerror}") from None
        except LookupError as error:
            raise StartError(str(error)) from None
        if not self.registry.ready and not watching and self.leads:
            if not self.registry.waits_for_operator:
                raise StartError(self._why_nothing_serves())
            _log.error("no model answers until an operator acts: %s", self._why_nothing_serves())
        self._background = [asyncio.create_task(work) for work in self._background_work(watching)]
        await self.health.refresh()

    async def start_models(self, *, all_chosen: bool) -> None:
        """Have every model loaded that can be."""
        await self.registry.load_repository(all_chosen=all_chosen)

    def _background_work(self, watching: bool) -> Iterator[Coroutine[Any, Any, None]]:
        yield self.shadow.run()
        if watching:
            yield self.poll.run()

    def _why_nothing_serves(self) -> str:
        repository, records = self._settings.repository, self.registry.records
        passed_over = in_words(self.registry.passed_over)
        hint = f"; passed over: {passed_over}" if passed_over else ""
        if not records:
            makes = f"`explicate export RUN --repository {repository}` makes one"
            return f"there is no bundle in {repository}{hint}; {makes}"
        newest = next((record for record in records if record.labels), records[-1])
        return f"no bundle in {repository} can be served; {_refusal(newest)}{hint}"

    async def drain(self) -> bool:
        """Finish the accepted calls and refuse new ones; whether all finished in time."""
        await self.health.drain()
        self.registry.watches.close()
        self.open_infer.drain()
        return await self.calls.drain(self._settings.drain_s)

    async def stop(self) -> None:
        """End what is left and free the models."""
        await self.health.stop()
        await self.ports.stop(_STOP_GRACE_S)
        await asyncio.to_thread(self.metrics.port.close)
        if self.audit:
            await asyncio.to_thread(self.audit.close)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.registry.close()
        self.workers.close()

    def _call_ended(self, record: CallRecord, code: str) -> None:
        self.metrics.call_ended(record, code)
        # Who changed what is served is always in the log, and who tried to. Watches of health all end by being left.
        if not is_own(record.method) and self._settings.log_calls != "all":
            return
        if code != "OK" or record.change or self._settings.log_calls == "all":
            log_call(record, code)

    def _listen_for_metrics(self) -> None:
        if not self._settings.metrics_listen:
            return
        address = parse_address(self._settings.metrics_listen, unix=False)
        listening = self.metrics.port.listen(address)
        self.metrics_port = listening.port
        _log.info("metrics on http://%s/metrics", listening)

    def _batchers(self) -> Iterator[tuple[str, int, Batcher]]:
        for served in self.registry.ready:
            yield served.bundle.manifest.model, served.bundle.manifest.version, served.batcher

    def _live_batchers(self) -> dict[str, Batcher | None]:
        """The batcher that answers for each known model now, if any."""
        live: dict[str, Batcher | None] = {}
        for record in self.registry.records:
            live.setdefault(record.location.model, None)
            if record.loaded is not None and LIVE in record.labels:
                live[record.location.model] = record.loaded.batcher
        return live


def _refusal(record: VersionRecord) -> str:
    version = f" version {record.location.version}" if record.location.version != UNKNOWN_VERSION else ""
    wanted = f", which label {record.labels[0]} wants," if record.labels else ""
    return f"{record.location.model}{version}{wanted} was refused: {record.reason}"


def _trace(settings: Settings) -> None:
    try:
        if settings.otlp_endpoint:
            tracing.install(settings.otlp_endpoint)
    except ModuleNotFoundError:
        raise StartError("--otlp-endpoint needs a package more: pip install 'explicate[tracing]'") from None


def _audit_log(settings: Settings) -> AuditLog | None:
    try:
        path = settings.audit_log
        shared = settings.processes > 1
        return AuditLog(Path(path), with_inputs=settings.audit_inputs, shared=shared) if path else None
    except OSError as error:
        raise StartError(f"cannot write the audit log {settings.audit_log}: {error.strerror}") from None


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; a second signal ends the drain. Returns the exit code.

    Raises:
        StartError: the server could not start.
    """
    ending = Ending()
    ending.follow_signals()
    return await run(partial(Server, settings), settings, ending, tell_address)


async def run(
    make: Callable[[], Server], settings: Settings, ending: Ending, tell: Callable[[str], Awaitable[None]]
) -> int:
    """Serve until it is to end; returns the exit code. ``tell`` is given the address once all models serve.

    Raises:
        StartError: the server could not start.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _trace(settings)
    server = make()
    try:
        if server.listens_first:
            await _listen(server)
        await unless(ending.stop, server.load())
        if not ending.stop.is_set():
            # What start-up has made stays; to look through it for cycles again would stop all threads for 0.15 s.
            gc.collect()
            gc.freeze()
            if not server.listens_first:
                await _listen(server)
            listening = str(server.ports.address)
            _log.info("serving %d version(s) on %s", len(server.registry.ready), listening)
            await tell(listening)
            await ending.stop.wait()
        _log.info("finishing %d call(s); a second signal drops them", server.calls.in_flight)
        finished = bool(await unless(ending.force, server.drain()))
        _exit_after(HANG_S, 0 if finished else 1)
    finally:
        await server.stop()
        await asyncio.to_thread(tracing.uninstall)
    _log.info("stopped" if finished else "stopped before every call was answered")
    return 0 if finished else 1


async def _listen(server: Server) -> None:
    await server.start()
    _log.info("listening on %s; each model answers as soon as it is loaded", server.ports.address)
    if server.ports.admin_address:
        _log.info("administration on %s", server.ports.admin_address)


def _exit_after(seconds: float, code: int) -> None:
    """End the process if it has not ended by then: a thread in a load, or a runtime that hangs, cannot be stopped."""

    def end() -> None:
        _log.error("a model does not let go; exiting without it")
        logging.shutdown()
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _tokens(settings: Settings) -> Callable[[], Sequence[Token]] | None:
    """What gives the tokens that are valid now; None if calls need no token.

    Raises:
        StartError: their file cannot be used.
    """
    if not settings.tokens:
        return None
    path = Path(settings.tokens)
    try:
        return Reloaded(lambda: read_tokens(path), [path], what="the tokens").value
    except OSError as error:
        raise StartError(f"cannot read the tokens in {path}: {error.strerror}") from None
    except ValueError as error:
        raise StartError(f"cannot use the tokens: {error}") from None

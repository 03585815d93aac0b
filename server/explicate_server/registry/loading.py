"""Loading a version: verified, tried, warmed up and measured, beside whatever serves meanwhile.

The work runs in threads of low priority, so that live traffic keeps the cores. What serves later must not inherit
that: sessions are made in an ordinary thread, for their pools take over the priority of the thread that makes them.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.errors import BundleError, UnreadableError
from explicate_bundle.repository import BundleLocation
from explicate_server.device import CPU, Device
from explicate_server.errors import NotServable
from explicate_server.modalities.modalities import bytes_beside, open_modality
from explicate_server.modalities.modality import Modality
from explicate_server.registry.device_sessions import open_sessions
from explicate_server.registry.golden_check import Trial
from explicate_server.registry.memory import Memory
from explicate_server.registry.records import ServedModel
from explicate_server.registry.required.recheck import recheck
from explicate_server.registry.runtime_choice import NoRuntime, choose_runtime
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.cores import usable_cores
from explicate_server.runtime.devices.device_kinds import loaders_on, place
from explicate_server.runtime.devices.tuning import tuned
from explicate_server.runtime.instance import Instance, calibrated
from explicate_server.runtime.model_runtime import Runtime
from explicate_server.runtime.nvml import open_nvml
from explicate_server.runtime.runtimes import Loader
from explicate_server.settings import Settings

# Failures whose message says all there is to say; the others leave a trace in the log.
EXPLAINED = (BundleError, NoRuntime, NotServable)
_NICENESS = 10
_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class BundleLoader:
    """Makes a :class:`ServedModel` of a bundle.

    Attributes:
        placement: the devices that each model is loaded on.
        memory: what may still be taken of the machine's and of theirs.
    """

    def __init__(self, settings: Settings, memory: Memory | None = None) -> None:
        """Find out which devices can be used; ``memory`` is this machine's, and that of its devices, unless given.

        Raises:
            DeviceUnavailable: one that was asked for by name cannot.
        """
        self._settings = settings
        self.placement = place(settings.device, runtime=settings.runtime)
        numbers = [device.number for device in self.placement.devices if device.number is not None]
        self.memory = memory or Memory.of(settings, open_nvml(), numbers)
        at_once = settings.max_loads
        self._quiet = ThreadPoolExecutor(at_once, thread_name_prefix="load", initializer=_yield_to_traffic)
        self._ordinary = ThreadPoolExecutor(at_once, thread_name_prefix="session")
        self._measuring = asyncio.Lock()

    async def verify(self, location: BundleLocation) -> VerifiedBundle:
        """Check every file.

        Raises:
            BundleError: the bundle cannot be trusted.
        """
        key = Path(self._settings.verify_key) if self._settings.verify_key else None
        return await self._run(
            verify_bundle, location.folder, model=location.model, version=location.version, verify_key=key
        )

    async def load(self, bundle: VerifiedBundle, *, copies: int = 1) -> ServedModel:
        """Load it, compare its golden answers on this device, and measure what batches take.

        There must be memory for as many ``copies``, of which other processes load the others.

        Raises:
            NotServable: there is clearly too little memory.
            BundleError, NoRuntime: it gives other answers, or cannot be run.
            NotServable: test rows are answered otherwise than on record.
        """
        model, beside = bundle.manifest.model, copies * bytes_beside(bundle)
        with self.memory.room_for(model, copies * graph_bytes(bundle), beside_bytes=beside):
            return await self._load(bundle)

    async def _load(self, bundle: VerifiedBundle) -> ServedModel:
        settings = self._settings
        await self._run(bundle.check_contents)
        modality = await self._run(open_modality, bundle, settings)
        manifest = bundle.manifest
        name = f"{manifest.model}/{manifest.version}"
        choose = partial(self._choose, bundle, modality)
        sessions = await self._run(open_sessions, self.placement, choose, name=name)
        rows = settings.standard_recheck
        rechecked = await self._run(recheck, bundle, modality, sessions.runtimes, rows) if rows else None
        async with self._measuring:  # two that are measured at once would each seem half as fast
            instances = [await self._run(_measured, bundle, modality, runtime) for runtime in sessions.runtimes]
        batcher = Batcher(
            instances,
            modality.collate,
            outputs=bundle.kind.predicts.outputs(len(manifest.class_labels)),
            max_queued_rows={
                Priority.PREDICT: settings.rows_that_may_wait(settings.max_queued_rows, modality.row_bytes),
                Priority.BULK: settings.rows_that_may_wait(settings.max_queued_bulk_rows, modality.row_bytes),
            },
            name=f"{manifest.model}-{manifest.version}",
        )
        return ServedModel(bundle, modality, batcher, sessions, rechecked)

    def _choose(
        self, bundle: VerifiedBundle, modality: Modality, device: Device, like: Runtime | None
    ) -> tuple[Runtime, list[Trial]]:
        """The best runtime on a device; where the model has one already, the same on this device."""
        settings = self._settings
        return choose_runtime(
            bundle,
            modality,
            runtime=like.name.rpartition("-")[0] if like else settings.runtime,
            threads=settings.threads or usable_cores(),
            loaders=self._loaders(device),
            precision=like.precision if like else settings.precision,
            device=device,
        )

    def close(self) -> None:
        """Begin no more work; what has begun is not waited for."""
        for threads in (self._quiet, self._ordinary):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._quiet, lambda: function(*arguments, **named))

    def _loaders(self, device: Device) -> Mapping[str, Loader]:
        loaders = loaders_on(device, self.placement, memory_bytes=self._settings.device_memory_bytes)
        return {name: _InThread(self._ordinary, loader) for name, loader in loaders.items()}


class _InThread:
    """A loader that works in another thread."""

    def __init__(self, threads: ThreadPoolExecutor, loader: Loader) -> None:
        self._threads = threads
        self._loader = loader

    def __call__(self, model_path: Path, *, threads: int, reduced: bool) -> Runtime:
        return self._threads.submit(self._loader, model_path, threads=threads, reduced=reduced).result()


def graph_bytes(bundle: VerifiedBundle) -> int:
    """Bytes of the graph's file, as the manifest says."""
    return next((file.size_bytes for file in bundle.manifest.files if file.name == bundle.model_path.name), 0)


def cause(error: Exception) -> str:
    """Why a load failed, for the operator."""
    return str(error) if isinstance(error, EXPLAINED) else f"{type(error).__name__}: {error}"


def code_of(error: Exception) -> str:
    """The same in one word of the error catalogue."""
    if isinstance(error, NotServable):
        return error.reason
    return "FILES_UNREADABLE" if isinstance(error, (UnreadableError, OSError)) else "LOAD_FAILED"


def may_loop(graph: Path) -> bool:
    """Whether how long a graph takes can depend on what it is asked: it has a node that loops, or may have one.

    Looks for the field `op_type` of a node (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) in the bytes.
    """
    content = graph.read_bytes()
    return any(b"\x22" + bytes([len(name)]) + name in content for name in (b"Loop", b"Scan", b"SequenceMap"))


def _yield_to_traffic() -> None:
    """Lower the priority of this thread; on Linux a thread has one of its own."""
    if sys.platform != "linux":
        return
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    except OSError as error:  # a sandbox may forbid it; loading then only disturbs more
        _log.info("loads run at ordinary priority: %s", error)


def _measured(bundle: VerifiedBundle, modality: Modality, runtime: Runtime) -> Instance:
    """A session with what its batches take, measured with a golden input."""
    row = modality.encode(bundle.golden().inputs[-1]).row
    measure = calibrated if runtime.device == CPU else tuned
    instance = measure(
        runtime,
        modality.collate,
        lambda length: modality.stretched(row, length),
        batch_tokens=modality.batch_tokens(runtime),
        max_length=modality.max_length,
    )
    instance.runs_here = runtime.device == CPU and not may_loop(bundle.model_path)
    return instance

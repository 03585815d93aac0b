"""ONNX Runtime: on the CPU, or on a device through one of its providers."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from explicate_bundle.writing import precision_of
from explicate_server.device import CPU, Device
from explicate_server.runtime.device_faults import DeviceOutOfMemory, fault_in
from explicate_server.runtime.devices.bound_inputs import BoundInputs, HostBuffer, is_faster
from explicate_server.runtime.model_runtime import Feeds, RuntimeUnavailable

# Padded tokens per batch: 8 rows of 32 tokens already run at the speed of 64 (MiniLM-L6), so a batch is kept near 40 ms
# and nobody waits long for the one that is running.
_CPU_BATCH_TOKENS = 384
# Several runs at once, each with fewer threads, finish as many rows as one run after the other with all threads (232
# against 231 rows/s, 2 cores), but do not all stop when a core serves the network instead.
_MOST_CPU_LANES = 4
_CPU_PROVIDER = "CPUExecutionProvider"
FATAL_ONLY = 4
_log = logging.getLogger(__name__)
# Releases that do not know it ignore it, and nodes are not counted.
_RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"
# A run with it gives back, at its end, what the session's arena holds and nobody uses:
# include/onnxruntime/core/session/onnxruntime_run_options_config_keys.h.
_SHRINK_ARENA = "memory.enable_memory_arena_shrinkage"


@dataclass(frozen=True)
class Provider:
    """One of ONNX Runtime's execution providers, on one device.

    Attributes:
        name: as ONNX Runtime spells it.
        device: what it runs on.
        options: the provider's own.
        batch_tokens: padded tokens of a batch before anything was measured.
        lanes: runs that may be in progress at once, at most.
        host_buffer: makes memory that the device reads by itself; None if there is nothing of the kind.
    """

    name: str = _CPU_PROVIDER
    device: Device = CPU
    options: Mapping[str, str] = field(default_factory=dict)
    batch_tokens: int = _CPU_BATCH_TOKENS
    lanes: int = _MOST_CPU_LANES
    host_buffer: HostBuffer | None = None

    @property
    def chain(self) -> list[str | tuple[str, dict[str, str]]]:
        """What a session is asked to use, in this order: what the provider cannot run falls to the CPU."""
        if self.name == _CPU_PROVIDER:
            return [self.name]
        return [(self.name, dict(self.options)), _CPU_PROVIDER]


ON_CPU = Provider()


class OnnxRuntime:
    """One ``InferenceSession`` over ``model.onnx`` or one of its variants.

    Attributes:
        precision: of the graph's file.
        device: what it runs on.
        nodes: of the graph as it runs, None where that is not known.
        cpu_nodes: those of them that the CPU runs for a device.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        threads: int,
        reduced: bool = False,  # noqa: ARG002
        provider: Provider = ON_CPU,
    ) -> None:
        """Load the graph for ``threads`` threads in all; it runs in the graph's own precision, ``reduced`` or not.

        Raises:
            RuntimeUnavailable: the session is not on the device.
        """
        on_cpu = provider.device == CPU
        self.precision = precision_of(model_path)
        self.device = provider.device
        self.name = f"onnxruntime-{provider.device.kind}"
        self.batch_tokens = provider.batch_tokens
        self.lanes = min(threads, provider.lanes) if on_cpu else provider.lanes
        options = ort.SessionOptions()
        # Each lane brings its own thread; the rest form the pool that all of them share.
        options.intra_op_num_threads = threads - self.lanes + 1 if on_cpu else 1
        # Shapes change from batch to batch: a memory plan per shape would only pile up.
        options.enable_mem_pattern = False
        options.log_severity_level = FATAL_ONLY
        if not on_cpu:
            options.add_session_config_entry(_RECORD_ASSIGNMENT, "1")
        self._session = _session(model_path, options, provider)
        self._output = self._session.get_outputs()[0].name
        self._host_buffer = provider.host_buffer
        self._bound: BoundInputs | None = None  # not its method: a cycle would keep the device's memory until collected
        self._full = False
        counts = None if on_cpu else node_counts(self._session)
        self.nodes = sum(counts.values()) if counts else None
        self.cpu_nodes = counts[_CPU_PROVIDER] if counts else None

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """The graph's output float32[batch, outputs]; releases the interpreter lock while it computes.

        Raises:
            DeviceOutOfMemory: the batch does not fit in the device's memory.
            DeviceLost: the device answers no more.
        """
        try:
            answers = self._answers(feeds)
        except Exception as error:
            fault = fault_in(error)
            self._full = isinstance(fault, DeviceOutOfMemory)
            raise fault or error from None
        return np.asarray(answers, dtype=np.float32)

    @property
    def binds_inputs(self) -> bool:
        """Whether batches are handed over in memory that the device reads by itself."""
        return self._bound is not None

    def settle(self, feeds: Feeds) -> None:
        """Hand batches over in memory that the device reads by itself, where that is faster and works."""
        if self._host_buffer is None:
            return
        bound = BoundInputs(self._session, self._output, self._host_buffer, lanes=self.lanes)
        try:
            faster = is_faster(bound.run, self._run_plainly, feeds)
        except Exception as error:  # the usual way works; what is wrong with the other one may be anything
            _log.info("%s: batches are copied, for page-locked memory failed: %s", self.device, error)
            return
        if faster:
            self._bound = bound

    def _answers(self, feeds: Feeds) -> NDArray[Any]:
        """Of a batch; after one that did not fit, with the arena's spare pieces given back at the end.

        Of memory that is taken as it is asked for, pieces of many sizes are left, and none of them may fit the next.
        """
        if self._full:
            self._full = False
            return self._run_plainly(feeds, _shrinking(self.device))
        return self._run_plainly(feeds) if self._bound is None else self._bound.run(feeds)

    def _run_plainly(self, feeds: Feeds, options: Any = None) -> NDArray[Any]:
        (answers,) = self._session.run([self._output], dict(feeds), options)
        return np.asarray(answers)


def _shrinking(device: Device) -> Any:
    """Options of a run after which the arena of a device has no spare pieces."""
    options = ort.RunOptions()
    options.add_run_config_entry(_SHRINK_ARENA, "cpu:0" if device.number is None else f"gpu:{device.number}")
    return options


def _session(model_path: Path, options: ort.SessionOptions, provider: Provider) -> Any:
    """A session that is on the device: the providers that it was asked to use are only a wish."""
    try:
        session = ort.InferenceSession(str(model_path), options, providers=provider.chain)
    except Exception as error:
        raise fault_in(error) or error from None
    if provider.name not in session.get_providers():
        raise RuntimeUnavailable(f"ONNX Runtime did not load {provider.name}, so nothing runs on {provider.device}")
    return session


def node_counts(session: Any) -> Counter[str] | None:
    """How many nodes of the graph each provider runs; None where ONNX Runtime does not tell."""
    told: Callable[[], Any] | None = getattr(session, "get_provider_graph_assignment_info", None)
    if told is None:
        return None
    counts: Counter[str] = Counter()
    for part in told():
        counts[part.ep_name] += len(part.get_nodes())
    return counts

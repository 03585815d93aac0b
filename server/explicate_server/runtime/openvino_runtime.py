"""OpenVINO: the same graph on Intel and AMD CPUs, in bf16 where the chip computes it natively.

Shapes stay dynamic. A shape that was not seen before costs 16 % more than the same shape again (MiniLM-L6, bf16);
rounding lengths up to multiples of 4 or 8 saves less than the added padding costs (71 µs a token as they come, 74 and
75 rounded), so they come as they are, and the checks at load warm the common ones up.
"""

import sys
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any  # openvino is an extra, and untyped

import numpy as np
from numpy.typing import NDArray

from explicate_server.device import CPU
from explicate_server.runtime.model_runtime import Feeds, RuntimeUnavailable

# Padded tokens per batch. Tokens/s on 2 cores, two lanes, MiniLM-L6 in bf16: 26,000 at 384, 28,400 at 512, 30,800 at
# 768, 29,400 at 1536. A batch of 768 takes 50 ms.
_BATCH_TOKENS = 768
# Two lanes of one thread finish 10 % more than one lane of two.
_MOST_LANES = 4
_DEVICE = "CPU"
_FIRST_USE = Lock()


class OpenVinoRuntime:
    """One compiled model, with an infer request for each lane; a run beyond those waits."""

    name = "openvino-cpu"
    batch_tokens = _BATCH_TOKENS
    device = CPU
    nodes = None
    cpu_nodes = None

    def __init__(self, model_path: Path, *, threads: int, reduced: bool) -> None:
        """Compile the graph for ``threads`` threads in all; ``reduced`` allows bf16.

        Raises:
            RuntimeUnavailable: the package is missing.
        """
        core = _import_openvino().Core()
        fast_bf16 = "BF16" in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        self.lanes = min(threads, _MOST_LANES)
        compiled = core.compile_model(
            core.read_model(model_path),
            _DEVICE,
            {
                "INFERENCE_PRECISION_HINT": "bf16" if reduced and fast_bf16 else "f32",
                "INFERENCE_NUM_THREADS": str(threads),
                "NUM_STREAMS": str(self.lanes),
                # Threads nailed to the first cores would meet there with those of other models and other servers.
                "ENABLE_CPU_PINNING": "NO",
            },
        )
        # A hint is only a wish; the compiled model knows.
        used: str = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = {"f32": "fp32", "f16": "fp16"}.get(used, used)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.lanes):
            self._requests.put(compiled.create_infer_request())

    def settle(self, feeds: Feeds) -> None:
        """There is nothing to find out on the CPU."""

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """The graph's output float32[batch, outputs]; releases the interpreter lock while it computes."""
        request = self._requests.get()
        try:
            request.infer(dict(feeds), share_inputs=True)
            # The request's next run overwrites its output.
            return np.array(request.get_output_tensor(0).data, dtype=np.float32)
        finally:
            self._requests.put(request)


def _import_openvino() -> Any:
    # On import the package tells its maker over the network that it was imported, unless this module is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with _FIRST_USE:
        try:
            import openvino
        except ImportError:
            raise RuntimeUnavailable(
                "the openvino package is missing: pip install 'explicate[openvino]' installs it"
            ) from None
        # Its bindings look numpy up at their first use, in a C++ static. Of two threads that meet there one waits for
        # the static with the interpreter lock, the other for the lock with the static, and the process hangs for ever.
        openvino.Type.f32.to_dtype()
        openvino.Tensor(np.zeros(1, dtype=np.float32))
    return openvino

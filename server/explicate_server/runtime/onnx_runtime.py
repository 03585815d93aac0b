"""ONNX Runtime: CUDA when the machine has it, CPU otherwise."""

import ctypes
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from explicate_server.runtime.model_runtime import Feeds

# Padded tokens per batch. CPU: 8 rows of 32 tokens already run at the speed of 64 (MiniLM-L6), so a batch is kept near
# 40 ms and nobody waits long for the one that is running. On CUDA small batches are mostly launches.
_BATCH_TOKENS = {"cpu": 384, "cuda": 16384}
# Several runs at once, each with fewer threads, finish as many rows as one run after the other with all threads (232
# against 231 rows/s, 2 cores), but do not all stop when a core serves the network instead.
_MOST_CPU_LANES = 4
_FATAL_ONLY = 4
# TF32 rounds products to 10 bits: a MiniLM-L6 with random weights was off by 0.002 of a logit on an H200 and refused by
# its own golden outputs; without it by 2e-6, at 0.4 to 0.8 times the rows a second. The default search for convolution
# algorithms runs again at every new shape.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


class OnnxRuntime:
    """One ``InferenceSession`` over ``model.onnx``."""

    precision = "fp32"  # as the graph is written

    def __init__(self, model_path: Path, *, threads: int, reduced: bool = False) -> None:  # noqa: ARG002
        """Load the graph for ``threads`` threads in all; it runs in the graph's own precision, ``reduced`` or not."""
        providers = _providers()
        self.lanes = 1 if len(providers) > 1 else min(threads, _MOST_CPU_LANES)
        options = ort.SessionOptions()
        # Each lane brings its own thread; the rest form the pool that all of them share.
        options.intra_op_num_threads = threads - self.lanes + 1
        # Shapes change from batch to batch: a memory plan per shape would only pile up.
        options.enable_mem_pattern = False
        options.log_severity_level = _FATAL_ONLY
        self._session = ort.InferenceSession(str(model_path), options, providers=providers)
        self._output = self._session.get_outputs()[0].name
        # The list of providers that could load is only a promise; the session knows which did.
        device = "cuda" if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"
        self.name = f"onnxruntime-{device}"
        self.batch_tokens = _BATCH_TOKENS[device]

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """The graph's output float32[batch, outputs]; releases the interpreter lock while it computes."""
        (answers,) = self._session.run([self._output], dict(feeds))
        return np.asarray(answers, dtype=np.float32)


def _providers() -> list[str | tuple[str, Mapping[str, str]]]:
    if "CUDAExecutionProvider" in ort.get_available_providers() and has_cuda_driver():
        return [("CUDAExecutionProvider", _CUDA_OPTIONS), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def has_cuda_driver() -> bool:
    """Ask the driver's library first: without it ONNX Runtime fails to load CUDA, and says so loudly."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True

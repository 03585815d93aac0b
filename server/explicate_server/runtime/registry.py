"""The runtimes a bundle can be loaded in: one file each, one line here."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from explicate_server.runtime.base import Runtime
from explicate_server.runtime.onnx_runtime import OnnxRuntime

RUNTIMES: Mapping[str, Callable[[Path, int], Runtime]] = {
    "onnxruntime": lambda model_path, threads: OnnxRuntime(model_path, threads=threads),
}


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

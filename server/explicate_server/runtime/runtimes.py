"""The runtimes a bundle can be loaded in: one file each, one line here, the default first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from explicate_server.runtime.model_runtime import Runtime
from explicate_server.runtime.onnx_runtime import OnnxRuntime
from explicate_server.runtime.openvino_runtime import OpenVinoRuntime


class Loader(Protocol):
    """Loads a graph into a runtime."""

    def __call__(self, model_path: Path, *, threads: int, reduced: bool) -> Runtime:
        """Load for ``threads`` threads in all; ``reduced`` allows a lower precision than the graph's.

        Raises:
            RuntimeUnavailable: it cannot be used on this machine.
        """


RUNTIMES: Mapping[str, Loader] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVinoRuntime,
}
DEFAULT_RUNTIME = "onnxruntime"

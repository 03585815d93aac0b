"""NVIDIA's devices, through ONNX Runtime's CUDA provider.

That a build lists the provider is only a promise: the driver must be there, and CUDA's and cuDNN's libraries must load.
So the driver is asked first, which costs nothing, and then a session with one node, which ONNX Runtime takes to the
CPU without an error where it cannot load CUDA.
"""

import contextlib
import ctypes
import io
import logging
import weakref
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any  # ctypes knows no functions of the driver

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from explicate_server.device import Device
from explicate_server.runtime.model_runtime import RuntimeUnavailable
from explicate_server.runtime.onnx_runtime import FATAL_ONLY, OnnxRuntime, Provider

_PROVIDER = "CUDAExecutionProvider"
_DRIVER = "libcuda.so.1"
_HINT = "pip install 'explicate[gpu]' brings what it needs"
_log = logging.getLogger(__name__)
# y = x + x for one float, as ONNX of opset 13; tests/unit/server/test_devices.py makes it with the onnx package.
PROBE_GRAPH = bytes.fromhex(
    "08083a390a0e0a01780a01781201792203416464120570726f62655a0f0a0178120a0a08080112040a020801620f0a0179120a0a0808"
    "0112040a02080142040a00100d"
)
# Padded tokens of the batches that the golden inputs run in, before anything was measured.
_FIRST_BATCH_TOKENS = 2048
# While one batch computes, the next is put together and copied; whether that pays is measured when a model is loaded.
_MOST_LANES = 2
_PORTABLE = 1  # CU_MEMHOSTALLOC_PORTABLE: page-locked for every context of the process


def provider_options(number: int, *, memory_bytes: int = 0) -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider for a device.

    https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#configuration-options
    """
    options = {
        "device_id": str(number),
        # TF32 rounds products to 10 bits: a MiniLM-L6 with random weights was off by 0.002 of a logit on an H200 and
        # refused by its own golden outputs; without it by 2e-6, at 0.4 to 0.8 times the rows a second.
        "use_tf32": "0",
        # The default searches for convolution algorithms again at every new shape.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The default takes the next power of two, so two models could leave half of the memory idle.
        "arena_extend_strategy": "kSameAsRequested",
        # Tensor cores read convolutions' inputs in this order. A graph without convolutions stays as it is.
        "prefer_nhwc": "1",
    }
    return options | ({"gpu_mem_limit": str(memory_bytes)} if memory_bytes else {})


class _Cuda:
    """All that is known of CUDA on this machine, found out once."""

    name = "cuda"
    runtime = "onnxruntime"

    def why_not(self) -> str | None:
        """Why CUDA cannot be used, from the cheapest question to the session; None if it can."""
        return self._reason

    def count(self) -> int:
        """Devices that the driver shows; CUDA_VISIBLE_DEVICES hides others."""
        return self._devices

    def load(self, model_path: Path, *, number: int, threads: int, reduced: bool, memory_bytes: int = 0) -> OnnxRuntime:
        """A session on a device."""
        if reason := self.why_not():
            raise RuntimeUnavailable(f"CUDA cannot be used: {reason}")
        return OnnxRuntime(
            model_path, threads=threads, reduced=reduced, provider=self.provider(number, memory_bytes=memory_bytes)
        )

    def provider(self, number: int, *, memory_bytes: int = 0) -> Provider:
        """What ONNX Runtime needs to know of a device."""
        return Provider(
            name=_PROVIDER,
            device=Device(self.name, number),
            options=provider_options(number, memory_bytes=memory_bytes),
            batch_tokens=_FIRST_BATCH_TOKENS,
            lanes=_MOST_LANES,
            host_buffer=partial(pinned_buffer, number),
        )

    @cached_property
    def _reason(self) -> str | None:
        if _PROVIDER not in ort.get_available_providers():
            return f"this build of ONNX Runtime ({ort.__version__}) does not have CUDA; {_HINT}"
        if not has_cuda_driver():
            return f"there is no CUDA driver ({_DRIVER}) on this machine"
        if not self._devices:
            return f"the CUDA driver shows no device ({_driver_says()})"
        missing = preload_libraries()
        return _why_no_session(provider_options(0), missing)

    @cached_property
    def _devices(self) -> int:
        return device_count() if has_cuda_driver() else 0


CUDA = _Cuda()


def has_cuda_driver() -> bool:
    """Ask the driver's library first: without it ONNX Runtime fails to load CUDA, and says so loudly."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


def device_count() -> int:
    """Devices that the driver shows to this process; 0 where it does not start."""
    driver, count = ctypes.CDLL(_DRIVER), ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def pinned_buffer(number: int, size: int) -> NDArray[np.uint8]:
    """Page-locked memory uint8[size], which a device reads by itself; it is given back with the array.

    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__MEM.html (cuMemHostAlloc)

    Raises:
        OSError: the driver does not give it.
    """
    driver: Any = ctypes.CDLL(_DRIVER)
    device, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    # The context is the one that CUDA's runtime, and so ONNX Runtime, uses on the device.
    code = (
        driver.cuDeviceGet(ctypes.byref(device), number)
        or driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
        or driver.cuCtxSetCurrent(context)
        or driver.cuMemHostAlloc(ctypes.byref(address), ctypes.c_size_t(size), _PORTABLE)
    )
    if code or address.value is None:
        raise OSError(f"error {code} of the CUDA driver for {size:,} bytes of page-locked memory")
    buffer = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address.value))
    weakref.finalize(buffer, driver.cuMemFreeHost, address).atexit = False
    return buffer


def preload_libraries() -> str:
    """Load CUDA's libraries from the nvidia packages that pip installed; returns the first line of what is missing.

    ONNX Runtime prints what it cannot find, and standard output is for the address.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        ort.preload_dlls()
    for line in said.getvalue().splitlines():
        _log.debug("preloading CUDA: %s", line)
    return next(iter(said.getvalue().splitlines()), "")


def _driver_says() -> str:
    driver, text = ctypes.CDLL(_DRIVER), ctypes.c_char_p()
    code = int(driver.cuInit(0))
    if not code:
        return "CUDA_VISIBLE_DEVICES may hide it"
    driver.cuGetErrorString(code, ctypes.byref(text))
    return f"error {code}: {(text.value or b'unknown').decode('utf-8', 'replace')}"


def _why_no_session(options: Mapping[str, str], missing: str) -> str | None:
    """Why a session of one node is not on CUDA; None if it is, and answers."""
    session_options = ort.SessionOptions()
    session_options.log_severity_level = FATAL_ONLY
    try:
        providers = [(_PROVIDER, options), "CPUExecutionProvider"]
        session = ort.InferenceSession(PROBE_GRAPH, session_options, providers=providers)
        if _PROVIDER not in session.get_providers():
            return f"ONNX Runtime {ort.__version__} cannot load it ({missing or 'CUDA and cuDNN are needed'}); {_HINT}"
        (answer,) = session.run(["y"], {"x": np.ones(1, dtype=np.float32)})
    except Exception as error:  # it may fail with anything, such as a device too old for the build
        return f"a session of one node failed ({' '.join(str(error).split())[:200]}); {_HINT}"
    return None if float(answer[0]) == 2.0 else "a session of one node gave a wrong answer"

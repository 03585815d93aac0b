"""What a device can fail with, apart from what is wrong with an input: told from the texts of runtimes and drivers."""

import re


class DeviceOutOfMemory(Exception):
    """A batch does not fit in the device's memory; a smaller one may."""


class DeviceLost(Exception):
    """The device answers no more, whatever it is asked; the message says why."""


# ONNX Runtime's arena (core/framework/bfc_arena.cc), the allocator of the C++ library, and CUDA's libraries.
_OUT_OF_MEMORY = re.compile(
    r"failed to allocate memory|std::bad_alloc|bad allocation|out of memory|CUDA (?:failure|error) 2\b"
    r"|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED|CL_OUT_OF_(?:RESOURCES|HOST_MEMORY)",
    re.IGNORECASE,
)
# After these a CUDA context is of no use until the process ends, as their descriptions say:
# https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html (cudaError). ONNX Runtime tells them as
# "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; …" (core/providers/cuda/cuda_call.cc). What the
# driver reports as an XID comes as one of them, or as 999, "unknown error".
_FATAL_CODES = (46, 100, 101, 201, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999)
_LOST = re.compile(
    rf"CUDA (?:failure|error):? (?:{'|'.join(map(str, _FATAL_CODES))})\b"
    r"|device-side assert|illegal memory access|illegal instruction|misaligned address|unspecified launch failure"
    r"|uncorrectable (?:ECC|NVLink) error|hardware stack error|launch timed out|device is (?:lost|unavailable)"
    r"|device removed|fallen off the bus|\bXid\b|CUBLAS_STATUS_EXECUTION_FAILED|CUDNN_STATUS_EXECUTION_FAILED",
    re.IGNORECASE,
)
_MOST_CHARACTERS = 200


def fault_in(error: Exception) -> DeviceOutOfMemory | DeviceLost | None:
    """The fault of the device that a runtime's error tells; None if it may be the input's."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return DeviceOutOfMemory(text or "out of memory")
    for pattern, fault in ((_LOST, DeviceLost), (_OUT_OF_MEMORY, DeviceOutOfMemory)):
        if found := pattern.search(text):
            # Names of hosts and files follow; callers are told this text.
            return fault(text[found.start() :].partition(" ; ")[0][:_MOST_CHARACTERS])
    return None

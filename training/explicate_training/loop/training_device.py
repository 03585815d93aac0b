"""Where a run trains and in which precision: on the GPU when there is one, in bf16 where the hardware has it.

What is saved, measured and exported does not depend on it: weights are saved in fp32, and safetensors know no devices.
"""

from dataclasses import dataclass

import torch

from explicate.errors import UsageError
from explicate_training.config.sections import TrainingOptions


@dataclass(frozen=True)
class Placement:
    """The device that trains, and its arithmetic.

    Attributes:
        device: "cuda", "mps" or "cpu".
        product: of a GPU, such as "NVIDIA H200"; empty where nobody says.
        bf16: whether layers compute in bf16, with fp32 weights beside them; otherwise all is fp32.
        why: no GPU is used, in words; empty where one is, or where that was asked for.
    """

    device: str
    bf16: bool
    product: str = ""
    why: str = ""

    @property
    def precision(self) -> str:
        """As run.json says it."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def name(self) -> str:
        """As run.json says it."""
        return f"{self.device} {self.product}".strip()

    def __str__(self) -> str:
        arithmetic = "bf16, its weights in fp32" if self.bf16 else "fp32"
        return f"on {self.name} in {arithmetic}{f' ({self.why})' if self.why else ''}"


def placement(config: TrainingOptions) -> Placement:
    """Resolves `training.device` and `training.precision` for this machine.

    Raises:
        UsageError: the device is not there, or does not have the precision.
    """
    device = _device(config.device)
    product = torch.cuda.get_device_name(0) if device == "cuda" else ""
    why = _why_no_cuda() if config.device == "auto" and device == "cpu" else ""
    return Placement(device, _bf16(config.precision, device), product, why)


def _device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"training.device is cuda, but {_why_no_cuda()}: use auto or cpu")
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    return "torch finds no CUDA device"


def _bf16(wanted: str, device: str) -> bool:
    if wanted == "auto":
        return _bf16_pays(device)
    if wanted == "bf16" and (device == "mps" or (device == "cuda" and not torch.cuda.is_bf16_supported())):
        raise UsageError(f"training.precision is bf16, which this {device} device does not do: use auto or fp32")
    return wanted == "bf16"


def _bf16_pays(device: str) -> bool:
    """Whether a device has bf16 arithmetic.

    On a CPU that means AMX or AVX512-BF16: with the latter a step of MiniLM-L6 took 0.25 ms a token against 0.55 ms in
    fp32; without either, bf16 is emulated and slower.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "mps" or not hasattr(torch.cpu, "get_capabilities"):  # an older torch does not tell
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))

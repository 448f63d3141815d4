"""What computes: a GPU of any maker, or the processor, and what torch does well on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Device:
    """One device, and how to use it.

    Parameters
    ----------
    kind
        Name that torch has for the kind; AMD's GPUs are `cuda` too.
    index
        Number among the devices of the kind that this process sees.
    platform
        Software below torch.
    name
        What the device calls itself.
    autocast
        Name of torch's number type for mixed precision, without `torch.`; None where it would not be faster.
    backend
        What torch.distributed sends tensors of this device with.
    channels_last
        Whether convolutions are fastest with channels as the innermost axis.
    pixels_at_once
        Pixels of images that one pass of a network should have to keep the device busy.
    inference
        Name of torch's number type that trained networks compute in, without `torch.`. On a GPU it is float32, whose
        convolutions torch does in tf32 there: shorter numbers are hardly faster.
    """

    kind: Literal["cpu", "cuda", "xpu"] = "cpu"
    index: int = 0
    platform: Literal["CPU", "CUDA", "ROCm", "XPU"] = "CPU"
    name: str = "processor"
    autocast: str | None = None
    backend: Literal["gloo", "nccl", "xccl"] = "gloo"
    channels_last: bool = True
    pixels_at_once: int = 1
    inference: Literal["float32", "bfloat16"] = "float32"

    @property
    def torch_name(self) -> str:
        """What `torch.device` takes."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    def __str__(self) -> str:
        training = "float32" if self.autocast is None else f"float32 or mixed with {self.autocast}"
        numbers = f"{self.inference} for inference, {training} for training"
        return f"{self.platform} {self.torch_name} ({self.name}), {numbers}, groups over {self.backend}"


CPU = Device()
"""A processor of which nothing more is known: float32."""
_GPU_PIXELS = 2**20  # sixteen frames of 256²
_CORE_PIXELS = 2**16  # four frames of 128², in 0.86 of the time; more of larger ones leave its cache


def find_device(local_rank: int = 0) -> Device:
    """Pick the device of one process: a GPU if torch sees any, else the processor.

    Parameters
    ----------
    local_rank
        Number of this process among those on its host; they take the devices in turn.
    """
    import torch

    if torch.cuda.is_available():
        index = local_rank % torch.cuda.device_count()
        rocm = torch.version.hip is not None
        return Device(
            "cuda",
            index,
            "ROCm" if rocm else "CUDA",
            torch.cuda.get_device_name(index),
            "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else None,
            # RCCL answers to the name of NCCL.
            "nccl" if torch.distributed.is_nccl_available() else "gloo",
            # MIOpen copies channels-last tensors back and forth unless told otherwise by an environment variable.
            channels_last=not rocm,
            pixels_at_once=_GPU_PIXELS,
        )
    if torch.xpu.is_available():
        index = local_rank % torch.xpu.device_count()
        name = torch.xpu.get_device_name(index)
        xccl = getattr(torch.distributed, "is_xccl_available", lambda: False)()
        return Device("xpu", index, "XPU", name, "bfloat16", "xccl" if xccl else "gloo", pixels_at_once=_GPU_PIXELS)
    return _processor()


def _processor() -> Device:
    """Return the processor: with bfloat16, twice as fast, where it multiplies matrices of these in hardware."""
    import torch

    # Without such instructions torch does bfloat16 in software, far slower than float32.
    features: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if features.get("avx512_bf16") or features.get("amx_bf16"):
        return replace(CPU, autocast="bfloat16", inference="bfloat16", pixels_at_once=_CORE_PIXELS)
    return CPU

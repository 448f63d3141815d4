"""What computes: a GPU of any maker, or the processor, and what torch does well on it."""

from __future__ import annotations

from dataclasses import dataclass
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
        Pixels of images that one pass of a network should have to keep the device busy; a processor is with any.
    """

    kind: Literal["cpu", "cuda", "xpu"] = "cpu"
    index: int = 0
    platform: Literal["CPU", "CUDA", "ROCm", "XPU"] = "CPU"
    name: str = "processor"
    autocast: str | None = None
    backend: Literal["gloo", "nccl", "xccl"] = "gloo"
    channels_last: bool = True
    pixels_at_once: int = 1

    @property
    def torch_name(self) -> str:
        """What `torch.device` takes."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    def __str__(self) -> str:
        precision = "float32" if self.autocast is None else f"float32 or mixed with {self.autocast}"
        return f"{self.platform} {self.torch_name} ({self.name}), {precision}, groups over {self.backend}"


CPU = Device()
_GPU_PIXELS = 2**20  # sixteen frames of 256²


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
    return CPU

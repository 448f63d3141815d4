"""The device layer: each maker's GPU under the names that torch has for it."""

import pytest
import torch

from hpcstem.device import CPU, find_device


@pytest.fixture
def pretend(monkeypatch):
    """Let torch report GPUs that are not there."""

    def gpus(kind, count=2, hip=None, bfloat16=True, sends=True, processor=()):
        cuda, xpu = kind == "cuda", kind == "xpu"
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(processor, True), raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"card {index}")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
        monkeypatch.setattr(torch.version, "hip", hip)
        monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: sends)
        monkeypatch.setattr(torch.xpu, "is_available", lambda: xpu)
        monkeypatch.setattr(torch.xpu, "device_count", lambda: count)
        monkeypatch.setattr(torch.xpu, "get_device_name", lambda index: f"tile {index}")
        monkeypatch.setattr(torch.distributed, "is_xccl_available", lambda: sends, raising=False)

    return gpus


def test_without_a_gpu_the_processor(pretend):
    pretend(None)
    assert find_device(3) == CPU
    assert (CPU.torch_name, CPU.autocast, CPU.backend, CPU.channels_last) == ("cpu", None, "gloo", True)
    assert str(CPU) == "CPU cpu (processor), float32 for inference, float32 for training, groups over gloo"


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16"])
def test_a_processor_that_multiplies_bfloat16(pretend, instructions):
    pretend(None, processor=["avx2", instructions])
    device = find_device()
    assert (device.torch_name, device.autocast, device.inference) == ("cpu", "bfloat16", "bfloat16")


def test_a_torch_that_does_not_tell_what_the_processor_can(pretend, monkeypatch):
    pretend(None)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert find_device() == CPU


def test_cuda(pretend):
    pretend("cuda")
    device = find_device(3)
    assert (device.platform, device.torch_name, device.name) == ("CUDA", "cuda:1", "card 1")
    assert (device.autocast, device.backend, device.channels_last) == ("bfloat16", "nccl", True)
    assert device.inference == "float32"
    numbers = "float32 for inference, float32 or mixed with bfloat16 for training"
    assert str(device) == f"CUDA cuda:1 (card 1), {numbers}, groups over nccl"


def test_an_old_card_in_a_build_without_nccl(pretend):
    pretend("cuda", bfloat16=False, sends=False)
    assert (find_device().autocast, find_device().backend) == (None, "gloo")


def test_rocm_calls_itself_cuda(pretend):
    pretend("cuda", hip="6.2.1")
    device = find_device()
    assert (device.platform, device.torch_name, device.backend) == ("ROCm", "cuda:0", "nccl")
    assert not device.channels_last


def test_xpu(pretend):
    pretend("xpu")
    device = find_device(1)
    assert (device.platform, device.torch_name, device.name, device.backend) == ("XPU", "xpu:1", "tile 1", "xccl")
    pretend("xpu", sends=False)
    assert find_device().backend == "gloo"

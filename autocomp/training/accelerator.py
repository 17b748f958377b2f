"""Where does PyTorch compute? On this process's cores, unless a job holds a share of a GPU.

Training and predictions use `current_device`; everything else stays on the CPU, and an encoder is back there when they
are done.

No public function of torch says whether its CPU library multiplies BF16 natively, so `cpu_has_bf16` calls a private
one (read for torch 2.13; tests/packaging/test_insides.py fails when it changes). Where it is gone the answer is no,
which is correct on every CPU and slower on those that could.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import TypeVar

import torch
from torch import nn

from autocomp.errors import GpuError

CPU = torch.device("cpu")
NATIVE_BF16 = "_is_mkldnn_bf16_supported"
"""Name of the function of `torch.ops.mkldnn` that says whether the CPU multiplies BF16 natively."""
M = TypeVar("M", bound=nn.Module)
_current_device: ContextVar[torch.device] = ContextVar("current_device", default=CPU)


def gpus() -> int:
    """GPUs of this process that its PyTorch can use."""
    return torch.accelerator.device_count() if torch.accelerator.is_available() else 0


def gpu_name() -> str:
    """The name of this process's first GPU; empty without one."""
    if not gpus():
        return ""
    return str(_device_function(_gpu(), "get_device_name") or _gpu())


def current_device() -> torch.device:
    """The device on which training and predictions happen now."""
    return _current_device.get()


@contextmanager
def computing_on(share: float) -> Iterator[None]:
    """Let training and predictions use that share of this process's GPU while this lasts; the CPU if it is 0.

    A job that needs more memory than its share fails alone, and not those beside it.

    Raises:
        GpuError: there is a share, and no GPU that PyTorch can use.
    """
    if not share:
        yield
        return
    device = _gpu()
    _device_function(device, "set_per_process_memory_fraction", float(share))
    before = _current_device.set(device)
    try:
        yield
    finally:
        _current_device.reset(before)
        _device_function(device, "empty_cache")


def _gpu() -> torch.device:
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        raise GpuError(
            f"this process holds a GPU, but its PyTorch ({torch.__version__}) can use none; {GpuError.way_out}"
        )
    return torch.device(found.type, torch.accelerator.current_device_index())


def _device_function(device: torch.device, name: str, *args: object) -> object:
    """The result of a function of PyTorch's module for this kind of device; None if it has none of this name."""
    function = getattr(torch.get_device_module(device), name, None)
    return function(*args) if function else None


@contextmanager
def on_device(*modules: nn.Module) -> Iterator[torch.device]:
    """Keep modules where training and predictions happen while this lasts, and on the CPU afterwards."""
    device = current_device()
    if device == CPU:
        yield device
        return
    for module in modules:
        module.to(device)
    try:
        yield device
    finally:
        for module in modules:
            module.to(CPU)


def autocast() -> AbstractContextManager[object]:
    """BF16 autocast where the current device multiplies it natively; it slows others down."""
    kind = current_device().type
    return torch.autocast(kind, torch.bfloat16) if has_bf16(kind) else nullcontext()


def ready_to_read(module: M) -> M:
    """A copy whose linears are in the format that `autocast` would cast them to again for every batch."""
    module = copy.deepcopy(module)
    if has_bf16(current_device().type):
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.to(torch.bfloat16)
    return module


@cache
def has_bf16(kind: str = "cpu") -> bool:
    """Whether devices of this kind multiply BF16 natively."""
    if kind == "cpu":
        return cpu_has_bf16()
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(_device_function(torch.device(kind), "is_bf16_supported"))


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies BF16 natively, as far as torch tells."""
    is_supported = getattr(torch.ops.mkldnn, NATIVE_BF16, None)
    return bool(is_supported()) if is_supported else False

"""GPUs for machines without any: a PyTorch device whose kernels are the CPU's.

What happens on it is what happens on a real one: tensors have to be sent there and back, and one of the CPU among
those of the device is an error. With this folder in PYTHONPATH every process finds it as PyTorch finds any device that
is no part of it, by an entry point. `$PRETEND_GPUS` says how many a machine has, `$CUDA_VISIBLE_DEVICES` which of them
a process may see.
"""

import os

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

KIND = "pretend"
HERE = torch.device("cpu")
MAY_MIX = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}


class Runtime:
    """What PyTorch asks of a kind of device."""

    ran = 0

    @staticmethod
    def device_count() -> int:
        """Those that this process may see."""
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        return int(os.environ.get("PRETEND_GPUS", "1")) if seen is None else len([s for s in seen.split(",") if s])

    is_available = classmethod(lambda cls: cls.device_count() > 0)
    is_initialized = staticmethod(lambda: True)
    _is_in_bad_fork = staticmethod(lambda: False)
    current_device = staticmethod(lambda: 0)
    get_device_name = staticmethod(lambda device=None: "Pretend GPU")
    manual_seed = manual_seed_all = staticmethod(lambda seed: None)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16])


class Hook(torch._C._acc.PrivateUse1Hooks):
    """What PyTorch's own code asks of it."""

    def is_available(self) -> bool:
        return Runtime.is_available()

    def has_primary_context(self, index: int) -> bool:
        return True

    def is_built(self) -> bool:
        return True


class Held(torch.Tensor):
    """A tensor of the device."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Held":
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=f"{KIND}:0"
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, op, types, args=(), kwargs=None):
        return computed(op, *args, **(kwargs or {}))


def computed(op, *args, **kwargs):
    """The operator on the CPU, of what the device's tensors hold."""
    owners = {}

    def inside(x):
        if isinstance(x, Held):
            owners[id(x.inner)] = x
            return x.inner
        if isinstance(x, torch.Tensor) and x.ndim and op not in MAY_MIX:
            raise RuntimeError(f"{op}: a tensor {tuple(x.shape)} of the CPU among those of the device")
        return HERE if isinstance(x, torch.device) else x

    Runtime.ran += 1
    given, options = tree_map(inside, args), tree_map(inside, kwargs)
    found = op(*given, **options)
    if kwargs.get("device") == HERE:
        return found

    def outside(x):
        if not isinstance(x, torch.Tensor):
            return x
        return owners[id(x)] if id(x) in owners else Held(x)  # what was changed in place stays the same tensor

    return tree_map(outside, found)


def load() -> None:
    """Called once when a process imports torch."""
    _setup_privateuseone_for_python_backend(KIND, Runtime, Hook())
    library = torch.library.Library("_", "IMPL")
    library.fallback(computed, "PrivateUse1")
    Runtime.library = library  # the device lasts as long as it

"""What autocomp relies on inside torch to see allocations, all of it here.

Read for torch 2.13, and held by tests/packaging/test_insides.py.

`TorchDispatchMode` is the only way to see every operation's results on any device. Its module has a private name,
though torch's own documentation and many libraries use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation while it is entered, and tells the bytes of results that are no view of an argument."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tell = tell

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count what it made."""
        result = func(*args, **(kwargs or {}))
        given = {_place(tensor) for tensor in tensors_of((args, kwargs))}
        made = {_place(tensor): tensor for tensor in tensors_of(result)}
        self._tell(sum(t.untyped_storage().nbytes() for place, t in made.items() if place not in given))
        return result


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_of(one)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()

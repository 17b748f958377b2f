"""How are codes stored in the file? One module per storage; the runtime unpacks them when it loads the model.

Each module defines `packing`. Exactly one packing fits a format. Everything that `write` emits is constant, so ONNX
Runtime folds it away at load and what runs is a plain int8 (or FP32) tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from autocomp.errors import InfeasiblePlan
from autocomp.formats import GraphBuilder, WeightFormat
from autocomp.registry import Registry


class Packing(Protocol):
    """What a module of this folder defines: one way to store a tensor of codes."""

    def fits(self, format: WeightFormat) -> bool:
        """Whether this packing is the one for that format."""

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """Exact bytes of the tensors stored for one weight (not the few shared shapes and look-up tables)."""

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Store codes and return the name of the unpacked tensor.

        Codes are int8 of any shape, or what `Encoded.codes` holds at 16 and 32 bits. Stored tensors are named `name`
        or `name.<part>`. With `levels` int8 `[2^bits]` (2 to 4 bits), the tensor holds `levels[codes]`: bytes are
        looked up when they are unpacked, so that this costs nothing more.
        """


packings: Registry[Packing] = Registry("packing", "autocomp.formats.packing", "packing")


@lru_cache(maxsize=64)
def packing_for(format: WeightFormat) -> Packing:
    """The one packing that fits.

    Raises:
        InfeasiblePlan: none does.
        ValueError: several do, which is a fault of a plug-in.
    """
    fitting = [name for name in packings if packings[name].fits(format)]
    if not fitting:
        raise InfeasiblePlan(f"no packing stores {format}; bits must be 2 to 8, 16 or 32 (known: {packings.names()})")
    if len(fitting) > 1:
        raise ValueError(f"several packings claim {format}: {fitting}")
    return packings[fitting[0]]


def packed_bytes(shape: Sequence[int], format: WeightFormat, nonzeros: int | None = None) -> int:
    """Bytes of a tensor in the file, without its scales; `nonzeros` defaults to all."""
    size = int(np.prod(shape))
    return packing_for(format).nbytes(shape, format, size if nonzeros is None else nonzeros)

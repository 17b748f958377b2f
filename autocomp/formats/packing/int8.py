"""Plain int8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import GraphBuilder, WeightFormat


class Int8:
    """One byte a code; nothing to unpack."""

    def fits(self, format: WeightFormat) -> bool:
        """It stores dense weights of 8 bits."""
        return format.bits == 8 and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """A code takes a byte."""
        return int(np.prod(shape))

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Store one INT8 initializer."""
        return graph.constant(codes.astype(np.int8, copy=False), name)


packing = Int8()

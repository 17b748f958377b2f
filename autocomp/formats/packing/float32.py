"""Plain FP32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import GraphBuilder, WeightFormat


class Float32:
    """Four bytes a value; nothing to unpack."""

    def fits(self, format: WeightFormat) -> bool:
        """It stores dense weights of 32 bits."""
        return format.bits == 32 and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """A value takes four bytes."""
        return 4 * int(np.prod(shape))

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Store one FLOAT initializer."""
        return graph.constant(codes.astype(np.float32, copy=False), name)


packing = Float32()

"""Two codes a byte, as ONNX's own INT4 tensor: the fastest of the packed forms to load."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.packing._bits import write_levels
from autocomp.artifact.packing._native import narrow_bytes, write_narrow


class Int4:
    """INT4 initializer, Cast to INT8."""

    def fits(self, format: WeightFormat) -> bool:
        """4 bits, dense."""
        return format.bits == 4 and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """Half a byte a code, rounded up."""
        return narrow_bytes(int(np.prod(shape)), 4)

    def write(
        self, graph: Graph, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """One initializer, one Cast; a look-up of two codes at a time if they stand for levels."""
        if levels is not None:
            return write_levels(graph, name, codes, levels)
        return write_narrow(graph, name, codes, 4, TensorProto.INT4)


packing = Int4()

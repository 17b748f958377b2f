"""Four codes a byte, as ONNX's own INT2 tensor (opset 25, IR 13; ONNX Runtime loads it since 1.24)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.packing._native import narrow_bytes, write_narrow


class Int2:
    """INT2 initializer, Cast to INT8; only a file that holds one asks for opset 25."""

    def fits(self, format: WeightFormat) -> bool:
        """2 bits, dense."""
        return format == WeightFormat(bits=2)

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """A quarter of a byte a code, rounded up."""
        return narrow_bytes(int(np.prod(shape)), 2)

    def write(self, graph: Graph, name: str, codes: np.ndarray, format: WeightFormat) -> str:
        """One initializer, one Cast."""
        graph.require(opset=25, ir_version=13)
        return write_narrow(graph, name, codes, 2, TensorProto.INT2)


packing = Int2()

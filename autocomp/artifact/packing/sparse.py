"""A bitmask of what is not zero, and the non-zero codes, themselves packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.packing import packed_bytes, packing_for
from autocomp.artifact.packing._bits import field_bytes, trim, write_fields


class Sparse:
    """One bit a code, plus the non-zeros; smaller than dense as soon as `1 / bits` of the codes are zero.

    Two-bit integers that are not zero are -1 or 1, so one bit holds them.
    """

    def fits(self, format: WeightFormat) -> bool:
        """Any width, sparse."""
        return format.sparse and format.bits in (2, 3, 4, 5, 6, 7, 8, 32)

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """Bitmask and non-zeros (at least one value is stored)."""
        count = max(nonzeros, 1)
        values = field_bytes(count) if _is_a_sign(format) else packed_bytes((count,), replace(format, sparse=False))
        return field_bytes(int(np.prod(shape))) + values

    def write(
        self, graph: Graph, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Every element looks up its rank among the non-zeros in `[0, non-zeros]`; zeros look up the 0."""
        flat = codes.reshape(-1)
        values = _write_values(graph, f"{name}.values", flat[flat != 0], format, levels)
        is_set = graph.op(
            "Cast",
            trim(graph, write_fields(graph, f"{name}.mask", flat != 0, (0, 1)), flat.shape),
            to=TensorProto.INT32,
        )
        rank = graph.op("CumSum", is_set, graph.constant(np.array(0, np.int64)))
        element = graph.op("Gather", values, graph.op("Mul", rank, is_set))
        return graph.op("Reshape", element, graph.constant(np.array(codes.shape, np.int64)))


def _is_a_sign(format: WeightFormat) -> bool:
    """Integers of two bits that are not zero are -1 or 1."""
    return format.bits == 2 and format.numbers == "integer"


def _write_values(graph: Graph, name: str, values: np.ndarray, format: WeightFormat, levels: np.ndarray | None) -> str:
    """The vector `[0, non-zeros]`; a tensor of zeros only stores one value that nothing looks up."""
    values = values if len(values) else np.ones(1, values.dtype)
    if _is_a_sign(format):
        unpacked = trim(graph, write_fields(graph, name, values > 0, (-1, 1)), values.shape)
    else:
        dense = replace(format, sparse=False)
        unpacked = packing_for(dense).write(graph, name, values, dense, levels)
    zero = np.zeros(1, np.float32 if format.bits == 32 else np.int8)
    return graph.op("Concat", graph.constant(zero), unpacked, axis=0)


packing = Sparse()

"""A bitmask of what is not zero, and the non-zero codes, themselves packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat
from autocomp.formats.packing import packed_bytes, packing_for
from autocomp.formats.packing._shared import field_bytes, trim, write_fields


class Sparse:
    """One bit a code, plus the non-zeros; smaller than dense as soon as `1 / bits` of the codes are zero.

    Two-bit integers that are not zero are -1 or 1, so one bit holds them.
    """

    def fits(self, format: WeightFormat) -> bool:
        """It stores sparse weights of any width."""
        return format.sparse and format.bits in (2, 3, 4, 5, 6, 7, 8, 32)

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """The bytes of the bitmask and of the non-zeros."""
        dense = replace(format, sparse=False)
        values = field_bytes(nonzeros) if _is_a_sign(format) else packed_bytes((nonzeros,), dense)
        return field_bytes(int(np.prod(shape))) + values

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Scatter the non-zeros over zeros: six times faster to load than to look up each element's rank."""
        flat = codes.reshape(-1)
        mask = trim(graph, write_fields(graph, f"{name}.mask", flat != 0, (0, 1)), flat.shape)
        whole = graph.op("Cast", graph.op("BitwiseXor", mask, mask), to=_type(format))
        if flat.any():
            values = _write_values(graph, f"{name}.values", flat[flat != 0], format, levels)
            numbers = [graph.constant(np.array(v, np.int32)) for v in (0, flat.size, 1)]
            places = graph.op("Compress", graph.op("Range", *numbers), graph.op("Cast", mask, to=Element.BOOL))
            graph.has_shape(places, Element.INT32, [int(np.count_nonzero(flat))])
            whole = graph.op("ScatterElements", whole, places, values, axis=0)
        return graph.op("Reshape", whole, graph.constant(np.array(codes.shape, np.int64)))


def _type(format: WeightFormat) -> int:
    return int(Element.FLOAT if format.bits == 32 else Element.INT8)


def _is_a_sign(format: WeightFormat) -> bool:
    """Whether one bit holds a code: integers of two bits that are not zero are -1 or 1."""
    return format.bits == 2 and format.numbers == "integer"


def _write_values(
    graph: GraphBuilder, name: str, values: np.ndarray, format: WeightFormat, levels: np.ndarray | None
) -> str:
    """The vector of non-zeros."""
    if _is_a_sign(format):
        return trim(graph, write_fields(graph, name, values > 0, (-1, 1)), values.shape)
    dense = replace(format, sparse=False)
    return packing_for(dense).write(graph, name, values, dense, levels)


packing = Sparse()

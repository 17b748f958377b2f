"""3, 5, 6 and 7 bits: the binary digits of the codes in parts of 4, 2 and 1 bits, which BitwiseOr joins.

Few wide parts load faster than many planes of one bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat
from autocomp.formats.packing._shared import field_bytes, levels_name, narrow_bytes, trim, write_fields, write_narrow


class Planes:
    """Two's complement: the part with the highest digit stands for its sign-extended value."""

    def fits(self, format: WeightFormat) -> bool:
        """It stores dense weights of widths that ONNX has no tensor type for."""
        return format.bits in (3, 5, 6, 7) and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """The bytes of all parts, each rounded up."""
        count = int(np.prod(shape))
        return sum(narrow_bytes(count, 4) if w == 4 else field_bytes(count, w) for _, w in _parts(format.bits))

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Store one initializer a part."""
        if levels is not None:
            return _write_eight_levels(graph, name, codes, levels)
        joined = ""
        for first, width in _parts(format.bits):
            part = _write_part(graph, f"{name}.{first}", codes, first, width, first + width == format.bits)
            joined = graph.op("BitwiseOr", joined, part) if joined else part
        return joined


def _parts(bits: int) -> Iterator[tuple[int, int]]:
    """(first digit, width) of each part, lowest first."""
    first = 0
    for width in (4, 2, 1):
        if bits & width:
            yield first, width
            first += width


def _write_part(graph: GraphBuilder, name: str, codes: np.ndarray, first: int, width: int, is_highest: bool) -> str:
    fields = codes.astype(np.int8) >> first & ((1 << width) - 1)
    if width == 4:
        return write_narrow(graph, name, fields, 4, Element.UINT4)
    values = [value << first for value in range(1 << width)]
    if is_highest:
        values[len(values) // 2 :] = [value - (1 << (first + width)) for value in values[len(values) // 2 :]]
    return trim(graph, write_fields(graph, name, fields.reshape(-1), values), codes.shape, each=8 // width)


def _write_eight_levels(graph: GraphBuilder, name: str, codes: np.ndarray, levels: np.ndarray) -> str:
    """Two digits pick a level of the upper half of codes and its difference to that of the lower; the third decides."""
    flat = codes.astype(np.int8).reshape(-1)
    low, high = levels[:4], levels[4:]
    upper = write_fields(graph, f"{name}.0", flat & 3, low.tolist(), levels_name(name))
    difference = write_fields(graph, f"{name}.0", flat & 3, (low ^ high).tolist(), levels_name(name, 1))
    decides = write_fields(graph, f"{name}.2", flat >> 2 & 1, (0, -1))
    upper, difference = (trim(graph, part, codes.shape, each=4) for part in (upper, difference))
    changed = graph.op("BitwiseAnd", difference, trim(graph, decides, codes.shape))
    return graph.op("BitwiseXor", upper, changed)


packing = Planes()

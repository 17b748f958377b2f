"""What packings share: fields of bits that are looked up, ONNX's own narrow tensors, and floats of two bytes.

Fields of one, two or four bits become values by look-up: a byte picks a row of eight, four or two values. A table of
256 rows and one Gather unpack bits many times faster than shifting and masking each, and the tables are themselves made
at load from a few bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import Element, GraphBuilder, WeightFormat


def field_bytes(count: int, width: int = 1) -> int:
    """Bytes of `count` fields of `width` bits."""
    return -(-count * width // 8)


def write_fields(
    graph: GraphBuilder, name: str, fields: np.ndarray, values: Sequence[int], table_name: str | None = None
) -> str:
    """Store flat fields, the lowest bits of a byte first, and return the int8 tensor `[bytes, fields a byte]`.

    Args:
        fields: integers below `len(values)`, which is 2 (one bit), 4 (two) or 16 (four).
        values: what each field stands for, int8.
        table_name: of the stored values, where they belong to this tensor alone.

    The last row is padded with field 0: `trim` cuts it off.
    """
    width = len(values).bit_length() - 1
    table = graph.once(("field table", *map(int, values)), lambda g: _table(g, width, values, table_name))
    packed = graph.constant(_pack(fields, width), name)
    return graph.op("Gather", table, graph.op("Cast", packed, to=Element.INT32))


def trim(graph: GraphBuilder, values: str, shape: tuple[int, ...], each: int = 8) -> str:
    """The `[bytes, each]` tensor as a tensor of `shape`, without the padding."""
    count = int(np.prod(shape))
    if count % each:
        flat = graph.op("Reshape", values, graph.constant(np.array([-1])))
        values = graph.op("Slice", flat, graph.constant(np.array([0])), graph.constant(np.array([count])))
    return graph.op("Reshape", values, graph.constant(np.array(shape, np.int64)))


def write_levels(graph: GraphBuilder, name: str, codes: np.ndarray, levels: np.ndarray) -> str:
    """Two- or four-bit codes as the int8 levels `[2^bits]` they stand for (a negative code counts from the end)."""
    width = len(levels).bit_length() - 1
    fields = codes.astype(np.int8).reshape(-1) & np.int8(len(levels) - 1)
    values = write_fields(graph, name, fields, levels.tolist(), levels_name(name))
    return trim(graph, values, codes.shape, each=8 // width)


def levels_name(name: str, number: int = 0) -> str:
    """The name under which the levels of a weight are stored, be it sparse or not."""
    return f"{name.removesuffix('.values')}.shared{number}"


def _pack(fields: np.ndarray, width: int) -> np.ndarray:
    bits = fields.astype(np.uint8)[:, None] >> np.arange(width, dtype=np.uint8) & np.uint8(1)
    return np.packbits(bits, bitorder="little")


def _table(graph: GraphBuilder, width: int, values: Sequence[int], name: str | None) -> str:
    fields = graph.once(("fields of a byte", width), lambda g: _fields_of_a_byte(g, width))
    return graph.op("Gather", graph.constant(np.array(values, np.int8), name), fields)


def _fields_of_a_byte(graph: GraphBuilder, width: int) -> str:
    every = graph.constant(np.arange(256, dtype=np.uint8)[:, None])
    shifted = graph.op("BitShift", every, graph.constant(np.arange(0, 8, width, dtype=np.uint8)), direction="RIGHT")
    fields = graph.op("BitwiseAnd", shifted, graph.constant(np.array((1 << width) - 1, np.uint8)))
    return graph.op("Cast", fields, to=Element.INT32)


def narrow_bytes(count: int, bits: int) -> int:
    """Bytes of `count` codes of `bits` bits, rounded up."""
    return -(-count * bits // 8)


def write_narrow(graph: GraphBuilder, name: str, codes: np.ndarray, bits: int, data_type: int) -> str:
    """Store an INT4 or UINT4 initializer and emit a Cast to INT8."""
    return graph.op("Cast", graph.raw(data_type, codes.shape, packed(codes, bits), name), to=Element.INT8)


def packed(codes: np.ndarray, bits: int) -> bytes:
    """Codes of any shape as raw bytes, lowest bits first."""
    codes = codes.reshape(-1)
    each = 8 // bits
    padded = np.zeros(-(-len(codes) // each) * each, np.uint8)
    padded[: len(codes)] = codes.astype(np.int8).view(np.uint8) & ((1 << bits) - 1)
    lanes = padded.reshape(-1, each) << (np.arange(each, dtype=np.uint8) * np.uint8(bits))
    return bytes(np.bitwise_or.reduce(lanes, axis=1).tobytes())


class ShortFloat:
    """One initializer of a 16-bit type, for the number system of that name."""

    def __init__(self, numbers: str, data_type: int) -> None:
        self.numbers, self.data_type = numbers, data_type

    def fits(self, format: WeightFormat) -> bool:
        """It stores dense weights in the 16 bits of its number system."""
        return format.bits == 16 and format.numbers == self.numbers and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """A value takes two bytes."""
        return 2 * int(np.prod(shape))

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """Store the codes' bytes as they are."""
        return graph.raw(self.data_type, codes.shape, codes.tobytes(), name)

"""Bits to values by look-up: a byte picks a row of eight values, one per bit.

A 256 x 8 table and one Gather unpack a plane of bits many times faster than shifting and masking it, and the tables
are themselves made at load from 264 bytes.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from autocomp.artifact.graph import Graph


def bit_bytes(count: int) -> int:
    """Bytes of `count` bits."""
    return -(-count // 8)


def write_bits(graph: Graph, name: str, bits: np.ndarray, one: int, zero: int = 0) -> str:
    """Store flat booleans and return the int8 `[bytes, 8]` tensor of `one` where set and `zero` where not.

    The last row is padded with cleared bits: `trim` cuts them off.
    """
    packed = graph.constant(np.packbits(bits, bitorder="little"), name)
    table = graph.once(("bit table", one, zero), lambda g: _table(g, one, zero))
    return graph.op("Gather", table, graph.op("Cast", packed, to=TensorProto.INT32))


def trim(graph: Graph, values: str, shape: tuple[int, ...]) -> str:
    """The `[bytes, 8]` tensor as a tensor of `shape`, without the padding."""
    count = int(np.prod(shape))
    if count % 8:
        flat = graph.op("Reshape", values, graph.constant(np.array([-1])))
        values = graph.op("Slice", flat, graph.constant(np.array([0])), graph.constant(np.array([count])))
    return graph.op("Reshape", values, graph.constant(np.array(shape, np.int64)))


def _table(graph: Graph, one: int, zero: int) -> str:
    bits = graph.once("bits of a byte", _bits_of_a_byte)
    scaled = graph.op("Mul", bits, graph.constant(np.array(one - zero, np.int32)))
    return graph.op("Cast", graph.op("Add", scaled, graph.constant(np.array(zero, np.int32))), to=TensorProto.INT8)


def _bits_of_a_byte(graph: Graph) -> str:
    every = graph.constant(np.arange(256, dtype=np.uint8)[:, None])
    shifted = graph.op("BitShift", every, graph.constant(np.arange(8, dtype=np.uint8)), direction="RIGHT")
    ones = graph.op("BitwiseAnd", shifted, graph.constant(np.array(1, np.uint8)))
    return graph.op("Cast", ones, to=TensorProto.INT32)

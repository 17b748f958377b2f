"""ONNX tensors narrower than a byte: raw bytes, lowest bits first, and the Cast that unpacks them."""

from __future__ import annotations

import numpy as np

from autocomp.formats.graph import Element, GraphBuilder


def narrow_bytes(count: int, bits: int) -> int:
    """Bytes of `count` codes at 4 bits."""
    return -(-count * bits // 8)


def write_narrow(graph: GraphBuilder, name: str, codes: np.ndarray, bits: int, data_type: int) -> str:
    """An INT4 or UINT4 initializer and a Cast to INT8."""
    return graph.op("Cast", graph.raw(data_type, codes.shape, packed(codes, bits), name), to=Element.INT8)


def packed(codes: np.ndarray, bits: int) -> bytes:
    """Codes of any shape as raw bytes, lowest bits first."""
    codes = codes.reshape(-1)
    each = 8 // bits
    padded = np.zeros(-(-len(codes) // each) * each, np.uint8)
    padded[: len(codes)] = codes.astype(np.int8).view(np.uint8) & ((1 << bits) - 1)
    lanes = padded.reshape(-1, each) << (np.arange(each, dtype=np.uint8) * np.uint8(bits))
    return bytes(np.bitwise_or.reduce(lanes, axis=1).tobytes())

"""ONNX tensors narrower than a byte: raw bytes, lowest bits first, and the Cast that unpacks them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from autocomp.artifact.graph import Graph


def narrow_bytes(count: int, bits: int) -> int:
    """Bytes of `count` codes at 4 bits."""
    return -(-count * bits // 8)


def write_narrow(graph: Graph, name: str, codes: np.ndarray, bits: int, data_type: int) -> str:
    """An INT4 or UINT4 initializer and a Cast to INT8."""
    return graph.op("Cast", graph.tensor(narrow_tensor(codes, bits, data_type), name), to=TensorProto.INT8)


def narrow_tensor(codes: np.ndarray, bits: int, data_type: int, name: str = "") -> TensorProto:
    """An initializer of codes narrower than a byte."""
    return TensorProto(name=name, data_type=data_type, dims=codes.shape, raw_data=_pack(codes.reshape(-1), bits))


def _pack(codes: np.ndarray, bits: int) -> bytes:
    each = 8 // bits
    padded = np.zeros(-(-len(codes) // each) * each, np.uint8)
    padded[: len(codes)] = codes.astype(np.int8).view(np.uint8) & ((1 << bits) - 1)
    lanes = padded.reshape(-1, each) << (np.arange(each, dtype=np.uint8) * np.uint8(bits))
    return bytes(np.bitwise_or.reduce(lanes, axis=1).tobytes())

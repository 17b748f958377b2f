"""Number systems whose codes pick from a table: two's complement codes, the table rotated so that code 0 is first."""

from __future__ import annotations

import numpy as np

from autocomp.formats.graph import Element, GraphBuilder


def write_pick(graph: GraphBuilder, table: str, codes: str) -> str:
    """Emit `table[codes]`; a negative code counts from the end, as ONNX's Gather does."""
    return graph.op("Gather", table, graph.op("Cast", codes, to=Element.INT32))


def nearest(ordered: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Index of the nearest of the ascending values for each weight, an integer array."""
    borders = ((ordered[1:] + ordered[:-1]) / 2).astype(np.float32)
    if len(borders) > 15:
        return np.searchsorted(borders, weight)
    index = np.zeros(weight.shape, np.int16)
    for border in borders:  # three times as fast as a binary search
        index += weight > border
    return index


def signed(codes: np.ndarray, count: int) -> np.ndarray:
    """Indices below `count` as two's complement int8."""
    return np.where(codes >= count // 2, codes.astype(np.int16) - count, codes).astype(np.int8)

"""Number systems whose codes pick from a table: two's complement codes, the table rotated so that code 0 is first."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from autocomp.artifact.graph import Graph


def write_pick(graph: Graph, table: str, codes: str) -> str:
    """Emit `table[codes]`; a negative code counts from the end, as ONNX's Gather does."""
    return graph.op("Gather", table, graph.op("Cast", codes, to=TensorProto.INT32))


def nearest(sorted_values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Index of the nearest of the sorted values for each weight, int64."""
    borders = (sorted_values[1:] + sorted_values[:-1]) / 2
    return np.searchsorted(borders, weight)

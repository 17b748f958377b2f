"""A codebook per matrix: its weights' k-means centroids, in FP32.

With outliers kept beside it this is GOBO (Zadeh et al. 2020, arXiv:2005.03842): 8 centroids and 0.1 % outliers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats import GraphBuilder, WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.formats.numbers._shared import nearest, signed, write_pick

_ROUNDS = 50


class Codebook:
    """`2^bits` centroids. A sparse matrix keeps code 0 for zero, so that one centroid less is free."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """Codes have 2 to 8 bits."""
        return range(2, 9)

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Fit centroids by Lloyd's algorithm in one dimension, started at equally populated bins as GOBO does."""
        count, is_kept = 1 << format.bits, weight != 0
        values = weight[is_kept] if format.sparse else weight.ravel()
        centroids = k_means(np.sort(values), count - int(format.sparse))
        first = int(format.sparse)
        table = np.zeros(count, np.float32)
        table[first : first + len(centroids)] = centroids
        codes = nearest(centroids, weight) + first
        codes = np.where(is_kept, codes, 0) if format.sparse else codes
        return Encoded(signed(codes, count), shared=(table,))

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """Look up the centroid of each code."""
        values: np.ndarray = encoded.shared[0][encoded.codes]
        return values

    def write(
        self, graph: GraphBuilder, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """Emit one Gather."""
        return write_pick(graph, shared[0], codes)

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """A centroid is stored in four bytes."""
        return 4 << format.bits

    def is_int8(self, format: WeightFormat) -> bool:
        """Centroids are FP32, and are rounded to int8 at load."""
        return False


def k_means(ordered: np.ndarray, count: int) -> np.ndarray:
    """Ascending centroids, float32, at most `count`, of ascending values; of none, a single zero."""
    if not len(ordered):
        return np.zeros(1, np.float32)
    sums = np.concatenate([[0.0], np.cumsum(ordered, dtype=np.float64)])
    borders = np.linspace(0, len(ordered), count + 1).astype(int)
    centroids = np.empty(0)
    for _ in range(_ROUNDS):
        borders = np.unique(borders)
        centroids = np.diff(sums[borders]) / np.diff(borders)
        moved = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        moved = np.concatenate([[0], moved, [len(ordered)]])
        if np.array_equal(moved, borders):
            break
        borders = moved
    return np.unique(centroids.astype(np.float32))


numbers = Codebook()

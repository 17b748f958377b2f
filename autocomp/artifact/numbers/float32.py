"""Plain FP32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.numbers import Encoded


class Float32:
    """The codes are the numbers."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """32."""
        return (32,)

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """As it is."""
        return Encoded(weight)

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """A copy."""
        return encoded.codes.astype(np.float32)

    def write(
        self, graph: Graph, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """Nothing to do."""
        return codes

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """None."""
        return 0

    def is_int8(self, format: WeightFormat) -> bool:
        """No."""
        return False


numbers = Float32()

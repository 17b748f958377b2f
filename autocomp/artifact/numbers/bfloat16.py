"""Brain floating point: the upper half of an FP32 number, so its range but only two to three decimal digits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.numbers import Encoded


class BFloat16:
    """Codes are the upper 16 bits as uint16, for numpy has no such type."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """16, dense."""
        return () if sparse else (16,)

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Rounded to the nearest, ties to even."""
        bits = weight.view(np.uint32)
        return Encoded(((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16))

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """As FP32: zeros below."""
        return (encoded.codes.astype(np.uint32) << 16).view(np.float32)

    def write(
        self, graph: Graph, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """One Cast."""
        return graph.op("Cast", codes, to=TensorProto.FLOAT)

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """None."""
        return 0

    def is_int8(self, format: WeightFormat) -> bool:
        """No."""
        return False


numbers = BFloat16()

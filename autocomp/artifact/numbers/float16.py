"""IEEE half precision: 2 bytes a weight, about three decimal digits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.numbers import Encoded

LARGEST = float(np.finfo(np.float16).max)


class Float16:
    """Codes are FP16 numbers; weights beyond 65,504 become that."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """16, dense."""
        return () if sparse else (16,)

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Rounded to the nearest."""
        return Encoded(np.clip(weight, -LARGEST, LARGEST).astype(np.float16))

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """As FP32."""
        return encoded.codes.astype(np.float32)

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


numbers = Float16()

"""IEEE half precision: 2 bytes a weight, about three decimal digits."""

from __future__ import annotations

import numpy as np

from autocomp.formats import WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.formats.numbers._shared import Floats

LARGEST = float(np.finfo(np.float16).max)


class Float16(Floats):
    """Codes are FP16 numbers; weights beyond 65,504 become that."""

    bits = 16

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Round to the nearest."""
        return Encoded(np.clip(weight, -LARGEST, LARGEST).astype(np.float16))

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """Convert to FP32."""
        return encoded.codes.astype(np.float32)


numbers = Float16()

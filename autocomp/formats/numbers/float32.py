"""Plain FP32."""

from __future__ import annotations

import numpy as np

from autocomp.formats import WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.formats.numbers._shared import Floats


class Float32(Floats):
    """The codes are the numbers."""

    bits = 32

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Take the numbers as they are."""
        return Encoded(weight)

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """Copy the numbers."""
        return encoded.codes.astype(np.float32)


numbers = Float32()

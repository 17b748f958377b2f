"""Brain floating point: the upper half of an FP32 number, so its range but only two to three decimal digits."""

from __future__ import annotations

import numpy as np

from autocomp.formats import WeightFormat
from autocomp.formats.numbers import Encoded
from autocomp.formats.numbers._shared import Floats


class BFloat16(Floats):
    """Codes are the upper 16 bits as uint16, for numpy has no such type."""

    bits = 16

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Round to the nearest, ties to even."""
        bits = weight.view(np.uint32)
        return Encoded(((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16))

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """Fill the lower 16 bits of FP32 numbers with zeros."""
        return (encoded.codes.astype(np.uint32) << 16).view(np.float32)


numbers = BFloat16()

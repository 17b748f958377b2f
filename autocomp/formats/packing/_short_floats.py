"""Floats of two bytes: ONNX has tensor types for them, so there is nothing to unpack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.formats.graph import GraphBuilder
from autocomp.formats.weight_format import WeightFormat


class ShortFloat:
    """One initializer of a 16-bit type, for the number system of that name."""

    def __init__(self, numbers: str, data_type: int) -> None:
        self.numbers, self.data_type = numbers, data_type

    def fits(self, format: WeightFormat) -> bool:
        """16 bits of this system, dense."""
        return format.bits == 16 and format.numbers == self.numbers and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """Two a value."""
        return 2 * int(np.prod(shape))

    def write(
        self, graph: GraphBuilder, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """The codes' bytes as they are."""
        return graph.raw(self.data_type, codes.shape, codes.tobytes(), name)

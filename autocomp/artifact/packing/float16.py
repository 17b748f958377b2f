"""IEEE half numbers: two bytes each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph


class Float16:
    """Nothing to unpack."""

    def fits(self, format: WeightFormat) -> bool:
        """16 bits of this system, dense."""
        return format.bits == 16 and format.numbers == "float16" and not format.sparse

    def nbytes(self, shape: Sequence[int], format: WeightFormat, nonzeros: int) -> int:
        """Two a value."""
        return 2 * int(np.prod(shape))

    def write(
        self, graph: Graph, name: str, codes: np.ndarray, format: WeightFormat, levels: np.ndarray | None = None
    ) -> str:
        """One FLOAT16 initializer."""
        return graph.tensor(
            TensorProto(data_type=TensorProto.FLOAT16, dims=codes.shape, raw_data=codes.tobytes()), name
        )


packing = Float16()

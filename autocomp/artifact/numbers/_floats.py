"""What number systems of floats share: the codes are the numbers, so there is at most a Cast."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from autocomp.artifact.format import WeightFormat
from autocomp.artifact.graph import Graph


class Floats:
    """A system of one width, dense unless it is FP32."""

    bits: int

    def widths(self, sparse: bool) -> Sequence[int]:
        """The one."""
        return () if sparse and self.bits < 32 else (self.bits,)

    def write(
        self, graph: Graph, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """One Cast, none from FP32."""
        return codes if self.bits == 32 else graph.op("Cast", codes, to=TensorProto.FLOAT)

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """None."""
        return 0

    def is_int8(self, format: WeightFormat) -> bool:
        """No."""
        return False

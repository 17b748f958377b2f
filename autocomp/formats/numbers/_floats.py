"""What number systems of floats share: the codes are the numbers, so there is at most a Cast."""

from __future__ import annotations

from collections.abc import Sequence

from autocomp.formats.graph import Element, GraphBuilder
from autocomp.formats.weight_format import WeightFormat


class Floats:
    """A system of one width, dense unless it is FP32."""

    bits: int

    def widths(self, sparse: bool) -> Sequence[int]:
        """The one."""
        return () if sparse and self.bits < 32 else (self.bits,)

    def write(
        self, graph: GraphBuilder, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """One Cast, none from FP32."""
        return codes if self.bits == 32 else graph.op("Cast", codes, to=Element.FLOAT)

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """None."""
        return 0

    def is_int8(self, format: WeightFormat) -> bool:
        """No."""
        return False

"""How one weight is stored: plain data that a plan decides, a packer writes and a report shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightFormat:
    """Storage of one weight matrix.

    Attributes:
        bits: 2 to 8 for integer codes with one scale per output channel (or per row of an embedding), 32 for FP32.
        sparse: store a bitmask and the non-zero codes only.
    """

    bits: int = 32
    sparse: bool = False


FLOAT32 = WeightFormat()

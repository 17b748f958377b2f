"""How one weight is stored: plain data that a plan decides, a packer writes and a report shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightFormat:
    """Storage of one weight matrix.

    Attributes:
        bits: of each stored code: 2 to 8, 16 or 32.
        sparse: store a bitmask and the non-zero codes only.
        numbers: what a code stands for, the name of a number system (`autocomp/formats/numbers/`); at 32 bits FP32.
        group: integers that share one scale: None a row (output channel of a linear, one embedding), 0 the whole
            matrix, otherwise as many neighbours in a row.
        outliers: fraction of the weights, those farthest from the mean, kept beside the codes in FP32.
        weight_only: a linear of 8 bits or less computes in FP32 all the same.
    """

    bits: int = 32
    sparse: bool = False
    numbers: str = "integer"
    group: int | None = None
    outliers: float = 0.0
    weight_only: bool = False

    @property
    def runs_int8(self) -> bool:
        """Whether a linear with this format is an int8 product."""
        return self.bits <= 8 and not self.weight_only


FLOAT32 = WeightFormat()


def usual_format(bits: int) -> WeightFormat:
    """How a weight of so many bits is stored unless a plan says otherwise.

    Uneven levels up to 3 bits: on SST-2 they lower the divergence of MiniLM's answers by a third at 2 bits, 40 % at
    3. At 4 bits they lower it by a quarter in linears (accuracy equal), but a file takes 3 times as long to load as
    plain int8, not twice; `number_system` has them for who wants that.
    """
    if bits == 16:
        return WeightFormat(bits, numbers="float16")
    return WeightFormat(bits, numbers="levels" if bits <= 3 else "integer")

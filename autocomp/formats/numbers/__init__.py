"""What does a stored code stand for? One module per number system; a packing (`packing/`) stores the codes.

Each module defines `numbers`. Its `write` emits the operators that turn codes into FP32: constants, folded when the
runtime loads the file, for whole matrices; a few small operators at run time for the looked-up rows of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from autocomp.errors import InfeasiblePlan
from autocomp.formats import GraphBuilder, WeightFormat
from autocomp.formats.packing import packed_bytes
from autocomp.registry import Registry

_OUTLIER_BYTES = 8


@dataclass(frozen=True)
class Outliers:
    """Weights kept beside the codes: flat `positions` int32 `[n]`, ascending, and `values` float32 `[n]`."""

    positions: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Encoded:
    """A matrix as a number system stores it.

    Attributes:
        codes: `[rows, width]`: int8 for 8 bits or less, else the system's own 16- or 32-bit numbers.
        per_row: arrays `[rows, ...]` of which a looked-up row needs its own.
        shared: arrays that every row needs.
        outliers: None without.
        levels: int8 `[2^bits]`, what the codes become when they are unpacked; None if they stay as they are.
    """

    codes: np.ndarray
    per_row: tuple[np.ndarray, ...] = ()
    shared: tuple[np.ndarray, ...] = ()
    outliers: Outliers | None = None
    levels: np.ndarray | None = None


class Numbers(Protocol):
    """What a module of this folder defines: how a matrix becomes codes and is computed from them."""

    def widths(self, sparse: bool) -> Sequence[int]:
        """The bits that a code may have."""

    def encode(self, weight: np.ndarray, format: WeightFormat) -> Encoded:
        """Codes of a finite float32 matrix `[rows, width]`. With `format.sparse`, zeros (and only they) get code 0."""

    def decode(self, encoded: Encoded, format: WeightFormat) -> np.ndarray:
        """The float32 matrix that the codes stand for, outliers left aside."""

    def write(
        self, graph: GraphBuilder, codes: str, per_row: Sequence[str], shared: Sequence[str], format: WeightFormat
    ) -> str:
        """Emit what `decode` does for unpacked codes `[..., width]`, any rows of the matrix; returns a FLOAT value.

        `per_row` (of the same rows) and `shared` are FLOAT, even where FP16 is stored.
        """

    def parameter_bytes(self, shape: Sequence[int], format: WeightFormat) -> int:
        """Bytes of everything but the codes of one matrix (not of tables that a whole file shares)."""

    def is_int8(self, format: WeightFormat) -> bool:
        """Whether unpacked codes are the int8 weights that run, with one scale a row, or for all.

        That is the first of `per_row`, or of `shared`. If not, weights are decoded to FP32 and rounded to int8 at load.
        """


number_systems: Registry[Numbers] = Registry("number system", "autocomp.formats.numbers", "numbers")


def numbers_for(format: WeightFormat) -> Numbers:
    """The number system of a format.

    Raises:
        UnknownName: no such system.
        InfeasiblePlan: it has no codes of that many bits.
    """
    system = number_systems["float32" if format.bits == 32 else format.numbers]
    if format.bits not in system.widths(format.sparse):
        rule = (
            f"{format.numbers}{' sparse' if format.sparse else ''} codes have {list(system.widths(format.sparse))} bits"
        )
        raise InfeasiblePlan(f"no packing stores {format}: {rule}")
    return system


def encode(weight: np.ndarray, format: WeightFormat) -> Encoded:
    """A float32 matrix `[rows, width]` in a format.

    Raises:
        UnknownName, InfeasiblePlan: as `numbers_for`.
        ValueError: not a finite matrix.
    """
    if weight.ndim != 2 or not np.isfinite(weight).all():
        raise ValueError(f"a format takes a finite matrix, got shape {weight.shape} or values that are not numbers")
    weight = np.ascontiguousarray(weight, np.float32)
    system, outliers = numbers_for(format), _outliers(weight, format.outliers)
    if outliers is not None:
        weight = weight.copy()
        weight.ravel()[outliers.positions] = 0
    return replace(system.encode(weight, format), outliers=outliers)


def decode(encoded: Encoded, format: WeightFormat) -> np.ndarray:
    """The float32 matrix that a file holds in this format."""
    values = numbers_for(format).decode(encoded, format)
    if encoded.outliers is not None:
        values.ravel()[encoded.outliers.positions] = encoded.outliers.values
    return values


def gives_int8(format: WeightFormat) -> bool:
    """Whether the codes become the int8 weights that run without being rounded once more."""
    return format.bits <= 8 and not format.outliers and numbers_for(format).is_int8(format)


def stored_bytes(shape: Sequence[int], format: WeightFormat, nonzeros: int | None = None) -> int:
    """Bytes of a matrix in the file, scales and tables included; `nonzeros` defaults to all."""
    outliers = _OUTLIER_BYTES * _outlier_count(int(np.prod(shape)), format.outliers)
    return packed_bytes(shape, format, nonzeros) + numbers_for(format).parameter_bytes(shape, format) + outliers


def _outlier_count(size: int, fraction: float) -> int:
    return round(size * fraction)


def _outliers(weight: np.ndarray, fraction: float) -> Outliers | None:
    count = _outlier_count(weight.size, fraction)
    if not count:
        return None
    distance = np.abs(weight.ravel() - weight.mean())
    positions = np.sort(np.argpartition(-distance, count - 1)[:count]).astype(np.int32)
    return Outliers(positions, weight.ravel()[positions])

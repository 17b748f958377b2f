"""Weights of low rank as two factors (Noach and Goldberg 2020, "Compressing pre-trained language models by matrix
decomposition").
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autocomp.errors import ExportMismatch
from autocomp.formats import WeightFormat


def is_smaller(rank: int, rows: int, columns: int) -> bool:
    """Whether two factors hold fewer numbers than the matrix."""
    return rank * (rows + columns) < rows * columns


WORTH_IT = 100_000
"""Multiply-adds per token that a second product must save.

int8, one thread, 16 to 128 tokens, time of two products over that of one: 384 x 384, rank 48 (110,000 saved) 0.88 to
1.02, rank 96 (74,000) 1.02 to 1.20, rank 192 (none) 1.31 to 1.43; 384 x 1536, rank 192 (221,000) 0.79 to 0.93;
768 x 768, rank 384 (none) 1.15 to 1.21; 768 x 3072, rank 384 (885,000) 0.75 to 0.81, rank 96 (2 million) 0.40 to 0.53.
Multiplying out takes about 3 ms of loading for each 384 x 384 matrix.
"""


def runs_as_two(rank: int, rows: int, columns: int) -> bool:
    """Whether two products in a row are faster than one with the factors multiplied out when the file is loaded."""
    return rows * columns - rank * (rows + columns) >= WORTH_IT


def stored_numbers(rank: int | None, rows: int, columns: int) -> int:
    """Numbers in a linear weight that is stored whole (`rank` None) or as factors."""
    return rows * columns if rank is None else rank * (rows + columns)


def multiplies(rank: int | None, rows: int, columns: int) -> int:
    """Multiply-adds of a linear per token."""
    return stored_numbers(rank if rank and runs_as_two(rank, rows, columns) else None, rows, columns)


def balanced_factors(weight: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `up` `[rows, rank]` and `down` `[rank, columns]` with `up @ down` near `weight`, float32.

    From the singular value decomposition, each value shared out evenly, so that both factors are of like size. The
    product is the weight, but for rounding, if it has that rank.
    """
    left, values, right = np.linalg.svd(np.asarray(weight, np.float32), full_matrices=False)
    root = np.sqrt(values[:rank])
    return np.ascontiguousarray(left[:, :rank] * root), np.ascontiguousarray(root[:, None] * right[:rank])


def factor_names(name: str) -> tuple[str, str]:
    """Names of the two factors of a weight, the one that is applied last first."""
    return f"{name}.up", f"{name}.down"


def with_factors(
    ranks: Mapping[str, int], weights: Mapping[str, np.ndarray], formats: Mapping[str, WeightFormat]
) -> tuple[dict[str, np.ndarray], dict[str, WeightFormat]]:
    """Weights and formats in which each weight of low rank is replaced by its factors, both in its format.

    Raises:
        ExportMismatch: a rank is given for a weight that is not there.
    """
    weights, formats = dict(weights), dict(formats)
    for name, rank in ranks.items():
        if name not in weights:
            raise ExportMismatch(f"the shape gives a rank for {name!r}, which is not among the weights given")
        names = factor_names(name)
        weights |= dict(zip(names, balanced_factors(weights.pop(name), rank), strict=True))
        if name in formats:
            formats |= dict.fromkeys(names, formats.pop(name))
    return weights, formats

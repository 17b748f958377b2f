"""Codes of weights that were found in training, which a file stores as they are instead of rounding weights anew."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypedDict

import numpy as np
from torch import Tensor

from autocomp.formats import WeightFormat
from autocomp.formats.numbers import Encoded, Outliers
from autocomp.strict_json import JsonView


class CodedJson(TypedDict):
    """A weight's codes in `student.json`, but for their arrays."""

    format: JsonView
    checksum: int


@dataclass(frozen=True)
class Coded:
    """A weight's codes, and what they are the codes of.

    They hold as long as the weight has the format and the very values that they were made for (`is_of`). So a student
    that is cut, pruned or trained on afterwards is rounded anew, whoever did it.

    Attributes:
        format: that the codes are in.
        encoded: codes, scales and levels.
        checksum: CRC-32 of the weight's float32 bytes.
    """

    format: WeightFormat
    encoded: Encoded
    checksum: int

    def is_of(self, weight: np.ndarray, format: WeightFormat | None) -> bool:
        """Whether a weight in a format has these codes."""
        return format == self.format and checksum(weight) == self.checksum


def coded(weight: np.ndarray, format: WeightFormat, encoded: Encoded) -> Coded:
    """The codes of a float32 weight as it now is."""
    return Coded(format, encoded, checksum(weight))


def checksum(weight: np.ndarray) -> int:
    """CRC-32 of an array's values as float32."""
    return zlib.crc32(np.ascontiguousarray(weight, np.float32).data)


def arrays_of(codes: Mapping[str, Coded]) -> dict[str, np.ndarray]:
    """All arrays of some weights' codes, as `NAME:codes`, `NAME:per_row.0` and so on."""
    found: dict[str, np.ndarray] = {}
    for name, held in codes.items():
        encoded = held.encoded
        found[f"{name}:codes"] = encoded.codes
        found |= {f"{name}:per_row.{i}": array for i, array in enumerate(encoded.per_row)}
        found |= {f"{name}:shared.{i}": array for i, array in enumerate(encoded.shared)}
        if encoded.levels is not None:
            found[f"{name}:levels"] = encoded.levels
        if encoded.outliers is not None:
            found[f"{name}:positions"], found[f"{name}:outliers"] = encoded.outliers.positions, encoded.outliers.values
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def facts_of(codes: Mapping[str, Coded]) -> dict[str, CodedJson]:
    """What `arrays_of` leaves out, as plain data."""
    return {name: {"format": asdict(c.format), "checksum": c.checksum} for name, c in sorted(codes.items())}


def codes_from(facts: Mapping[str, CodedJson], arrays: Mapping[str, np.ndarray]) -> dict[str, Coded]:
    """Inverse of `facts_of` and `arrays_of`; raises KeyError if an array is missing."""
    return {
        name: Coded(WeightFormat(**known["format"]), _encoded(name, arrays), known["checksum"])
        for name, known in facts.items()
    }


def _encoded(name: str, arrays: Mapping[str, np.ndarray]) -> Encoded:
    def several(kind: str) -> tuple[np.ndarray, ...]:
        names = [f"{name}:{kind}.{i}" for i in range(len(arrays))]
        return tuple(arrays[n] for n in names if n in arrays)

    positions = arrays.get(f"{name}:positions")
    outliers = None if positions is None else Outliers(positions, arrays[f"{name}:outliers"])
    levels = arrays.get(f"{name}:levels")
    return Encoded(arrays[f"{name}:codes"], several("per_row"), several("shared"), outliers, levels)


def weight_of(weights: Mapping[str, Tensor], name: str) -> np.ndarray | None:
    """A weight by its name as a float32 array; None if there is none."""
    return weights[name].detach().cpu().float().numpy() if name in weights else None

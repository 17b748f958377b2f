"""A number one can argue with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

import numpy as np


class MeasurementJson(TypedDict):
    """A measurement as plain data; JSON has null where a number is NaN."""

    value: float
    unit: str
    spread: float | None
    n: int
    device: str
    details: dict[str, float]
    predicted: NotRequired[bool]
    disturbed: NotRequired[bool]


@dataclass(frozen=True)
class Measurement:
    """One quantity: measured, unless it says that it is predicted.

    Attributes:
        value: in `unit`.
        unit: `ms`, `bytes`, `fraction` …
        spread: interquartile range (times) or standard error (scores) in the same unit; None when exact.
        n: how many observations stand behind the value.
        device: fingerprint of the machine, or `any` when the number holds everywhere.
        details: further statistics of the same observations, `p50`, `p95` …
        predicted: nothing ran on the device: the value follows from what was recorded there, the spread from how far
            such predictions were off.
        disturbed: measured while something else ran, each time that it was tried: its spread is over the limit, and it
            should not be trusted.
    """

    value: float
    unit: str
    spread: float | None = None
    n: int = 1
    device: str = "any"
    details: dict[str, float] = field(default_factory=dict)
    predicted: bool = False
    disturbed: bool = False

    def to_json(self) -> MeasurementJson:
        """Plain numbers and strings; `predicted` and `disturbed` only where true, as in journals that know neither."""
        data: MeasurementJson = {
            "value": self.value,
            "unit": self.unit,
            "spread": self.spread,
            "n": self.n,
            "device": self.device,
            "details": dict(self.details),
        }
        if self.predicted:
            data["predicted"] = True
        if self.disturbed:
            data["disturbed"] = True
        return data

    @classmethod
    def from_json(cls, data: MeasurementJson) -> Measurement:
        """Inverse of `to_json`; a number that is null is NaN."""
        details = {name: _as_float(number) for name, number in (data.get("details") or {}).items()}
        plain: Any = {**data, "value": _as_float(data["value"]), "details": details}
        return cls(**plain)


def _as_float(number: float | None) -> float:
    return math.nan if number is None else number


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's, -1..1: how well one number orders as the other does.

    None below three pairs, or where one of the two is the same everywhere.
    """
    if len(a) < 3 or not (np.ptp(a) and np.ptp(b)):
        return None
    return float(np.corrcoef(_ranks(np.asarray(a, float)), _ranks(np.asarray(b, float)))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, ties sharing their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(count) - count
    return np.asarray((first + (count - 1) / 2)[place], float)

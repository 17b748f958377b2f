"""What a measure's numbers are called: in JSON, in limits, in tables and in charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from autocomp.measurement import Measurement
from autocomp.strict_json import JsonView


class FigureJson(TypedDict):
    """A figure as scripts and pages read it."""

    key: str
    label: str
    unit: str
    better: Literal["less", "more"]
    is_drawn: bool
    keys: list[str]
    spreads: list[str]
    marks: str


@dataclass(frozen=True)
class Figure:
    """One number of a measure as reports know it.

    Attributes:
        key: its name in limits, in tables and charts of candidates, and in a member's JSON unless the two below differ.
        label: its name in words; `{metric}` stands for the task's metric; empty where nobody gave it one.
        unit: `bytes`, `ms`, `fraction` and `count` are written in their own ways, any other unit behind the number.
        better: which of two numbers is better, the one that is `less` or the one that is `more`. Numbers of which less
            is better and that have a unit are sizes and times, whose ratios count: charts give them logarithmic axes.
        statistic: the entry of `Measurement.details` that it is; None for the value itself.
        is_drawn: whether charts and tables of all candidates have it; a figure that is not stands in members only.
        search: key of a member's number on the search split; `key` where empty.
        held_out: key of a member's number on the held-out split; empty where it is measured on one split only.
        spread: key of the number's spread; empty where that is not told.
        held_out_spread: the same on the held-out split.
        marks: begins the keys `…_predicted` and `…_disturbed`; empty where neither can happen.
    """

    key: str
    label: str
    unit: str = ""
    better: Literal["less", "more"] = "less"
    statistic: str | None = None
    is_drawn: bool = True
    search: str = ""
    held_out: str = ""
    spread: str = ""
    held_out_spread: str = ""
    marks: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Where a member has it: the held-out split before the search split."""
        return tuple(key for key in (self.held_out, self.search or self.key) if key)

    @property
    def spreads(self) -> tuple[str, ...]:
        """The keys of its spread, beside `keys`; an empty one where there is none."""
        return ((self.held_out_spread,) if self.held_out else ()) + (self.spread,)

    def of(self, measurement: Measurement | None) -> float | None:
        """The number in a measurement; None where that is missing or lacks the statistic."""
        if measurement is None:
            return None
        value = measurement.value if self.statistic is None else measurement.details.get(self.statistic)
        return int(value) if value is not None and self.unit in ("bytes", "count") else value

    def entries(self, measurement: Measurement | None) -> dict[str, float | None]:
        """The number of the search split, its spread and its marks, under the keys of a member's JSON."""
        entries: dict[str, float | None] = {self.search or self.key: self.of(measurement)}
        if self.spread:
            entries[self.spread] = measurement.spread if measurement else None
        if self.marks and self.statistic is None:
            entries[f"{self.marks}_predicted"] = bool(measurement and measurement.predicted)
            entries[f"{self.marks}_disturbed"] = bool(measurement and measurement.disturbed)
        return entries

    def read(self, member: JsonView) -> float | None:
        """A member's number: of the held-out split, else of the search split, else None."""
        return next((member[key] for key in self.keys if member.get(key) is not None), None)

    def error(self, member: JsonView) -> float | None:
        """The spread of what `read` gives; None where a member has none."""
        spreads = (spread for key, spread in zip(self.keys, self.spreads, strict=True) if member.get(key) is not None)
        return member.get(next(spreads, ""))

    def is_marked(self, member: JsonView, mark: Literal["predicted", "disturbed"]) -> bool:
        """Whether a member's number was predicted, or disturbed each time that it was measured."""
        return bool(self.marks and member.get(f"{self.marks}_{mark}"))

    def to_json(self, metric: str) -> FigureJson:
        """The figure as scripts and pages read it.

        Args:
            metric: the task's metric in words.
        """
        return {
            "key": self.key,
            "label": self.label.format(metric=metric) or self.key,
            "unit": self.unit,
            "better": self.better,
            "is_drawn": self.is_drawn,
            "keys": list(self.keys),
            "spreads": list(self.spreads),
            "marks": self.marks,
        }

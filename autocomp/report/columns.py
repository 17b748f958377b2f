"""All measured candidates of a run as columns: what a page draws faintly behind the front, up to tens of thousands."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypedDict

from autocomp.journal.events import JobStarted
from autocomp.measurement import MeasurementJson
from autocomp.objective import Objective
from autocomp.record import RecordJson
from autocomp.report.objectives import figures_of
from autocomp.space import Point

DIGITS = 5
PLAIN = {str, int, float}
UNSET = -1
"""Code of a knob that a candidate does not have."""


class JobWords(TypedDict):
    """A job by its id, its kind, and its plan in words; the last two are empty where nobody knows them."""

    id: str
    kind: str
    describe: str


class KnobColumn(TypedDict):
    """A knob's distinct values in order, and for each row the index of its value, or -1."""

    values: list[Any]
    codes: list[int]


class ColumnsJson(TypedDict):
    """All candidates as columns, as docs/command-line.md describes them.

    Attributes:
        count: rows.
        at_s: seconds after the run began.
        job: index of each row's job in `jobs`.
        values: figures by key; None where one was not measured.
        predicted: 1 where a figure was computed and not measured; None where none was.
        member: ids of members by the ids of their records.
    """

    count: int
    id: list[str]
    at_s: list[float]
    rung: list[int]
    job: list[int]
    jobs: list[JobWords]
    values: dict[str, list[float | None]]
    predicted: list[int] | None
    knobs: dict[str, KnobColumn]
    member: dict[str, str]


class RowJson(TypedDict):
    """One candidate as the live page gets it, everything by name."""

    id: str
    at_s: float
    rung: int
    job: JobWords
    values: dict[str, float | None]
    predicted: int
    knobs: Point
    member: str | None


class Columns:
    """Complete records, one row each, in the order they came; numbers are rounded to five significant digits."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.at_s: list[float] = []
        self.rungs: list[int] = []
        self.values: dict[str, list[float | None]] = {}
        self.predicted: list[int] = []
        self._knobs: dict[str, _Knob] = {}
        self._places: dict[str, int] = {}
        self._jobs: list[int] = []
        self._job_numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, record: RecordJson, at_s: float, objectives: tuple[Objective, ...] = ()) -> dict[str, float]:
        """Take in a complete record, journaled `at_s` seconds after the run began; its unrounded figures by key."""
        row, measured = len(self), record["measurements"]
        self.ids.append(record["id"])
        self._places[record["id"]] = row
        self.at_s.append(round(at_s, 1))
        self.rungs.append(record["fidelity"]["rung"])
        self.predicted.append(int(is_predicted(measured)))
        self._jobs.append(self._job_numbers.setdefault(job_of(record["id"]), len(self._job_numbers)))
        figures = figures_of(measured, objectives)
        for key, value in figures.items():
            self._put(key, row, value)
        for name, value in record["point"].items():
            knob = self._knobs.get(name)
            if knob is None:
                knob = self._knobs[name] = _Knob()
            knob.put(row, value)
        return figures

    def _put(self, key: str, row: int, value: float) -> None:
        column = self.values.get(key)
        if column is None:
            column = self.values[key] = []
        if len(column) < row:
            column.extend([None] * (row - len(column)))
        column.append(rounded(value))

    def column(self, key: str) -> list[float | None]:
        """A figure of all rows."""
        column = self.values.get(key, [])
        column.extend([None] * (len(self) - len(column)))
        return column

    def by_id(self, key: str, names: Iterable[str]) -> dict[str, float | None]:
        """A figure of some rows by their ids; ids of no row are left out."""
        column = self.column(key)
        return {name: column[self._places[name]] for name in names if name in self._places}

    def knob(self, name: str) -> tuple[list[Any], list[int]]:
        """A knob's distinct values, sorted, and for each row the index of its value or -1."""
        return self._knobs[name].coded(len(self))

    @property
    def knobs(self) -> list[str]:
        """Names of all knobs, in the order in which they came."""
        return list(self._knobs)

    def to_json(self, started: Mapping[str, JobStarted], member: Mapping[str, str]) -> ColumnsJson:
        """The columns of docs/command-line.md.

        Args:
            started: jobs by id, as `RunState` has them.
            member: ids of members by the ids of their records.
        """
        coded = {name: self.knob(name) for name in self._knobs}
        return {
            "count": len(self),
            "id": list(self.ids),
            "at_s": list(self.at_s),
            "rung": list(self.rungs),
            "job": list(self._jobs),
            "jobs": [_job(name, started) for name in self._job_numbers],
            "values": {key: list(self.column(key)) for key in self.values},
            "predicted": list(self.predicted) if any(self.predicted) else None,
            "knobs": {name: {"values": values, "codes": codes} for name, (values, codes) in coded.items()},
            "member": dict(member),
        }

    def row(self, row: int, started: Mapping[str, JobStarted], member: Mapping[str, str]) -> RowJson:
        """One row with everything of it by name, as the live page gets it."""
        name = self.ids[row]
        return {
            "id": name,
            "at_s": self.at_s[row],
            "rung": self.rungs[row],
            "job": _job(job_of(name), started),
            "values": {key: self.column(key)[row] for key in self.values},
            "predicted": self.predicted[row],
            "knobs": {k: v for k, knob in self._knobs.items() if (v := knob.value(row)) is not None},
            "member": member.get(name),
        }


class _Knob:
    """One knob's value in each row, by number of first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._values: list[Any] = []
        self._codes: list[int] = []

    def put(self, row: int, value: Any) -> None:
        """Set the value of a row; rows are given in order."""
        known: Hashable = value if type(value) in PLAIN else (type(value).__name__, json.dumps(value))
        number = self._numbers.get(known)
        if number is None:
            number = self._numbers[known] = len(self._values)
            self._values.append(value)
        if len(self._codes) < row:
            self._codes.extend([UNSET] * (row - len(self._codes)))
        self._codes.append(number)

    def value(self, row: int) -> Any:
        """The row's value; None when it has none."""
        number = self._codes[row] if row < len(self._codes) else UNSET
        return None if number == UNSET else self._values[number]

    def coded(self, rows: int) -> tuple[list[Any], list[int]]:
        order = sorted(range(len(self._values)), key=lambda i: _rank(self._values[i]))
        place = {number: code for code, number in enumerate(order)} | {UNSET: UNSET}
        codes = [place[number] for number in self._codes]
        return [self._values[i] for i in order], codes + [UNSET] * (rows - len(codes))


def _rank(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then all else by its text."""
    is_number = isinstance(value, int | float)
    return (not is_number, value if is_number else 0.0, "" if is_number else str(value))


def _job(name: str, started: Mapping[str, JobStarted]) -> JobWords:
    told = started.get(name)
    return {"id": name, "kind": told.kind if told else "", "describe": told.describe if told else ""}


def job_of(record: str) -> str:
    """The job that a record's id names: `t0007` of `t0007-3`."""
    return record.rpartition("-")[0]


def is_predicted(measured: Mapping[str, MeasurementJson]) -> bool:
    """Whether one of a record's measurements was computed and not measured."""
    return any(measurement.get("predicted") for measurement in measured.values())


def rounded(value: float | None) -> float | None:
    """Five significant digits, whole numbers without a point; what JSON has no word for is None."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short

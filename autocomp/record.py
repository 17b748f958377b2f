"""What happened: trial records and the append-only journal from which all else is rebuilt."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from autocomp import strict_json
from autocomp.budget import Fidelity
from autocomp.errors import RunFolderError
from autocomp.measurement import Measurement
from autocomp.plan import CompressionPlan

Status = Literal["complete", "failed"]
EVENT = b'{"event": '
"""How a line starts that a journal wrote; what follows is its kind."""


@dataclass(frozen=True)
class TrialRecord:
    """One evaluated candidate.

    Attributes:
        id: `t0007-3`: the trial's number, and the member of its sweep.
        plan: the candidate.
        point: the same as values of the flat search space (nearest grid values), for the searcher.
        fidelity: how seriously it was taken.
        status: `complete`, or `failed` with `error`.
        measurements: by measure name.
        artifact: key of the stage that holds its files.
        seconds: time its job held resources, shared equally among the records of one job.
    """

    id: str
    plan: CompressionPlan
    point: Mapping[str, Any]
    fidelity: Fidelity
    status: Status = "complete"
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    artifact: str | None = None
    seconds: float = 0.0
    seed: int = 0
    source: str = ""
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; inverse of `from_json`."""
        return {
            **{k: getattr(self, k) for k in ("id", "status", "artifact", "seconds", "seed", "source", "error")},
            "point": dict(self.point),
            "plan": self.plan.to_json(),
            "fidelity": self.fidelity.to_json(),
            "measurements": {k: m.to_json() for k, m in self.measurements.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialRecord:
        """Inverse of `to_json`."""
        return cls(
            **{
                **data,
                "plan": CompressionPlan.from_json(data["plan"]),
                "fidelity": Fidelity(**data["fidelity"]),
                "measurements": {k: Measurement.from_json(m) for k, m in data["measurements"].items()},
            }
        )


class Journal:
    """`RUN/journal.jsonl`: one event a line, `{"event": kind, "at": seconds since 1970, …}`.

    Every line is on disk before `append` or `extend` returns. A last line cut off by a crash is dropped at the next
    opening.
    """

    def __init__(self, file: Path, listen: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.file = file
        self._listen = listen
        file.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(file)

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write one event and hand it to the listener."""
        return self.extend(event, [fields])[0]

    def extend(self, event: str, several: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Write events of one kind, the disk asked once, and hand them to the listener."""
        lines = [{"event": event, "at": round(time.time(), 3), **fields} for fields in several]
        with self.file.open("a", encoding="utf-8") as out:
            out.write("".join(strict_json.dumps(line, default=list) + "\n" for line in lines))
            out.flush()
            os.fsync(out.fileno())
        for line in lines if self._listen else ():
            self._listen(line)  # type: ignore[misc]
        return lines

    def events(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """Events in order, or those of one kind."""
        return read_events(self.file, kind)


def drop_torn_line(file: Path) -> None:
    """Cut off what follows a file's last whole line: a crash left it half written."""
    if not file.exists() or not file.stat().st_size:
        return
    with file.open("r+b") as out:
        out.seek(-1, os.SEEK_END)
        if out.read() != b"\n":
            out.truncate(file.read_bytes().rfind(b"\n") + 1)


class JournalReader:
    """Reads a journal that may still grow: every call of `new` gives the events that came since the last one.

    Attributes:
        place: byte at which the line of the last event begins, for `event_at`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.place = 0
        self._bytes = self._lines = 0

    def new(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """Events that were not read yet, or those of one kind, in order, one in memory at a time.

        A last line that is not whole is left for the next call. Lines that say that they are of another kind are not
        looked at any further.

        Raises:
            RunFolderError: no journal there, or a damaged line before the last.
        """
        try:
            opened = self.file.open("rb")  # bytes: a crash may have cut the last line inside a character
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunFolderError(f"{self.file.parent}: is not a run directory: it has no {self.file.name}") from error
        wanted = EVENT + json.dumps(kind).encode() if kind else EVENT
        with opened:
            opened.seek(self._bytes)
            for line in opened:
                if not line.endswith(b"\n"):
                    return
                self.place, self._bytes = self._bytes, self._bytes + len(line)
                self._lines += 1
                if line.startswith(wanted) or not line.startswith(EVENT):
                    event = self._event(line)
                    if kind is None or event["event"] == kind:
                        yield event

    def event_at(self, place: int) -> dict[str, Any]:
        """The event whose line begins at that byte."""
        with self.file.open("rb") as opened:
            opened.seek(place)
            return self._event(opened.readline())

    def _event(self, line: bytes) -> dict[str, Any]:
        try:
            event: dict[str, Any] = strict_json.loads(line)
            event["event"]
            _check_clocks(event)
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{self.file}: line {self._lines} is damaged ({error}); delete that line to go on"
            ) from error
        return event


def _check_clocks(event: Mapping[str, Any]) -> None:
    """Times are sums' parts: of a run whose books do not add up, nothing else is believed."""
    charge = event.get("charge")
    if event.get("at", 0.0) is None or (isinstance(charge, Mapping) and None in charge.values()):
        raise ValueError("a time is no number")


def read_events(file: Path, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """Events of a journal file, or those of one kind; a torn last line is passed over.

    Raises:
        RunFolderError: no journal there, or a damaged line before the last.
    """
    yield from JournalReader(file).new(kind)


def read_records(file: Path) -> list[TrialRecord]:
    """All trial records of a journal, in order."""
    return [TrialRecord.from_json(e["record"]) for e in read_events(file, "record")]

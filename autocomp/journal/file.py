"""The journal's file: appended to by one process, read by any while it grows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, overload

from autocomp import strict_json
from autocomp.errors import RunFolderError
from autocomp.journal.events import VERSION, Event, StudyBegun, TrialRecorded, event_of
from autocomp.record import TrialRecord
from autocomp.strict_json import Json, JsonView

LINE = b'{"event": '
"""How a line starts that a journal wrote; what follows is its kind."""

Listener = Callable[[Event], None]
E = TypeVar("E", bound=Event)


class Journal:
    """`RUN/journal.jsonl`: one event a line, `{"event": kind, "at": seconds since 1970, …}`.

    Every line is on disk before `append` or `extend` returns. A last line cut off by a crash is dropped at the next
    opening.
    """

    def __init__(self, file: Path, listen: Listener | None = None) -> None:
        self.file = file
        self._listen = listen
        file.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(file)

    def append(self, event: Event) -> Event:
        """Write one event and hand it to the listener."""
        return self.extend([event])[0]

    def extend(self, several: Sequence[Event]) -> list[Event]:
        """Write events, the disk asked once, and hand them to the listener; returns them with their time."""
        at = round(time.time(), 3)
        events = [replace(event, at=at, keys=()) for event in several]
        with self.file.open("a", encoding="utf-8") as out:
            out.write("".join(as_line(event) for event in events))
            out.flush()
            os.fsync(out.fileno())
        for event in events if self._listen else ():
            self._listen(event)  # type: ignore[misc]
        return events

    @overload
    def events(self) -> Iterator[Event]: ...
    @overload
    def events(self, kind: type[E]) -> Iterator[E]: ...
    def events(self, kind: type[Event] = Event) -> Iterator[Event]:
        """Events in order, or those of one kind."""
        return read_events(self.file, kind)


def as_line(event: Event) -> str:
    """An event as the journal, and `--json-events`, write it, with the end of the line."""
    return strict_json.dumps(event.to_json(), default=list) + "\n"


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

    @overload
    def new(self) -> Iterator[Event]: ...
    @overload
    def new(self, kind: type[E]) -> Iterator[E]: ...
    def new(self, kind: type[Event] = Event) -> Iterator[Event]:
        """Events that were not read yet, or those of one kind, in order, one in memory at a time.

        A last line that is not whole is left for the next call. Lines that say that they are of another kind are not
        looked at any further, but for the first one, which says the format's version.

        Raises:
            RunFolderError: no journal there, one of a newer version, or a damaged line before the last.
        """
        try:
            opened = self.file.open("rb")  # bytes: a crash may have cut the last line inside a character
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunFolderError(f"{self.file.parent}: is not a run directory: it has no {self.file.name}") from error
        wanted = LINE if kind is Event else LINE + strict_json.dumps(kind.event).encode()
        with opened:
            opened.seek(self._bytes)
            for line in opened:
                if not line.endswith(b"\n"):
                    return
                self.place, self._bytes = self._bytes, self._bytes + len(line)
                self._lines += 1
                if self._lines == 1 or line.startswith(wanted) or not line.startswith(LINE):
                    event = self._event(line)
                    if isinstance(event, kind):
                        yield event

    def event_at(self, place: int) -> Event:
        """The event whose line begins at that byte."""
        with self.file.open("rb") as opened:
            opened.seek(place)
            return self._event(opened.readline())

    def _event(self, line: bytes) -> Event:
        try:
            told: Json = strict_json.loads(line)
            if told["event"] == StudyBegun.event:
                self._check_version(told.get("version", VERSION))
            _check_clocks(told)
            return event_of(told)
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{self.file}: line {self._lines} is damaged ({error}); delete that line to go on"
            ) from error

    def _check_version(self, version: int) -> None:
        """A newer format may say other things in the same words: it is refused before anything of it is believed."""
        if version > VERSION:
            raise RunFolderError(
                f"{self.file}: is a journal of format version {version}, and this autocomp reads versions up to"
                f" {VERSION}; open the run with the autocomp that made it, or a newer one"
                " (pip install --upgrade autocomp)"
            )


def _check_clocks(told: JsonView) -> None:
    """Times are sums' parts: of a run whose books do not add up, nothing else is believed."""
    charge = told.get("charge")
    if told.get("at", 0.0) is None or (isinstance(charge, dict) and None in charge.values()):
        raise ValueError("a time is no number")


@overload
def read_events(file: Path) -> Iterator[Event]: ...
@overload
def read_events(file: Path, kind: type[E]) -> Iterator[E]: ...
def read_events(file: Path, kind: type[Event] = Event) -> Iterator[Event]:
    """Events of a journal file, or those of one kind; a torn last line is passed over.

    Raises:
        RunFolderError: no journal there, one of a newer version, or a damaged line before the last.
    """
    yield from JournalReader(file).new(kind)


def read_lines(file: Path, kind: str | None = None) -> Iterator[Json]:
    """The JSON objects of a journal's lines, or those of one kind, for who compares what stands on disk."""
    for event in read_events(file):
        line = event.to_json()
        if kind is None or line["event"] == kind:
            yield line


def read_records(file: Path) -> list[TrialRecord]:
    """All trial records of a journal, in order."""
    return [event.trial for event in read_events(file, TrialRecorded)]

"""One run as a page shows it: read once, then only what its journal gained."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import singledispatchmethod
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypedDict, cast

from autocomp.errors import UnknownName
from autocomp.journal import JournalReader
from autocomp.journal.events import (
    Event,
    JobStarted,
    ResourcesCharged,
    StudyBegun,
    TeacherMeasured,
    TrialRecorded,
)
from autocomp.journal.member import DataFacts, StudentFacts
from autocomp.objective import Objective
from autocomp.record import RecordJson
from autocomp.report.cards import Evidence, card, evidence_of
from autocomp.report.columns import Columns, ColumnsJson, RowJson, job_of
from autocomp.report.importance import Importance, importance
from autocomp.report.objectives import ObjectiveJson, described, key_of, objectives_of, of_teacher
from autocomp.report.pick import pick
from autocomp.report.progress import Progress, ProgressJson
from autocomp.report.proxy_agreement import ProxyJson, Students, proxies
from autocomp.report.state import FailedRecord, Member, RunState
from autocomp.report.status import Node, PlacedJob, status_of
from autocomp.report.summary import Summary, losses, members_by_id, summarise
from autocomp.strict_json import Json, JsonView

if TYPE_CHECKING:
    from autocomp.environment import Machine

CLOCK_S = 5.0
"""What changes only because time passes is told again this often."""
CLOCKS = ("running_s", "left_s", "seconds", "nodes_age_s", "left")
Heard = Callable[[int], None]


class Drawn(TypedDict):
    """What is drawn as lines and clouds."""

    progress: ProgressJson
    proxies: list[ProxyJson]


class DeadAttempt(TypedDict):
    """An attempt at a job that died, why, and the seconds for which it held a worker."""

    job: str
    attempt: int
    error: str | None
    lost_s: float | None


class RunParts(Drawn, total=False):
    """What of a run may change while a study goes on: `now` is what runs, `knee` the id of the member at the knee."""

    summary: Summary
    knee: str | None
    now: list[PlacedJob]
    nodes: list[Node]
    failures: list[FailedRecord]
    retried: list[DeadAttempt]
    rungs: list[dict[str, int]]
    seconds: float | None


class RunData(RunParts, total=False):
    """A run as pages have it; cards and importance are None until they are asked for."""

    name: str
    path: str
    objectives: list[ObjectiveJson]
    trials: ColumnsJson
    spec: JsonView
    data: DataFacts
    machine: Machine | JsonView
    versions: Mapping[str, str]
    began_at: float | None
    importance: Importance | None
    cards: dict[str, Json] | None


class Update(TypedDict):
    """What a page does not have yet.

    Attributes:
        rows: new candidates.
        run: the parts of the run that are others now.
        member: ids of members by the ids of their records.
    """

    rows: list[RowJson]
    run: RunParts
    member: dict[str, str]


class RunView:
    """A run that a page shows; not for two threads at once.

    What `run_data` gives and what `new` gives fit together: `run_data` is the run as `new` last left it.

    Args:
        run: its directory.
        heard: called while a long journal is read, with the number of candidates so far.

    Raises:
        RunFolderError: `run` is not a run directory, or its journal is damaged.
    """

    def __init__(self, run: Path, heard: Heard | None = None) -> None:
        self.run, self.state, self.columns = Path(run).resolve(), RunState(), Columns()
        self._journal = JournalReader(self.run / "journal.jsonl")
        self._objectives: tuple[Objective, ...] = ()
        self._progress, self._students = Progress(), Students()
        self._places: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        self._lines: Drawn | None = None
        self._kept: tuple[Any, Evidence | None] | None = None
        self._told: dict[str, tuple[str, str]] = {}
        self._clock_at = 0.0
        self._read(heard)
        self._changed()
        self._rows = len(self.columns)

    def run_data(self) -> RunData:
        """Everything of the run but its cards and importance, as docs/command-line.md describes it."""
        return {
            "name": self.run.name,
            "path": str(self.run),
            **self._parts(),
            "objectives": [described(objective) for objective in self._objectives],
            "trials": self.columns.to_json(self.state.started, self._member()),
            "spec": self.state.spec,
            "data": self.state.data,
            "machine": self.state.machine or {},
            "versions": self.state.versions,
            "began_at": self.state.began_at,
            "importance": None,
            "cards": None,
        }

    def new(self) -> Update | None:
        """What came since the last call (or since the run was opened); None when nothing did.

        Raises:
            RunFolderError: the journal is gone, or damaged.
        """
        self._read()
        changed = self._changed()
        if not changed and self._rows == len(self.columns):
            return None
        update = self.since(self._rows, changed)
        self._rows = len(self.columns)
        return update

    def since(self, rows: int, parts: RunParts | None = None) -> Update:
        """The update for a page that has the first `rows` candidates, with all parts unless some are given."""
        member, started = self._member(), self.state.started
        return {
            "rows": [self.columns.row(row, started, member) for row in range(rows, len(self.columns))],
            "run": self._parts() if parts is None else parts,
            "member": member,
        }

    def trial(self, name: str) -> RecordJson:
        """A record as the journal has it.

        Raises:
            UnknownName: no record of that id.
        """
        if name not in self._places:
            raise UnknownName("trial", name, self._places)
        event = self._journal.event_at(self._places[name])
        assert isinstance(event, TrialRecorded)
        return event.record

    def members(self) -> dict[str, Member]:
        """Members and landmarks by id, as the summary has them."""
        return members_by_id(summarise(self.state, self.run))

    def card(self, name: str, texts: bool = True) -> Json:
        """Everything about one member, by the rules of docs/command-line.md.

        Args:
            texts: whether it may show texts of the data set.

        Raises:
            UnknownName: neither a member nor a landmark.
        """
        known = self.members()
        if name not in known:
            raise UnknownName("member", name, list(known))
        return card(self.run, self._with_plan(known[name]), self._evidence(), texts, self._facts(known[name]))

    def importance(self) -> Importance | None:
        """Which knob matters for which objective; takes seconds where there are thousands of records."""
        ratios = {key_of(objective): objective.direction == "minimize" for objective in self._objectives}
        return importance(self.columns, ratios, self._students)

    def _with_plan(self, member: Member) -> Member:
        """The member with its plan, which stands only in its record while the study goes on."""
        if member.get("plan") or member.get("record") not in self._places:
            return member
        return {**member, "plan": self.trial(member["record"])["plan"]}

    def _facts(self, member: Member) -> StudentFacts | None:
        """The sizes of its student, which stand where its job was started; None in older journals, and of landmarks."""
        place = self._starts.get(job_of(member.get("record") or ""))
        event = None if place is None else self._journal.event_at(place)
        return event.student if isinstance(event, JobStarted) else None

    def _evidence(self) -> Evidence | None:
        """What is behind the front's figures, read once for each front."""
        told = self.state.front and self.state.front.evidence
        if self._kept is None or self._kept[0] != told:
            self._kept = (told, evidence_of(self.run, self.state))
        return self._kept[1]

    def _read(self, heard: Heard | None = None) -> None:
        for event in self._journal.new():
            self.state.add(event)
            self._lines = None
            self._take(event, (event.at or 0.0) - (self.state.began_at or 0.0))
            if heard:
                heard(len(self.columns))

    @singledispatchmethod
    def _take(self, event: Event, at_s: float) -> None:
        """An event that came so many seconds after the run began; from most kinds nothing follows but the state."""

    @_take.register
    def _(self, event: StudyBegun, at_s: float) -> None:
        self._objectives = objectives_of(self.state)

    @_take.register
    def _(self, event: TeacherMeasured, at_s: float) -> None:
        known = len(self.state.objectives or self.state.spec.get("objectives") or ())
        self._progress.judged_by(self._objectives, of_teacher(self.state, self._objectives), known)

    @_take.register
    def _(self, event: JobStarted, at_s: float) -> None:
        self._students.started(event)
        self._starts[event.job] = self._journal.place

    @_take.register
    def _(self, event: ResourcesCharged, at_s: float) -> None:
        self._progress.charge(at_s, asdict(self.state.ledger))

    @_take.register
    def _(self, event: TrialRecorded, at_s: float) -> None:
        record = event.record
        self._places[record["id"]] = self._journal.place
        if record["status"] == "complete":
            self._progress.record(at_s, self.columns.add(record, at_s, self._objectives))

    def _drawn(self) -> Drawn:
        """What is drawn as lines and clouds; made anew only when the journal has grown."""
        if self._lines is None:
            given = self.state.budget.to_json()
            found = proxies(self.state, self.columns, self._students)
            self._lines = {"progress": self._progress.to_json(given), "proxies": found}
        return self._lines

    def _member(self) -> dict[str, str]:
        return {m["record"]: m["id"] for m in self.state.members if m.get("record")}

    def _parts(self) -> RunParts:
        """What may change while a study goes on."""
        found, now = summarise(self.state, self.run), status_of(self.state, self.run, time.time())
        return {
            "summary": found,
            "knee": knee_of(found),
            "now": now["jobs"],
            "nodes": now["nodes"],
            "failures": self.state.failures,
            "retried": [
                {"job": r.job, "attempt": r.attempt, "error": r.error, "lost_s": r.lost_s} for r in self.state.retried
            ],
            "rungs": [rung.to_json() for rung in self.state.rungs],
            "seconds": now["seconds"],
            **self._drawn(),
        }

    def _changed(self) -> RunParts:
        """Parts that are others than at the last call; passing time alone counts now and then."""
        grown, parts, at = self._lines is None, self._parts(), monotonic()
        is_due = grown or at - self._clock_at >= CLOCK_S
        self._clock_at = at if is_due else self._clock_at
        return cast(RunParts, {name: part for name, part in parts.items() if self._is_news(name, part, is_due)})

    def _is_news(self, name: str, part: Any, is_due: bool) -> bool:
        text = json.dumps(_without_clocks({name: part}), default=str)
        clocks = json.dumps(part, default=str) if is_due or name not in self._told else self._told[name][1]
        is_news = self._told.get(name) != (text, clocks)
        self._told[name] = (text, clocks)
        return is_news


def knee_of(summary: Summary) -> str | None:
    """The id of the member at the knee; None while there is none."""
    return pick(summary, "knee")["id"] if any(losses(m) for m in summary["members"]) else None


def _without_clocks(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {k: _without_clocks(v) for k, v in data.items() if k not in CLOCKS}
    return [_without_clocks(v) for v in data] if isinstance(data, list) else data

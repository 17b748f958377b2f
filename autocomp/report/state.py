"""What do the events so far add up to? One fold for the summary, the page and the live view."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from autocomp.budget import LOST, Budget, Cost, Fidelity, parse_budget
from autocomp.environment import Machine
from autocomp.journal.events import (
    CandidatesChanged,
    Event,
    FidelitiesChosen,
    FrontWritten,
    JobProgressed,
    JobRetried,
    JobStarted,
    NodeChanged,
    ResourcesCharged,
    StudyBegun,
    StudyFinished,
    StudyResumed,
    TeacherMeasured,
    TrialRecorded,
    WarningGiven,
)
from autocomp.journal.member import DataFacts
from autocomp.journal.member import Member as Member
from autocomp.strict_json import JsonView


class FailedRecord(TypedDict):
    """A candidate that failed: its record's name, and why."""

    id: str
    error: str | None


@dataclass
class Job:
    """One piece of work that runs now."""

    id: str
    kind: str
    describe: str
    at: float
    expected_s: float | None = None
    fraction: float | None = None
    left_s: float | None = None
    text: str = ""
    attempt: int = 1

    def seconds_left(self, now: float) -> float | None:
        """Expected time left; None when nobody knows."""
        if self.left_s is not None:
            return self.left_s
        if self.fraction and self.fraction > 0.1 and self.at:
            return (now - self.at) * (1 - self.fraction) / self.fraction
        return None if self.expected_s is None else max(0.0, self.expected_s - (now - self.at))


@dataclass
class RunState:
    """A run as its events tell it.

    Attributes:
        members: the final front, else the current candidates (`final` says which).
        jobs: what runs now, by id.
        measured: names of the measures that records have.
        counts: records by status; the records themselves stay in the journal.
        failures: every failed record.
        front: the final front's event, once there is one.
        started: every job ever started, by id; the plans stay in the journal.
        ledger: what was spent so far.
        charges: what was spent so far by purpose: `teacher`, `trial` …
        charged_at: when the clock was last charged, seconds since 1970.
        held_at: when the process that is at work on it began, seconds since 1970.
        retried: every attempt that died and was started again.
        objectives: in full, `{"name", "measure", "direction", …}`; empty in runs that are older than this.
        judged_by: the teacher's values by objective, beside which records are judged; empty in older runs.
        warnings: what is wrong with the study as a whole, such as a teacher that is no good, each once.
        nodes: of a cluster, what was last heard of each, by id.
    """

    spec: JsonView = field(default_factory=dict)
    data: DataFacts = field(default_factory=DataFacts)
    machine: Machine | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    objectives: Sequence[JsonView] = ()
    judged_by: dict[str, float] = field(default_factory=dict)
    teacher: Member | None = None
    plain_int8: Member | None = None
    members: list[Member] = field(default_factory=list)
    final: bool = False
    front: FrontWritten | None = None
    measured: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[FailedRecord] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    started: dict[str, JobStarted] = field(default_factory=dict)
    rungs: Sequence[Fidelity] = ()
    ledger: Cost = field(default_factory=Cost)
    charges: dict[str, Cost] = field(default_factory=dict)
    reason: str | None = None
    began_at: float | None = None
    charged_at: float = 0.0
    ended_at: float | None = None
    held_at: float = 0.0
    retried: list[JobRetried] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    nodes: dict[str, NodeChanged] = field(default_factory=dict)

    @property
    def budget(self) -> Budget:
        """What may be spent; no limits before the study event."""
        return parse_budget(self.spec["budget"]) if "budget" in self.spec else Budget()

    def count(self, status: str) -> int:
        """Records of one status."""
        return self.counts.get(status, 0)

    def left(self, now: float | None = None) -> dict[str, float]:
        """What is left of each limited kind; with `now`, the clock's uncharged seconds are taken off too."""
        left = self.ledger.left(self.budget)
        if now is not None and "wall_s" in left and self.charged_at and self.reason is None:
            left["wall_s"] = max(0.0, left["wall_s"] - (now - self.charged_at))
        return left

    def add(self, event: Event) -> None:
        """Take in one event; kinds it does not know change nothing."""
        self.ended_at = event.at or self.ended_at
        follow = _FOLLOW.get(type(event))
        if follow:
            follow(self, event)

    def _begun(self, event: StudyBegun) -> None:
        self.spec, self.data, self.objectives = event.spec, event.data, event.objectives
        self.machine, self.versions = event.machine, event.versions
        self.began_at = self.charged_at = self.held_at = event.at or 0.0

    def _started(self, event: JobStarted) -> None:
        self.started[event.job] = replace(event, plan=None, student=None)
        self.jobs[event.job] = Job(event.job, event.kind, event.describe, event.at or 0.0, event.expected_s)

    def _recorded(self, event: TrialRecorded) -> None:
        record = event.record
        self.counts[record["status"]] = self.count(record["status"]) + 1
        self.measured.update(record["measurements"])
        if record["status"] == "failed":
            self.failures.append({"id": record["id"], "error": record["error"]})

    def _charged(self, event: ResourcesCharged) -> None:
        what, cost = event.charge.what, event.charge.cost
        self.ledger += cost
        self.charges[what] = self.charges.get(what, Cost()) + cost
        self.charged_at = (event.at or 0.0) if cost.wall_s else self.charged_at
        if what != LOST:  # a lost attempt is paid for while the job itself runs again
            self.jobs.pop(event.job or "", None)

    def _retried(self, event: JobRetried) -> None:
        self.retried.append(event)
        first = self.started.get(event.job, JobStarted(job=event.job))
        again = Job(event.job, first.kind, first.describe, event.at or 0.0, first.expected_s)
        self.jobs[event.job] = replace(again, attempt=int(event.attempt) + 1)

    def _resumed(self, event: StudyResumed) -> None:
        self.jobs.clear()
        self.nodes.clear()
        self.reason, self.charged_at, self.held_at = None, event.at or 0.0, event.at or 0.0

    def _measured(self, event: TeacherMeasured) -> None:
        self._landmarks(event.members.get("teacher"), event.members.get("plain_int8"))
        self.judged_by = dict(event.values)
        self.jobs.clear()

    def _warned(self, event: WarningGiven) -> None:
        if event.text not in self.warnings:  # a resumed study looks at its teacher again
            self.warnings.append(event.text)

    def _fidelities(self, event: FidelitiesChosen) -> None:
        self.rungs = event.rungs

    def _progressed(self, event: JobProgressed) -> None:
        running = self.jobs.setdefault(event.job, Job(event.job, "", "", event.at or 0.0))
        running.text, running.fraction, running.left_s = event.text, event.fraction, event.left_s

    def _node(self, event: NodeChanged) -> None:
        self.nodes[event.node] = event

    def _candidates(self, event: CandidatesChanged) -> None:
        if not self.final:
            self.members = list(event.members)

    def _written(self, event: FrontWritten) -> None:
        self.members, self.final, self.front = list(event.members), True, event
        self._landmarks(event.teacher, event.plain_int8)
        self.jobs.clear()

    def _finished(self, event: StudyFinished) -> None:
        self.reason = event.reason or "finished"
        self.jobs.clear()

    def _landmarks(self, teacher: Member | None, plain_int8: Member | None) -> None:
        self.teacher, self.plain_int8 = teacher or self.teacher, plain_int8 or self.plain_int8


_FOLLOW: dict[type[Event], Callable[[RunState, Any], None]] = {
    StudyBegun: RunState._begun,
    StudyResumed: RunState._resumed,
    FidelitiesChosen: RunState._fidelities,
    TeacherMeasured: RunState._measured,
    WarningGiven: RunState._warned,
    JobStarted: RunState._started,
    JobProgressed: RunState._progressed,
    TrialRecorded: RunState._recorded,
    JobRetried: RunState._retried,
    NodeChanged: RunState._node,
    ResourcesCharged: RunState._charged,
    CandidatesChanged: RunState._candidates,
    FrontWritten: RunState._written,
    StudyFinished: RunState._finished,
}
"""What follows from each kind of event; from others nothing does. Tens of thousands are read before a page opens."""

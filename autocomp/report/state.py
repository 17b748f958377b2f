"""What do the events so far add up to? One fold for the summary, the page and the live view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autocomp.budget import LOST, Budget, Charge, Ledger, parse_budget

Member = dict[str, Any]


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
        failures: every failed record: `{"id", "error"}`.
        started: every job ever started: `{"job", "kind", "describe", "expected_s"}` by id.
        charges: the ledger by purpose, `{"teacher": Ledger, …}`.
        charged_at: when the clock was last charged, seconds since 1970.
        held_at: when the process that is at work on it began, seconds since 1970.
        retried: every attempt that died and was started again: `{"job", "attempt", "error", "lost_s", "node", "at"}`.
        objectives: in full, `{"name", "measure", "direction", …}`; empty in runs that are older than this.
        judged_by: the teacher's values by objective, beside which records are judged; empty in older runs.
        warnings: what is wrong with the study as a whole, such as a teacher that is no good, each once.
        nodes: of a cluster, what was last heard of each: `{"node", "host", "state", "at"}` by id.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    objectives: list[dict[str, Any]] = field(default_factory=list)
    judged_by: dict[str, float] = field(default_factory=dict)
    teacher: Member | None = None
    plain_int8: Member | None = None
    members: list[Member] = field(default_factory=list)
    final: bool = False
    front: dict[str, Any] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    rungs: list[dict[str, Any]] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    charges: dict[str, Ledger] = field(default_factory=dict)
    reason: str | None = None
    began_at: float | None = None
    charged_at: float = 0.0
    ended_at: float | None = None
    held_at: float = 0.0
    retried: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)

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

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in one event; kinds it does not know change nothing."""
        at = float(event.get("at", 0.0))
        self.ended_at = at or self.ended_at
        handler = getattr(self, f"_on_{event['event']}", None)
        if handler:
            handler(event, at)

    def _on_study(self, event: Mapping[str, Any], at: float) -> None:
        self.spec, self.data = event["spec"], event.get("data") or {}
        self.machine, self.versions = event.get("machine") or {}, event.get("versions") or {}
        self.objectives = event.get("objectives") or []
        self.began_at = self.charged_at = self.held_at = at

    def _on_teacher(self, event: Mapping[str, Any], at: float) -> None:
        self._landmarks(event.get("members") or {})
        self.judged_by = event.get("values") or {}
        self.jobs.clear()

    def _on_warning(self, event: Mapping[str, Any], at: float) -> None:
        if event["text"] not in self.warnings:  # a resumed study looks at its teacher again
            self.warnings.append(event["text"])

    def _on_fidelities(self, event: Mapping[str, Any], at: float) -> None:
        self.rungs = event["rungs"]

    def _on_started(self, event: Mapping[str, Any], at: float) -> None:
        job = event["job"]
        self.started[job] = {k: event.get(k) for k in ("job", "kind", "describe", "expected_s")}
        self.jobs[job] = Job(job, event["kind"], event.get("describe") or "", at, event.get("expected_s"))

    def _on_progress(self, event: Mapping[str, Any], at: float) -> None:
        job = event.get("job") or ""
        running = self.jobs.setdefault(job, Job(job, "", "", at))
        running.text, running.fraction = event.get("text") or "", event.get("fraction")
        running.left_s = event.get("left_s")

    def _on_record(self, event: Mapping[str, Any], at: float) -> None:
        record = event["record"]
        self.counts[record["status"]] = self.count(record["status"]) + 1
        self.measured.update(record["measurements"])
        if record["status"] == "failed":
            self.failures.append({"id": record["id"], "error": record["error"]})

    def _on_charge(self, event: Mapping[str, Any], at: float) -> None:
        charge = Charge(**event["charge"])
        self.ledger.add(charge)
        self.charges.setdefault(charge.what, Ledger()).add(charge)
        self.charged_at = at if charge.wall_s else self.charged_at
        if charge.what != LOST:  # a lost attempt is paid for while the job itself runs again
            self.jobs.pop(event.get("job") or "", None)

    def _on_retried(self, event: Mapping[str, Any], at: float) -> None:
        job = event["job"]
        self.retried.append({k: event.get(k) for k in ("job", "attempt", "error", "lost_s", "node", "at")})
        told = self.started.get(job, {})
        again = Job(job, told.get("kind") or "", told.get("describe") or "", at, told.get("expected_s"))
        again.attempt = int(event["attempt"]) + 1
        self.jobs[job] = again

    def _on_node(self, event: Mapping[str, Any], at: float) -> None:
        self.nodes[event["node"]] = {k: event.get(k) for k in ("node", "host", "state", "at")}

    def _on_candidates(self, event: Mapping[str, Any], at: float) -> None:
        if not self.final:
            self.members = event["members"]

    def _on_front(self, event: Mapping[str, Any], at: float) -> None:
        self.members, self.final = event["members"], True
        self.front = {k: event.get(k) for k in ("hypervolume", "agreement", "evidence")}
        self._landmarks(event)
        self.jobs.clear()

    def _on_resumed(self, event: Mapping[str, Any], at: float) -> None:
        self.jobs.clear()
        self.nodes.clear()
        self.reason, self.charged_at, self.held_at = None, at, at

    def _on_finished(self, event: Mapping[str, Any], at: float) -> None:
        self.reason = event.get("reason") or "finished"
        self.jobs.clear()

    def _landmarks(self, named: Mapping[str, Any]) -> None:
        self.teacher = named.get("teacher") or self.teacher
        self.plain_int8 = named.get("plain_int8") or self.plain_int8

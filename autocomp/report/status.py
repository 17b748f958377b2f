"""What does a run do right now? Read from its files alone, so that any shell can ask while the study goes on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, cast

from autocomp.journal import JournalReader
from autocomp.journal.events import JobRetried
from autocomp.report.state import FailedRecord, Job, RunState
from autocomp.report.summary import Summary, summarise
from autocomp.strict_json import JsonView

NODES = "nodes.json"
FAILURES = 5
"""How many of the last failures are told."""


class RunningJob(TypedDict):
    """A job that runs, or was cut off.

    Attributes:
        job: its id; `teacher` and `front` are the study's own work.
        kind: `recovery`, `post_training` …
        describe: the plan in words.
        attempt: 1, 2 …
        text: what it does.
        fraction: of its work that is done, 0 to 1.
        running_s: seconds since it began; None of one that was cut off.
        left_s: seconds that it should still take.
    """

    job: str
    kind: str
    describe: str
    attempt: int
    text: str
    fraction: float | None
    running_s: float | None
    left_s: float | None


class PlacedJob(RunningJob):
    """A job with the node that it runs on; None where nobody knows."""

    node: str | None


class Node(TypedDict):
    """A machine that works for the study: its resources, what jobs hold of them, and which device it is, if any."""

    node: str
    host: str
    alive: bool
    resources: dict[str, float]
    used: dict[str, float]
    jobs: list[str]
    device: str | None


class _Cluster(TypedDict, total=False):
    """The nodes of a cluster as the executor last wrote them, and when."""

    at: float
    address: str
    nodes: list[Node]


class LostNode(TypedDict):
    """A node that left, and when, seconds since 1970."""

    node: str
    host: str | None
    state: str | None
    at: float | None


class RetriedJob(TypedDict):
    """An attempt that died, why, where and when, and the seconds for which it held a worker."""

    job: str
    attempt: int
    error: str | None
    lost_s: float | None
    node: str | None
    at: float | None


class Status(Summary):
    """What `autocomp status RUN --json` prints; docs/command-line.md says what its keys are."""

    seconds: float | None
    address: str | None
    nodes_age_s: float | None
    nodes: list[Node]
    lost_nodes: list[LostNode]
    held: dict[str, float]
    jobs: list[PlacedJob]
    retried: list[RetriedJob]
    lost_s: float
    failures: list[FailedRecord]


class Look:
    """A run that is looked at again and again: each look reads only what the journal gained.

    Args:
        run: its directory.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.state = Path(run), RunState()
        self._journal = JournalReader(self.run / "journal.jsonl")

    def now(self) -> Status:
        """What `autocomp status RUN --json` prints; its keys are documented in docs/command-line.md.

        Raises:
            RunFolderError: `run` is not a run directory, or its journal is damaged.
        """
        for event in self._journal.new():
            self.state.add(event)
        return status_of(self.state, self.run, time.time())


def run_status(run: Path) -> Status:
    """One look at a run, as `Look.now`."""
    return Look(run).now()


def status_of(state: RunState, run: Path, now: float) -> Status:
    """The status of a state whose files lie under `run`; `now` is seconds since 1970."""
    found = summarise(state, run)
    is_running = found["status"] == "running"
    jobs = [] if found["status"] == "finished" else list(_jobs(state, run, now, is_running))
    cluster = _cluster(run, state.held_at) if is_running else None
    nodes = (
        [_present(node, state) for node in cluster["nodes"]]
        if cluster
        else [_this_machine(state, jobs)]
        if is_running
        else []
    )
    return {
        **found,
        "budget": {**found["budget"], "left": state.left(now if is_running else None)},
        "seconds": _seconds(state, now if is_running else state.ended_at),
        "address": cluster.get("address") if cluster else None,
        "nodes_age_s": round(max(0.0, now - cluster["at"]), 1) if cluster else None,
        "nodes": nodes,
        "lost_nodes": [
            {"node": n.node, "host": n.host, "state": n.state, "at": n.at}
            for n in state.nodes.values()
            if n.state == "lost"
        ],
        "held": {kind: sum(n["used"].get(kind, 0.0) for n in nodes if n["alive"]) for kind in ("CPU", "GPU")},
        "jobs": [{**job, "node": _node_of(job["job"], nodes)} for job in jobs],
        "retried": [retried(attempt) for attempt in state.retried],
        "lost_s": round(sum(r.lost_s or 0.0 for r in state.retried), 3),
        "failures": state.failures[-FAILURES:],
    }


def retried(event: JobRetried) -> RetriedJob:
    """An attempt that died, as JSON has it."""
    return {
        "job": event.job,
        "attempt": event.attempt,
        "error": event.error,
        "lost_s": event.lost_s,
        "node": event.node,
        "at": event.at,
    }


def _seconds(state: RunState, until: float | None) -> float | None:
    return None if state.began_at is None or until is None else round(until - state.began_at, 1)


def _jobs(state: RunState, run: Path, now: float, is_running: bool) -> Iterator[RunningJob]:
    """What runs, or was cut off; a study that prepares or ends has work of its own that the journal does not name."""
    told = _progress(run) if is_running else {}
    own = [_own(name, said, state) for name, said in told.items() if _is_own(name, said, state)]
    for job in [*state.jobs.values(), *own]:
        said = told.get(job.id, {})
        # What the last attempt wrote before it died says nothing about this one.
        if said and not (job.attempt > 1 and said["at"] < job.at):
            job = replace(job, text=said["text"], fraction=said["fraction"])
        left = job.seconds_left(now) if is_running else None
        yield {
            "job": job.id,
            "kind": job.kind,
            "describe": job.describe,
            "attempt": job.attempt,
            "text": job.text,
            "fraction": job.fraction,
            "running_s": round(max(0.0, now - job.at), 1) if is_running else None,
            "left_s": None if left is None else round(left, 1),
        }


def _is_own(name: str, said: JsonView, state: RunState) -> bool:
    """Whether a progress file is the study's own work now: the teacher, or the final front."""
    done = state.final if name == "front" else state.teacher is not None
    return name not in state.started and not done and said["at"] >= state.held_at


def _own(name: str, said: JsonView, state: RunState) -> Job:
    # The teacher is what a study begins with; the front tells of itself once, when it begins.
    return Job(name, name, "", said["at"] if name == "front" else state.held_at)


def _progress(run: Path) -> dict[str, JsonView]:
    """What each job last said of itself, by id; files that vanish or are not whole are passed over."""
    found = {}
    for file in sorted((run / "work").glob("*.json")):
        said = _read(file)
        if file.name != NODES and said and {"job", "text", "fraction", "at"} <= set(said):
            found[str(said["job"])] = said
    return found


def _cluster(run: Path, since: float) -> _Cluster | None:
    """The nodes as the executor last wrote them; None without a cluster, or when an earlier process wrote them."""
    found = _read(run / "work" / NODES)
    return cast(_Cluster, found) if found and found["at"] >= since else None


def _present(node: Node, state: RunState) -> Node:
    """A node without the jobs that the journal, which is newer, knows to have ended."""
    return {**node, "jobs": [job for job in node["jobs"] if job in state.jobs or job not in state.started]}


def _read(file: Path) -> JsonView | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _this_machine(state: RunState, jobs: Sequence[RunningJob]) -> Node:
    """The one node of a local run."""
    cores = int(state.machine.get("cores") or 0) if state.machine else 0
    workers = int(state.spec.get("workers") or 0) or max(1, cores)
    threads = max(1, cores // workers)
    own = any(job["job"] not in state.started for job in jobs)
    return {
        "node": "local",
        "host": socket.gethostname(),
        "alive": True,
        "resources": {"CPU": float(cores)},
        "used": {"CPU": float(workers * threads if own else len(jobs) * threads)},
        "jobs": [job["job"] for job in jobs],
        "device": state.spec.get("device"),
    }


def _node_of(job: str, nodes: Sequence[Node]) -> str | None:
    return next((node["node"] for node in nodes if job in node["jobs"]), None)

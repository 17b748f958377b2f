"""How well did the cheap figures of a search foretell the dear ones?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from autocomp.journal.events import JobStarted
from autocomp.journal.member import read_figure
from autocomp.measurement import rank_correlation
from autocomp.measures import headline
from autocomp.report.columns import Columns, rounded
from autocomp.report.state import RunState

LEAST = 3
Pair = tuple[str, float, float]


@dataclass(frozen=True)
class Question:
    """What is compared with what."""

    name: str
    x_label: str
    y_label: str


SCORES = Question("search score → held-out score", "score on the search split", "score on the held-out split")
LATENCIES = Question(
    "latency during the search → final latency", "latency during the search, ms", "latency of the final timing, ms"
)
RUNGS = Question("first rung's score → last rung's", "score after the first rung", "score after the last rung")


class ProxyJson(TypedDict):
    """Pairs of a cheap figure and the dear one that it stands for, with their ids and their rank correlation."""

    name: str
    x: list[float | None]
    y: list[float | None]
    ids: list[str]
    rank_correlation: float | None
    x_label: str
    y_label: str


class Students:
    """Which jobs trained the same student: a promoted one goes on with the plan that it was asked for."""

    def __init__(self) -> None:
        self._of_job: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._jobs: list[dict[int, str]] = []

    def started(self, event: JobStarted) -> None:
        """Take in that a job was started."""
        plan = json.dumps(event.plan, sort_keys=True) if event.plan else event.job
        number = self._numbers.setdefault(plan, len(self._jobs))
        if number == len(self._jobs):
            self._jobs.append({})
        self._of_job[event.job] = number
        if event.fidelity and event.fidelity.rung >= 0:
            self._jobs[number][event.fidelity.rung] = event.job

    def number(self, job: str) -> int:
        """The student that a job trained; a job that was never started has one of its own."""
        return self._of_job.setdefault(job, -1 - len(self._of_job))

    def trained_on(self) -> Iterator[tuple[str, str]]:
        """Jobs of the first and of the last rung of each student that passed several."""
        for jobs in self._jobs:
            if len(jobs) > 1:
                yield jobs[min(jobs)], jobs[max(jobs)]


def proxies(state: RunState, columns: Columns, students: Students) -> list[ProxyJson]:
    """Pairs of figures with their rank correlation; what has fewer than three pairs is left out."""
    members = [m for m in state.members if m.get("record")] if state.final else []
    _, time, score = headline()
    held_out, search = score.keys
    scores = _pairs((m["id"], read_figure(m, search), read_figure(m, held_out)) for m in members)
    during = columns.by_id(time.key, [m["record"] for m in members])
    times = _pairs((m["id"], during.get(m["record"]), time.read(m)) for m in members)
    asked = [(f"{first}-0", f"{last}-0") for first, last in students.trained_on()]
    found = columns.by_id(score.key, [name for pair in asked for name in pair])
    rungs = _pairs((last, found.get(first), found.get(last)) for first, last in asked)
    told = ((SCORES, scores), (LATENCIES, times), (RUNGS, rungs))
    return [_answer(question, pairs) for question, pairs in told if len(pairs) >= LEAST]


def _pairs(found: Iterable[tuple[str, float | None, float | None]]) -> list[Pair]:
    return [(name, x, y) for name, x, y in found if x is not None and y is not None]


def _answer(question: Question, pairs: Sequence[Pair]) -> ProxyJson:
    ids, x, y = (list(part) for part in zip(*pairs, strict=True))
    return {
        "name": question.name,
        "x": [rounded(v) for v in x],
        "y": [rounded(v) for v in y],
        "ids": ids,
        "rank_correlation": rounded(rank_correlation(x, y)),
        "x_label": question.x_label,
        "y_label": question.y_label,
    }

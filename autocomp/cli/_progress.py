"""What happens now? A live view on a terminal, plain lines elsewhere, JSON lines for programs, or nothing."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterable
from functools import singledispatch
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from autocomp.cli._front import LEFT, counts_text, head, rows
from autocomp.cli._say import amounts, duration, note, text_table
from autocomp.journal.events import (
    CandidatesChanged,
    Event,
    FrontWritten,
    GpusShared,
    JobProgressed,
    JobRetried,
    JobStarted,
    NodeChanged,
    StudyBegun,
    StudyFinished,
    StudyResumed,
    TeacherMeasured,
    TrialRecorded,
    WarningGiven,
)
from autocomp.journal.file import as_line
from autocomp.report.state import Job, RunState
from autocomp.report.summary import Summary, metric_words, score_of, summarise

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

PROGRESS_EVERY_S = 10.0
FRONT_ROWS = 12


def progress(args: argparse.Namespace, run: Path) -> Progress:
    """The form of progress that the arguments and the terminal ask for."""
    if args.json_events:
        return JsonEvents(run)
    if args.quiet:
        return Progress(run)
    return PlainLines(run) if args.log or not sys.stderr.isatty() else Live(run)


class Progress:
    """Shows nothing; base of the others. A context manager to be called with every event."""

    def __init__(self, run: Path) -> None:
        self.run, self.state = run, RunState()
        self._guard = threading.Lock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the view; nothing to end here."""

    def __call__(self, event: Event) -> None:
        """Take in an event and show it."""
        with self._guard:
            self.state.add(event)
            self.show(event)

    def replay(self, events: Iterable[Event]) -> None:
        """Take in what happened before a resume, without showing it."""
        for event in events:
            self.state.add(event)

    def show(self, event: Event) -> None:
        """Show one event that the state holds already."""


class JsonEvents(Progress):
    """Every event as one JSON line on stdout."""

    def show(self, event: Event) -> None:
        """Print the event."""
        print(as_line(event), end="", flush=True)


class PlainLines(Progress):
    """A line an event, for logs; steps inside a job at most every ten seconds, and only when they moved."""

    def __init__(self, run: Path) -> None:
        super().__init__(run)
        self._said: dict[Any, tuple[Any, ...]] = {}
        self._said_at: dict[Any, float] = {}

    def show(self, event: Event) -> None:
        """Print the event's line, if it has one."""
        if isinstance(event, JobProgressed) and not self._is_news(event):
            return
        for text in lines(event, self.state):
            note(f"[{_clock(event, self.state)}] {text}")

    def _is_news(self, event: JobProgressed) -> bool:
        job, what = event.job, (event.text, event.fraction)
        recent = time.monotonic() - self._said_at.get(job, -PROGRESS_EVERY_S) < PROGRESS_EVERY_S
        if recent or what == self._said.get(job):
            return False
        self._said[job], self._said_at[job] = what, time.monotonic()
        return True


def _clock(event: Event, state: RunState) -> str:
    at = time.time() if event.at is None else event.at
    elapsed = int(max(0.0, at - (state.began_at or at)))
    return f"{elapsed // 3600:d}:{elapsed // 60 % 60:02d}:{elapsed % 60:02d}"


def lines(event: Event, state: RunState) -> list[str]:
    """An event in words; a sweep's complete records are told by the `candidates` that follow them."""
    return list(_lines(event, state))


@singledispatch
def _lines(event: Event, state: RunState) -> Iterable[str]:
    """The words for one kind of event; most kinds have none."""
    return ()


@_lines.register
def _study(event: StudyBegun, state: RunState) -> list[str]:
    data = state.data
    splits = ", ".join(
        f"{name.replace('_', ' ')} {data[name]:,}" for name in ("train", "search", "held_out") if data.get(name)
    )
    text = f"study: {state.spec.get('model')} on {data.get('name')} ({splits}), budget {state.spec.get('budget')}"
    return [text, *(f"data: {line}" for line in data.get("notes") or ())]


@_lines.register
def _teacher(event: TeacherMeasured, state: RunState) -> list[str]:
    summary = summarise(state, Path())
    return [
        f"{row[0]}: size {row[1]}, latency {row[3]}, {summary['metric']} {row[5]}"
        for row in rows({**summary, "members": []})
    ]


@_lines.register
def _warning(event: WarningGiven, state: RunState) -> list[str]:
    return [f"warning: {event.text}"]


@_lines.register
def _gpus(event: GpusShared, state: RunState) -> list[str]:
    tried = ", ".join(f"{one['jobs']}: {one['steps_per_s']:.0f}" for one in event.tried)
    trainings = f"{event.jobs} trainings share one" if event.jobs > 1 else "each training has one"
    return [f"{event.found} × {event.gpu}: {trainings} (steps a second with so many: {tried})"]


@_lines.register
def _started(event: JobStarted, state: RunState) -> list[str]:
    expected = f", about {duration(event.expected_s)}" if event.expected_s else ""
    return [f"start {event.job}: {_kind(event.kind)}, {event.describe or 'no plan'}{expected}"]


@_lines.register
def _progress(event: JobProgressed, state: RunState) -> list[str]:
    left = f", {duration(event.left_s)} left" if event.left_s is not None else ""
    done = f" {100 * event.fraction:.0f} %" if event.fraction else ""
    return [f"{event.job or 'study'}: {event.text or 'at work'}{done}{left}"]


@_lines.register
def _record(event: TrialRecorded, state: RunState) -> list[str]:
    record = event.record
    return [f"failed {record['id']}: {record['error']}"] if record["status"] == "failed" else []


@_lines.register
def _candidates(event: CandidatesChanged, state: RunState) -> list[str]:
    best = max(event.members, key=lambda m: score_of(m) or 0.0, default=None)
    known = f", best score {score_of(best):.4f} on the search split" if best and score_of(best) is not None else ""
    return [f"front: {len(event.members)} of {state.count('complete')} candidates{known}; left: {_left(state)}"]


@_lines.register
def _front(event: FrontWritten, state: RunState) -> list[str]:
    return [f"final front: {len(event.members)} members, measured beside the teacher and scored on the held-out split"]


@_lines.register
def _retried(event: JobRetried, state: RunState) -> list[str]:
    where = f" on node {event.node[:12]}" if event.node else ""
    lost = f", {duration(event.lost_s)} lost" if event.lost_s is not None else ""
    return [f"again {event.job}: attempt {event.attempt} died{where}{lost}: {event.error}"]


@_lines.register
def _node(event: NodeChanged, state: RunState) -> list[str]:
    return [f"node {event.node[:12]} ({event.host or 'host unknown'}) {event.state}"]


@_lines.register
def _resumed(event: StudyResumed, state: RunState) -> list[str]:
    return [f"resumed: {state.count('complete')} candidates are there; left: {_left(state)}"]


@_lines.register
def _finished(event: StudyFinished, state: RunState) -> list[str]:
    return [f"finished: {state.reason}"]


def _left(state: RunState, now: float | None = None) -> str:
    left = state.left(now)
    return amounts(left) if left else "no limit"


class Live(Progress):
    """Budget, jobs and front, drawn again twice a second on the terminal."""

    def __enter__(self) -> Live:
        from rich.console import Console
        from rich.live import Live as RichLive

        console = Console(stderr=True)
        self._live = RichLive(console=console, get_renderable=self._draw, refresh_per_second=2, transient=True)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the view away: what remains is printed by the verb."""
        self._live.stop()

    def _draw(self) -> RenderableType:
        with self._guard:
            return view(self.state, self.run, time.time())


def view(state: RunState, run: Path, now: float) -> RenderableType:
    """The live view of a state: what it will look like is decided here alone."""
    from rich.console import Group
    from rich.text import Text

    if not state.spec:
        return Text("checking the study, the data and the model …")
    title = Text(f"{state.spec.get('model')} on {state.data.get('name')}  →  {run}", style="bold")
    summary = summarise(state, run)
    counts, front = Text(counts_text(summary["trials"])), _front_lines(summary)
    return Group(title, _budget_bars(state, now), counts, _jobs(state, now), front)


def _budget_bars(state: RunState, now: float) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    given = state.budget.to_json()
    for kind, left in state.left(now).items():
        grid.add_row("budget left", ProgressBar(total=given[kind], completed=left, width=30), amounts({kind: left}))
    return grid


def _jobs(state: RunState, now: float) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    for job in list(state.jobs.values()):
        left = job.seconds_left(now)
        bar = ProgressBar(total=1.0, completed=_fraction(job, now), width=14)
        attempt = f"attempt {job.attempt}" if job.attempt > 1 else ""
        words = " · ".join(filter(None, (attempt, job.text or _kind(job.kind), job.describe)))
        grid.add_row(
            job.id,
            bar,
            "" if left is None else f"{duration(left)} left",
            Text(words, overflow="ellipsis", no_wrap=True),
        )
    return grid


def _fraction(job: Job, now: float) -> float:
    if job.fraction is not None:
        return job.fraction
    return min(1.0, (now - job.at) / job.expected_s) if job.expected_s else 0.0


def _front_lines(summary: Summary) -> Text:
    from rich.text import Text

    text = text_table(head(metric_words(summary), summary["final"]), rows(summary, FRONT_ROWS - 2), LEFT)
    # The plan stands last: where the terminal is narrow, it is what gives way.
    return Text("\n" + text, no_wrap=True, overflow="ellipsis")


def _kind(kind: str) -> str:
    return kind.replace("_", " ")

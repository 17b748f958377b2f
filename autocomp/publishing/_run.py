"""A run as other tools are told of it: everything of the journal that they have a word for, read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocomp.journal import JournalReader
from autocomp.journal.events import StudyBegun, TrialRecorded
from autocomp.objective import Objective
from autocomp.record import RecordJson
from autocomp.report.columns import is_predicted, job_of
from autocomp.report.objectives import figures_of, key_of, objectives_of
from autocomp.report.state import Member, RunState
from autocomp.space import Point

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Row:
    """One trial record.

    Attributes:
        began_at, ended_at: seconds since 1970; the records of one job end together.
        kind, describe: of its job.
        figures: numbers by their keys on the page (docs/command-line.md); empty when it failed.
        values: of the run's objectives, in their order; None when it failed or one of them was not measured.
        is_predicted: whether its latency was computed and not measured.
    """

    id: str
    began_at: float
    ended_at: float
    rung: int
    kind: str
    describe: str
    source: str
    error: str | None
    point: Point
    figures: Mapping[str, float]
    values: tuple[float, ...] | None
    is_predicted: bool


@dataclass(frozen=True)
class PublishedRun:
    """A run for a target.

    Attributes:
        folder: the run directory, absolute.
        knobs: the space's grids by knob; None where an older journal does not have them.
        rows: in the journal's order.
    """

    folder: Path
    state: RunState
    objectives: tuple[Objective, ...]
    knobs: Mapping[str, tuple[Any, ...]] | None
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def keys(self) -> list[str]:
        """The objectives' figures, by their keys on the page."""
        return [key_of(objective) for objective in self.objectives]

    def row_of(self, member: Member) -> Row | None:
        """The record that became a member; None when the journal lacks it."""
        return next((row for row in self.rows if row.id == member.get("record")), None)


@dataclass(frozen=True)
class Published:
    """What was done.

    Attributes:
        where: the file or folder, absolute.
        name: the run's name there.
        added: trials (or members, for a tool that is told only of those) that are new there.
        total: how many of them it has now.
        what: what is counted: `trials` or `members`.
        command: the command line that shows it.
    """

    where: Path
    name: str
    added: int
    total: int
    what: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A tool that shows runs.

    Attributes:
        default: where it is written inside a run directory.
        publish: writes a run to a path; calling it again on a run that has grown adds what is new.
    """

    default: str
    publish: Callable[[PublishedRun, Path], Published]


def read_run(folder: Path) -> PublishedRun:
    """Read a run, finished or not.

    Raises:
        RunFolderError: the folder is no run, or its journal is damaged.
    """
    state, rows, knobs = RunState(), list[Row](), None
    objectives: tuple[Objective, ...] = ()
    for event in JournalReader(folder / JOURNAL).new():
        state.add(event)
        if isinstance(event, StudyBegun):
            objectives, knobs = objectives_of(state), event.knobs
        elif isinstance(event, TrialRecorded):
            rows.append(_row(event.record, event.at or 0.0, state, objectives))
    grids = None if knobs is None else {name: tuple(values) for name, values in knobs.items()}
    return PublishedRun(folder.resolve(), state, objectives, grids, tuple(rows))


def _row(record: RecordJson, at: float, state: RunState, objectives: tuple[Objective, ...]) -> Row:
    measured = record["measurements"]
    job = state.started.get(job_of(record["id"]))
    figures = figures_of(measured, objectives) if record["status"] == "complete" else {}
    values = [figures.get(key_of(objective)) for objective in objectives]
    known = tuple(value for value in values if value is not None)
    return Row(
        id=record["id"],
        began_at=at - float(record.get("seconds") or 0.0),
        ended_at=at,
        rung=record["fidelity"]["rung"],
        kind=job.kind if job else "",
        describe=job.describe if job else "",
        source=record.get("source") or "",
        error=record.get("error"),
        point=record["point"],
        figures=figures,
        values=known if figures and len(known) == len(objectives) else None,
        is_predicted=is_predicted(measured),
    )

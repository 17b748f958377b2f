"""TensorBoard: a run's trials as curves over time, and its members' knobs and figures in the HParams tab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autocomp.errors import InputError, MissingExtra
from autocomp.journal.member import read_figure
from autocomp.publishing import Published, PublishedRun, Target
from autocomp.report.objectives import known_figures

EVENTS = "events.out.tfevents.*"


def publish(run: PublishedRun, folder: Path) -> Published:
    """Write `folder/NAME`: event files are made anew, for TensorBoard keeps no order among several.

    Raises:
        InputError: the folder cannot be written.
        MissingExtra: tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "publishing to TensorBoard") from error
    here = folder / run.name
    try:
        here.mkdir(parents=True, exist_ok=True)
        for file in here.rglob(EVENTS):
            file.unlink()
        with SummaryWriter(str(here), max_queue=100_000, flush_secs=3600, write_to_disk=True) as writer:
            _trials(run, writer)
            _members(run, writer)
    except OSError as error:
        raise InputError(f"{here}: cannot be written ({error.strerror}); choose another --out") from error
    count = len(run.state.members)
    command = ("tensorboard", "--logdir", str(folder))
    return Published(here, run.name, count, count, "members", command)


target = Target("tensorboard", publish)


def _trials(run: PublishedRun, writer: Any) -> None:
    """Every objective of every trial, and its best so far."""
    best: dict[str, float] = {}
    for step, row in enumerate(run.rows):
        for objective, key, value in zip(run.objectives, run.keys, row.values or (), strict=False):
            writer.add_scalar(f"trials/{key}", value, step, walltime=row.ended_at)
            pick = min if objective.direction == "minimize" else max
            if best.get(key) is None or pick(best[key], value) != best[key]:
                best[key] = value
                writer.add_scalar(f"best/{key}", value, step, walltime=row.ended_at)


def _members(run: PublishedRun, writer: Any) -> None:
    told = known_figures(run.state, run.state.data.get("metric") or "score")
    keys = dict.fromkeys([*run.keys, *(key for figure in told if figure["is_drawn"] for key in figure["keys"])])
    for member in run.state.members:
        row = run.row_of(member)
        point = {name: _plain(value) for name, value in row.point.items()} if row else {}
        figures = {f"member/{key}": float(value) for key in keys if (value := read_figure(member, key)) is not None}
        if figures:
            writer.add_hparams(point, figures, name=f"{member['id']}", global_step=0)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)

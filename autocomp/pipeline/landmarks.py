"""The teacher and its plain int8 export as members, to compare everything with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from autocomp.journal.member import Member, with_figures
from autocomp.measures import TIME, Subject, measures
from autocomp.measures.latency import is_disturbed
from autocomp.pipeline.baseline import NAMES
from autocomp.pipeline.figures import figures, final_measurements

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.measurement import Measurement
    from autocomp.pipeline.context import StudyContext


TIMING_S = 3.0


def landmark_measurements(
    context: StudyContext, names: tuple[str, ...], crew: WorkerPool
) -> dict[str, dict[str, Measurement]]:
    """Measures of both landmarks on the search split, timed together now, where the device is; else predicted."""
    from autocomp.pipeline.measuring import PREDICTED, TIMING, latency_of, measured_by, place, times_of

    where = place(context.device, crew)
    folders = {name: context.teacher_artifact.parent / name for name in NAMES}
    job = {"id": "landmarks", "run": str(context.run), "artifacts": {}, "split": "search", "seconds": TIMING_S}
    timed = crew.at_device(TIMING, {**job, "measured": where})
    times, logits = times_of(timed), search_logits(context)
    found = {}
    for name, folder in folders.items():
        subject = Subject(
            folder=folder,
            metric=context.data.metric,
            positive=context.data.positive,
            labels=np.array([e.label for e in context.data.search]),
            logits=logits[name],
            teacher=context.knowledge.search_logits,
            times_ms=times[name],
            disturbed=is_disturbed(times, name),
            depths=np.full(len(logits[name]), context.teacher.encoder.shape.depth),
            load_ms=timed["load_ms"].get(name, math.nan),
            device=context.machine,
        )
        if where == PREDICTED:
            taken = {m: measures[m](subject) for m in measured_by(names, where)}
            found[name] = taken | {TIME: latency_of(context, times[name], where)}
        else:
            final = {m: taken for m, taken in final_measurements(folder).items() if taken}
            found[name] = {m: measures[m](subject) for m in names} | final
    return found


def search_logits(context: StudyContext) -> dict[str, np.ndarray]:
    """Both landmarks' logits on the search split."""
    return _logits(context, "search")


def held_out_logits(context: StudyContext) -> dict[str, np.ndarray]:
    """Both landmarks' logits on the held-out split."""
    return _logits(context, "held_out")


def _logits(context: StudyContext, split: str) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    arrays = load_file(context.teacher_artifact.parent / "arrays.safetensors")
    return {"teacher": arrays[f"{split}_logits"], "plain_int8": arrays[f"plain_int8_{split}_logits"]}


def landmark_member(name: str, measured: Mapping[str, Measurement]) -> Member:
    """A landmark as the reports show it; its files lie in the run's folder of its name."""
    known = with_figures({"id": name, "describe": NAMES[name]}, figures(measured))
    return {**known, "path": name}

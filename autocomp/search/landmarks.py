"""The teacher and its plain int8 export as members, to compare everything with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.measures import Subject, measures

if TYPE_CHECKING:
    from autocomp.measurement import Measurement
    from autocomp.search.context import StudyContext

NAMES = {"teacher": "the teacher, FP32", "plain_int8": "the teacher, plain dynamic int8 per channel"}


def landmark_measurements(context: StudyContext, names: tuple[str, ...]) -> dict[str, dict[str, Measurement]]:
    """Measures of both landmarks on the search split, timed together now."""
    from autocomp.search.scoring import opened
    from autocomp.search.timing import time_folders

    folders = {name: context.teacher_artifact.parent / name for name in NAMES}
    times = time_folders(folders, context.data.search, context.device.threads, seconds=3.0)
    logits = search_logits(context)
    found = {}
    for name, folder in folders.items():
        subject = Subject(
            folder=folder,
            metric=context.data.metric,
            labels=np.array([e.label for e in context.data.search]),
            logits=logits[name],
            teacher=context.knowledge.search_logits,
            times_ms=times[name],
            depths=np.full(len(logits[name]), context.teacher.encoder.shape.depth),
            load_ms=opened(folder, context.device.threads)[1],
            device=context.machine,
        )
        found[name] = {m: measures[m](subject) for m in names}
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


def landmark_member(name: str, measured: dict[str, Measurement], path: Path | str) -> dict[str, Any]:
    """A landmark as the reports show it."""
    latency, score = measured["latency"], measured["task_score"]
    return {
        "id": name,
        "describe": NAMES[name],
        "bytes": int(measured["artifact_size"].value),
        "gzip_bytes": int(measured["compressed_size"].value),
        "latency_ms": latency.value,
        "latency_p50_ms": latency.details["p50"],
        "latency_p95_ms": latency.details["p95"],
        "latency_spread_ms": latency.spread,
        "search_score": score.value,
        "search_score_se": score.spread,
        "agreement": measured["agreement"].value,
        "load_ms": measured["load_time"].value,
        "path": str(path),
    }

"""Made-up runs whose answers are several labels, or a number: journals, evidence, and small files of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from autocomp.heads import HeadShape, heads
from autocomp.testing.runs import Event, evidence, journal

LABELS = {
    "multi_label": ("joy", "love", "anger & <b>rage</b>", "grief", "neutral"),
    "regression": ("similarity",),
}
PAIRED = ("regression",)
"""Kinds whose texts are pairs."""
SCALE = 1.5
"""The spread of the numbers."""


def journal_of(kind: str, finished: bool = True) -> list[Event]:
    """The events of a study of that kind; scores are those of `runs.journal`."""
    events = journal(finished, task=kind)
    metric = heads[kind].default_metric
    events[0]["data"] |= {"labels": list(LABELS[kind]), "metric": metric, "kind": kind}
    return events


def evidence_of(kind: str, names: Sequence[str], rows: int = 200, seed: int = 0) -> dict[str, object]:
    """The content of an `evidence.json` of that kind; later members answer better, the teacher best."""
    rng = np.random.default_rng(seed)
    head, known = heads[kind], evidence(names, rows, seed)
    labels = LABELS[kind]
    truth = _truth(kind, rows, rng)
    models = {}
    for i, (name, told) in enumerate(known["models"].items()):  # type: ignore[attr-defined]
        answers = _answers(kind, truth, 0.12 - 0.1 * i / (len(names) + 2), rng)
        own = {key: told[key] for key in ("depths", "latency")}
        more = {"confidence": told["confidence"], "thresholds": [0.5 - 0.05 * j for j in range(len(labels))]}
        models[name] = {"answers": head.rows(answers), **(more if head.has_thresholds else {}), **own}
    second = "The second text & its <i>end</i>." if kind in PAIRED else None
    texts = [{"row": row, "text": f"A text (row {row})", "pair": second} for row in range(rows)]
    about = {"kind": kind, "unit": SCALE, "labels": list(labels), "truth": head.rows(truth)}
    return {**known, **about, "models": models, "differing": rows, "texts": texts}


def _truth(kind: str, rows: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "regression":
        return rng.uniform(0, 5, rows).round(2)
    return (rng.random((rows, len(LABELS[kind]))) < 0.3).astype(np.int64)


def _answers(kind: str, truth: np.ndarray, wrong: float, rng: np.random.Generator) -> np.ndarray:
    if kind == "regression":
        return (truth + rng.normal(size=len(truth)) * 8 * wrong).round(3)
    return np.where(rng.random(truth.shape) < wrong, 1 - truth, truth)


def write_model_of(kind: str, folder: Path, seed: int = 0) -> Path:
    """A tiny random model of that kind as a real artifact; returns its folder."""
    from autocomp.pipeline.export import write_artifact
    from autocomp.testing.models import random_student, tiny_shape

    labels, head = LABELS[kind], heads[kind]
    unit = {"scale": SCALE, "offset": 2.5} if kind == "regression" else {}
    shape = replace(tiny_shape(), head=HeadShape(len(labels), size=32, kind=kind, **unit))  # type: ignore[arg-type]
    student = random_student(shape, seed, labels, pairs=kind in PAIRED)
    write_artifact(student, folder, {"thresholds": [0.4] * len(labels)} if head.has_thresholds else {})
    return folder

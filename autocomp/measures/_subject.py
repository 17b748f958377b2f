"""What a measure looks at: an artifact and what was seen when it ran over real inputs, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Subject:
    """One artifact and one run of it over `n` inputs at batch 1.

    Attributes:
        folder: the artifact.
        metric: name of the task's score.
        positive: index of the positive label of two, for metrics that are about one; else None.
        labels: `[n]` true labels.
        logits: `[n, C]` of the artifact.
        teacher: `[n, C]` of the teacher, on the same inputs.
        times_ms: `[rounds, n]` or `[1, n]`, already corrected for the machine's drift against the teacher.
        depths: `[n]` layers that ran.
        load_ms: time to open the file.
        device: fingerprint of the machine.
        disturbed: something else ran each time that `times_ms` were taken, which should not be trusted.
    """

    folder: Path
    metric: str
    labels: np.ndarray
    logits: np.ndarray
    teacher: np.ndarray
    times_ms: np.ndarray
    depths: np.ndarray
    load_ms: float
    device: str
    positive: int | None = None
    disturbed: bool = False

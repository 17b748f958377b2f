"""How is a number obtained, and what do reports call it? One file per measure.

A measure is a function `measure` from what was seen of an artifact to a `Measurement`. Its file may also say:

* `FIGURES`: what its numbers are called and how they are read, a tuple of `Figure`; without it the measure has one
  figure under its own name.
* `ON_DEVICE = True`: it has to be taken on the device that the number holds for.
* `of_files`: a function from an artifact's folder to the `Measurement`, where the files alone say it.

Nothing else has to know of a measure: JSON, limits, tables, charts and other tools read this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from autocomp.errors import MeasurementError, UnknownName
from autocomp.heads import DEFAULT, heads
from autocomp.measurement import Measurement
from autocomp.measures._figure import Figure, FigureJson
from autocomp.registry import Registry


@dataclass(frozen=True)
class Subject:
    """One artifact and one run of it over `n` inputs at batch 1.

    Attributes:
        folder: the artifact.
        metric: name of the task's score.
        positive: index of the positive label of two, for metrics that are about one; else None.
        targets: what is right, `[n]` or `[n, C]`, as the head holds it.
        logits: `[n, C]` of the artifact.
        teacher: `[n, C]` of the teacher, on the same inputs.
        times_ms: `[rounds, n]` or `[1, n]`, already corrected for the machine's drift against the teacher.
        depths: `[n]` layers that ran.
        load_ms: time to open the file.
        device: fingerprint of the machine.
        disturbed: something else ran each time that `times_ms` were taken, which should not be trusted.
        kind: what is asked of a model, a name of `autocomp.heads`.
        unit: the spread of numbers that are learnt; 1 of labels.
        thresholds, teacher_thresholds: by which the artifact and the teacher decide, where their head has any.
    """

    folder: Path
    metric: str
    positive: int | None
    targets: np.ndarray
    logits: np.ndarray
    teacher: np.ndarray
    times_ms: np.ndarray
    depths: np.ndarray
    load_ms: float
    device: str
    disturbed: bool = False
    kind: str = DEFAULT
    unit: float = 1.0
    thresholds: tuple[float, ...] = ()
    teacher_thresholds: tuple[float, ...] = ()

    @property
    def answers(self) -> np.ndarray:
        """The artifact's answers, `[n]` or `[n, C]`."""
        return heads[self.kind].answers(self.logits, self.thresholds)

    @property
    def teacher_answers(self) -> np.ndarray:
        """The teacher's answers to the same inputs."""
        return heads[self.kind].answers(self.teacher, self.teacher_thresholds)


Measure = Callable[[Subject], Measurement]


class Measures(Registry[Measure]):
    """All measures, and the figures that each declares."""

    def __init__(self) -> None:
        super().__init__("measure", "autocomp.measures", "measure")
        self._figures: dict[str, tuple[Figure, ...]] = {}

    def figures(self, name: str) -> tuple[Figure, ...]:
        """What a measure's numbers are called; the first is its value.

        A measure that says nothing, or that a plug-in defined which is gone, has one figure under its own name.
        """
        if name not in self._figures:  # asked for each of thousands of records
            self._figures[name] = self._declared(name) or (Figure(name, ""),)
        return self._figures[name]

    def _declared(self, name: str) -> tuple[Figure, ...]:
        try:
            return tuple(getattr(_file(self[name]), "FIGURES", ()))
        except UnknownName:
            return ()


measures = Measures()

SIZE, TIME, SCORE = HEADLINE = ("artifact_size", "latency", "task_score")
"""The three that every table shows and every short answer (smallest, fastest, best) is about."""
OF_RECORDS = (*HEADLINE, "agreement", "compressed_size", "load_time", "parameters", "survey_size")
"""Measures that every record has, whether or not an objective asks for them."""
OF_FINAL_FILES = ("resident_memory",)
"""Measures that only landmarks and the final front have, because they take long: each gives `of_files`."""
USUAL = (*OF_RECORDS[:-2], *OF_FINAL_FILES, *OF_RECORDS[-2:])
"""All of these, in the order in which reports show them."""


def on_device(name: str) -> bool:
    """Whether a measure has to be taken on the device: its file says `ON_DEVICE = True`."""
    return bool(getattr(_file(measures[name]), "ON_DEVICE", False))


def of_files(name: str, folder: Path) -> Measurement | None:
    """A measure of an artifact that nobody ran; None where its files do not say it, or this system cannot tell."""
    measured = getattr(_file(measures[name]), "of_files", None)
    try:
        return None if measured is None else measured(folder)
    except MeasurementError:
        return None


def measures_of_files() -> list[str]:
    """The usual measures that an artifact's files alone say, then those of plug-ins."""
    names = dict.fromkeys([*USUAL, *measures.names()])
    return [name for name in names if hasattr(_file(measures[name]), "of_files")]


def _file(measure: Measure) -> ModuleType | None:
    return sys.modules.get(measure.__module__)


def figure_of(name: str, statistic: str | None = None) -> Figure:
    """The figure of a measure's value, or of one of its details."""
    declared = measures.figures(name)
    own = next((figure for figure in declared if figure.statistic == statistic), None)
    if own:
        return own
    first = declared[0]
    return Figure(f"{name}_{statistic}", "", first.unit, first.better, statistic, marks=first.marks)


def headline() -> tuple[Figure, Figure, Figure]:
    """The figures of size, time and score."""
    size, time, score = (figure_of(name) for name in HEADLINE)
    return size, time, score


def figures_of(measured: Mapping[str, Measurement | None]) -> dict[str, float | None]:
    """Measurements under the keys that their measures declare, as a member has them."""
    entries: dict[str, float | None] = {}
    for name, measurement in measured.items():
        for figure in measures.figures(name):
            entries |= figure.entries(measurement)
    return entries


def all_figures(names: Iterable[str] = ()) -> list[Figure]:
    """The figures of the usual measures, then those of the named ones, each once."""
    known = dict.fromkeys([*USUAL, *sorted(names)])
    return list({figure.key: figure for name in known for figure in measures.figures(name)}.values())


__all__ = [
    "HEADLINE", "OF_FINAL_FILES", "OF_RECORDS", "SCORE", "SIZE", "TIME", "USUAL",
    "Figure", "FigureJson", "Measure", "Subject",
    "all_figures", "figure_of", "figures_of", "headline", "measures", "measures_of_files", "of_files", "on_device",
]  # fmt: skip

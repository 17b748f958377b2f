"""What a task is: plain data, whatever it was read from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from autocomp.errors import DataError, UnknownName, listed
from autocomp.heads import DEFAULT, Target, heads
from autocomp.metrics import forms_of, metrics, metrics_for, needs_positive
from autocomp.registry import Registry


class Example(NamedTuple):
    """One row: a text, or a pair of texts, and what its head learns of it.

    That is the index of a label in `TaskData.labels`, the indices of several in ascending order, or a number.
    """

    text: str
    pair: str | None
    target: Target


def labels_in(target: Target) -> tuple[int, ...]:
    """The indices of the labels that hold in a row; none where it holds a number."""
    if isinstance(target, tuple):
        return target
    return (target,) if isinstance(target, int) else ()


@dataclass(frozen=True)
class TaskData:
    """A data set ready to train on, to search on and to report on.

    Attributes:
        name: how the task is called in reports.
        labels: label names; of a number, the one name that it has.
        metric: name of the score, larger is better (`autocomp.metrics`).
        train: rows to learn from.
        search: rows the search scores candidates on.
        held_out: rows only the final front is scored on. The three share no text.
        notes: everything that was decided while reading: splits made, duplicates found, rows dropped.
        max_length: longest input in tokens that training and serving keep; None until a model is known, if nobody says.
        kind: what is asked of a model, a name of `autocomp.heads`.
        positive: index of the positive label of two, for metrics that are about one; None of other numbers of labels.

    Raises:
        UnknownName: if there is no such metric.
        DataError: if the metric does not fit the number of labels.
    """

    name: str
    labels: tuple[str, ...]
    metric: str
    train: tuple[Example, ...]
    search: tuple[Example, ...]
    held_out: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    max_length: int | None = None
    positive: int | None = None
    kind: str = DEFAULT

    def __post_init__(self) -> None:
        if self.metric not in metrics:
            raise UnknownName("metric", self.metric, metrics.names())
        form = heads[self.kind].answer_key
        if form not in forms_of(self.metric):
            fit = listed(metrics_for(form))
            raise DataError(f"task {self.name}: metric {self.metric!r} cannot score {self.kind}; those that can: {fit}")
        if self.metric == "f1" and len(self.labels) != 2:
            labels = f"{len(self.labels)} labels ({listed(self.labels, 5)})"
            raise DataError(f"task {self.name}: metric 'f1' needs exactly 2 labels, got {labels}; use 'macro_f1'")
        if self.max_length is not None and self.max_length < 8:
            raise DataError(f"task {self.name}: max_length must be at least 8 tokens, got {self.max_length}")

        if self.positive is not None and (len(self.labels) != 2 or self.positive not in (0, 1)):
            rule = "positive must be the index of one of two labels"
            raise DataError(f"task {self.name}: {rule}, got {self.positive} of {len(self.labels)} labels")

    @property
    def positive_label(self) -> str | None:
        """Name of the label that the metric is about; None where it is about all of them."""
        if self.positive is None or not needs_positive(self.metric):
            return None
        return self.labels[self.positive]

    def in_order(self, labels: Sequence[str]) -> TaskData:
        """This data with its labels in another order; rows and the positive label go with them.

        Raises:
            DataError: `labels` are not the same names.
        """
        if sorted(labels) != sorted(self.labels):
            raise DataError(f"task {self.name}: the labels are {listed(self.labels)}, got {listed(labels)}")
        place = [list(labels).index(label) for label in self.labels]

        def moved(target: Target) -> Target:
            return tuple(sorted(place[i] for i in target)) if isinstance(target, tuple) else place[int(target)]

        splits = {
            split: tuple(row._replace(target=moved(row.target)) for row in rows) for split, rows in self._splits()
        }
        positive = None if self.positive is None else place[self.positive]
        return replace(self, labels=tuple(labels), positive=positive, **splits)  # type: ignore[arg-type]

    def targets(self, split: str) -> np.ndarray:
        """What a split's rows hold, `[n]` or `[n, C]`, as metrics compare it with answers."""
        rows = [row.target for row in getattr(self, split)]
        return heads[self.kind].targets(rows, len(self.labels))

    @property
    def pairs(self) -> bool:
        """Whether the rows are pairs of texts."""
        return self.train[0].pair is not None

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of labels, metric, positive label, max_length and all rows in order: equal if these are."""
        digest = hashlib.sha256()
        for part in (
            self.labels,
            self.metric,
            self.positive,
            self.max_length,
            *(("split", s, len(r)) for s, r in self._splits()),
        ):
            digest.update(json.dumps(part).encode() + b"\n")
        for _, rows in self._splits():
            for row in rows:
                digest.update(json.dumps(row).encode() + b"\n")
        return digest.hexdigest()

    def _splits(self) -> tuple[tuple[str, tuple[Example, ...]], ...]:
        return ("train", self.train), ("search", self.search), ("held_out", self.held_out)


@dataclass(frozen=True)
class Task:
    """A named task: what a module in `autocomp/tasks/` defines as `task`.

    Attributes:
        summary: one line for `autocomp list tasks`.
        load: reads the data; raises DataError, or MissingExtra if its package is absent.
        licence: licence of the data.
        source: where the data come from.
    """

    summary: str
    load: Callable[[], TaskData]
    licence: str
    source: str


tasks: Registry[Task] = Registry("task", "autocomp.tasks", "task")
"""The named tasks: one module of this package each, and those of plug-ins."""

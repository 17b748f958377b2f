"""Good at what? Data sets with a train, a search and a held-out split, and the score that counts.

A module `autocomp/tasks/x.py` defines the task `x` as its attribute `task`. Files, folders and hub ids become tasks
through `resolve_task`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from autocomp.errors import DataError, UnknownName
from autocomp.metrics import metrics, needs_positive
from autocomp.tasks._base import Example, Task, TaskData, tasks
from autocomp.tasks._files import SUFFIXES, load_files
from autocomp.tasks._hub import load_hub
from autocomp.tasks._positive import with_positive
from autocomp.tasks._scores import paired_difference, score, score_with_error

__all__ = [
    "Example",
    "Task",
    "TaskData",
    "metrics",
    "paired_difference",
    "resolve_task",
    "score",
    "score_with_error",
    "tasks",
]


def resolve_task(
    task: str,
    *,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    label_names: Sequence[str] | None = None,
    metric: str | None = None,
    max_length: int | None = None,
    positive: str | None = None,
    kind: str | None = None,
) -> TaskData:
    """Load a task by its name, by the path of its files, or by its id on the Hugging Face hub, in this order.

    A folder that is called like a registered task is reached as `./name`.

    Args:
        task: `prompt_injection`, `data/reviews`, `data/reviews.csv`, `glue/sst2`, `owner/name:part`.
        text, pair, label: names of the columns, where they are not found by themselves (files and hub only); several
            columns of 0 and 1, one for each label, are `a,b,c`.
        label_names: names of integer labels, or the order of named ones (files and hub only).
        metric: name of the score; else the task's own, or that of the kind (accuracy of one label).
        max_length: longest input in tokens; None is the task's own, or follows from the texts.
        positive: name of the label that metrics such as F1 are about; else a guess, which is noted (`with_positive`).
        kind: what is asked of a model, a name of `autocomp.heads` (files and hub only); None follows from the labels.

    Raises:
        UnknownName: if it is nothing of these.
        DataError: if the data cannot be used, or a column is given for a registered task.
        MissingExtra: if the package that holds the data is absent.
    """
    columns = {"text": text, "pair": pair, "label": label, "label_names": label_names, "kind": kind}
    path = Path(task).expanduser()
    if task in tasks:
        return _registered(task, columns, metric, max_length, positive)
    if path.exists():
        return load_files(path, text, pair, label, metric, label_names, max_length, positive, kind)
    if _looks_like_path(task):
        raise DataError(f"task {task}: no such file or folder (looked in {Path.cwd()})")
    if "/" in task:
        return load_hub(task, text, pair, label, metric, label_names, max_length, positive, kind)
    raise UnknownName("task", task, tasks.names())


def _registered(
    name: str, columns: Mapping[str, object], metric: str | None, max_length: int | None, positive: str | None
) -> TaskData:
    given = [key for key, value in columns.items() if value is not None]
    if given:
        raise DataError(f"task {name} has its own columns; leave out {', '.join(given)}, or name the files instead")
    data = tasks[name].load()
    data = dataclasses.replace(data, metric=metric or data.metric, max_length=max_length or data.max_length)
    return with_positive(data, positive) if positive is not None or needs_positive(data.metric) else data


def _looks_like_path(task: str) -> bool:
    return task.startswith((".", "/", "~")) or task.removesuffix(".gz").endswith(tuple(SUFFIXES))

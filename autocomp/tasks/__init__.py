"""Good at what? Data sets with a train, a search and a held-out split, and the score that counts.

A module `autocomp/tasks/x.py` defines the task `x` as its attribute `task`. Files, folders and hub ids become tasks
through `resolve_task`.
"""

from __future__ import annotations

from autocomp.metrics import metrics
from autocomp.registry import Registry
from autocomp.tasks._base import Example, Task, TaskData

tasks: Registry[Task] = Registry("task", "autocomp.tasks", "task")

from autocomp.tasks._resolve import resolve_task  # noqa: E402  (it looks names up in `tasks`)
from autocomp.tasks._scores import paired_difference, score, score_with_error  # noqa: E402

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

"""Good at what? Data sets with a train, a search and a held-out split, and the score that counts.

A module `autocomp/tasks/x.py` defines the task `x` as its attribute `task`. Files, folders and hub ids become tasks
through `resolve_task`.
"""

from __future__ import annotations

from autocomp.metrics import metrics
from autocomp.tasks._base import Example, Task, TaskData, tasks
from autocomp.tasks._resolve import resolve_task
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

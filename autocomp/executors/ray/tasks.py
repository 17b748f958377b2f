"""Short jobs as plain Ray tasks: worker processes are used again, so a job costs milliseconds to start."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import ray

from autocomp.errors import ClusterError
from autocomp.executors import Data, Ended, Failure, Lost
from autocomp.executors.ray.worker import Outcome, do
from autocomp.strict_json import JsonView

ATTEMPTS = 3
"""A job whose worker or node dies is started again, this many times in all."""


@dataclass
class Task:
    """One attempt at a job."""

    job: Data
    attempt: int
    began: float


@dataclass
class Tasks:
    """Some work's jobs, each a task that holds the resources named.

    Attributes:
        server: name of the study's cache server.
        work: `module:name` of the work.
        options: of the Ray task.
    """

    server: str
    work: str
    options: JsonView
    running: dict[Any, Task] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)

    def submit(self, job: Data, attempt: int = 1) -> None:
        """Start a job."""
        remote = ray.remote(do).options(max_retries=0, **self.options)
        self.running[remote.remote(self.server, self.work, dict(job))] = Task(job, attempt, time.time())

    def collect(self, timeout_s: float) -> list[Ended]:
        """Jobs that ended within the timeout; those whose worker died are started again."""
        if not self.running:
            return []
        done, _ = ray.wait(list(self.running), num_returns=1, timeout=timeout_s)
        more, _ = ray.wait(list(self.running), num_returns=len(self.running), timeout=0)
        ended = [self._end(reference) for reference in dict.fromkeys([*done, *more])]
        return [one for one in ended if one is not None]

    def _end(self, reference: Any) -> Ended | None:
        task = self.running.pop(reference)
        try:
            outcome: Outcome = ray.get(reference)
        except Exception as error:
            return self._again(task, error)
        if outcome.failure:
            self.lost.append(Lost(task.job, task.attempt, outcome.failure.reason, outcome.seconds))
        return Ended(task.job, outcome.result, outcome.failure)

    def _again(self, task: Task, error: Exception) -> Ended | None:
        reason, again = reason_of(error), task.attempt < ATTEMPTS
        self.lost.append(Lost(task.job, task.attempt, reason, time.time() - task.began, again))
        if not again:
            return Ended(task.job, None, Failure(reason, is_of_the_machine(error)))
        self.submit(task.job, task.attempt + 1)
        return None

    def close(self) -> None:
        """End all of them now."""
        for reference in self.running:
            ray.cancel(reference, force=True)
        self.running.clear()


def is_of_the_machine(error: BaseException | None) -> bool:
    """Whether an attempt died of what is around its job: a full disk, or a node with other code than the driver's."""
    cause = getattr(error, "cause", None) or error
    return isinstance(cause, OSError | ClusterError | ray.exceptions.OutOfDiskError)


def reason_of(error: BaseException) -> str:
    """One line: what died, and of what."""
    cause = getattr(error, "cause", None) or error
    first = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {first[0] if first else ''}".removesuffix(": ")[:400]

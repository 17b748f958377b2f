"""Jobs of two parts, each done by an executor of its own: a training gives its GPU back before its files are scored."""

from __future__ import annotations

from collections import deque

from autocomp.executors import Data, Ended, Executor, FollowUp, Lost, NodeChange, Part


class TwoStepExecutor:
    """An executor whose jobs have a second part, done by another executor.

    What waits for the second executor holds nothing of the first. While as many wait as the second can do at once, no
    new jobs are taken, so that what is tried next is chosen with figures of what was tried before.
    """

    def __init__(self, first: Executor, then: FollowUp, second: Executor) -> None:
        self._first, self._then, self._second = first, then, second
        self.threads, self.gpu_share = first.threads, first.gpu_share
        self._half: dict[str, Part] = {}
        self._waiting: deque[Data] = deque()
        self._parts: list[Part] = []

    def __enter__(self) -> TwoStepExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """As many as the first part has."""
        return self._first.workers

    @property
    def free(self) -> int:
        """How many more jobs could start now."""
        return self._first.free if len(self._waiting) < max(1, self._second.workers) else 0

    @property
    def running(self) -> list[Data]:
        """Jobs whose second part has not ended."""
        return [*self._first.running, *(job for job, _ in self._half.values())]

    def submit(self, job: Data, expected_s: float = 0.0) -> None:
        """Start a job."""
        self._first.submit(job, expected_s)

    def collect(self, timeout_s: float) -> list[Ended]:
        """Jobs of which all is done."""
        ended = [self._whole(one) for one in self._second.collect(0 if self._first.running else timeout_s)]
        for job, result, error in self._first.collect(0 if ended or not self._first.running else timeout_s):
            second = self._then.job(job, result) if result is not None else None
            if result is None or second is None:
                ended.append(Ended(job, result, error))
            else:
                self._half[str(job["id"])] = Part(job, result)
                self._parts.append(Part(job, result))
                self._waiting.append(second)
        self._hand_over()
        return ended

    def _hand_over(self) -> None:
        while self._waiting and self._second.free > 0:
            self._second.submit(self._waiting.popleft())

    def _whole(self, second: Ended) -> Ended:
        """Both parts as one; nothing, with the reason, if the second gave nothing that can be made a result."""
        (job, first), failure = self._half.pop(str(second.job["id"])), second.failure
        if failure and failure.is_environment:
            return Ended(job, None, failure)
        merged = self._then.merge(first, second.result if second.result is not None else str(failure))
        return Ended(job, merged, None if merged is not None else failure)

    def parts(self) -> list[Part]:
        """First parts that ended since the last call, here and in an executor of two steps within."""
        parts, self._parts = self._parts, []
        return [*parts, *self._second.parts()]

    def news(self) -> list[NodeChange]:
        """Nodes that came and went since the last call."""
        return self._first.news()

    def lost(self) -> list[Lost]:
        """Attempts at either part that were lost since the last call."""
        return [*self._first.lost(), *self._second.lost()]

    def close(self) -> None:
        """Stop both parts."""
        self._second.close()
        self._first.close()

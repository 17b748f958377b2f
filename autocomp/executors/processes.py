"""One worker process: it does jobs one after the other, and says of what it died.

A worker is spawned, so it inherits no threads, locks or memory. It imports the module of its work and nothing of the
script that started the study: a script without `if __name__ == "__main__"` would be run again by each worker.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from autocomp.executors import Data
from autocomp.executors._spawning import Spawning

PATIENCE_S = 10.0


class WorkerDied(Exception):
    """A worker process ended while it had a job."""


class WorkerNeverStarted(WorkerDied):
    """A worker process ended, or could not import its work, before it took its first job."""


class WorkerProcess:
    """One process for the jobs of one kind of work.

    Args:
        work: a function at the top of a module; takes and returns plain data.
        prepare: called in the process before anything else, with the arguments `given`.
    """

    def __init__(self, work: Callable[[Data], Data], prepare: Callable[..., None], given: tuple[object, ...]) -> None:
        self._work, self._context, self._running = work, Spawning(), list[Future[Any]]()
        self._pool = ProcessPoolExecutor(1, self._context, initializer=prepare, initargs=given)
        self._ready = self._pool.submit(_import, work.__module__)

    @property
    def has_died(self) -> bool:
        """Whether the process is gone; one that has not been waited for may still be thought alive."""
        return any(process.exitcode is not None for process in self._context.started)

    def submit(self, job: Data) -> Future[Data]:
        """Start a job; its future raises WorkerDied, with the reason, if the process dies."""
        answer: Future[Data] = Future()
        try:
            running = self._pool.submit(self._work, job)
        except BrokenProcessPool:
            answer.set_exception(self._death())
            return answer
        running.add_done_callback(lambda done: self._pass_on(done, answer))
        return answer

    def _pass_on(self, done: Future[Data], answer: Future[Data]) -> None:
        error = WorkerDied("it was stopped") if done.cancelled() else done.exception()
        if isinstance(error, BrokenProcessPool) or (error and self._could_not_import()):
            error = self._death()
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    def _could_not_import(self) -> bool:
        return self._ready.done() and self._ready.exception() is not None

    def _death(self) -> WorkerDied:
        """What the process died of, as far as the system tells."""
        error = self._ready.exception() if self._ready.done() else BrokenProcessPool()
        if error is None:
            return WorkerDied(f"its worker process died: {self._last_words()}")
        if not isinstance(error, BrokenProcessPool):
            return WorkerNeverStarted(f"a worker process could not start: {type(error).__name__}: {error}")
        return WorkerNeverStarted(f"a worker process could not start: {self._last_words()}; stderr has its own words")

    def _last_words(self) -> str:
        process = self._context.started[-1]
        process.join(PATIENCE_S)
        return _how_it_ended(process.exitcode)

    def kill(self) -> None:
        """End the process now; its job is lost."""
        for process in self._context.started:
            process.kill()

    def join(self) -> None:
        """Wait until the killed process is gone, and the thread of its pool with it.

        A thread that is left to itself may close its pipe while the interpreter, on its way out, writes into it.
        """
        for process in self._context.started:
            process.join(PATIENCE_S)
        self._pool.shutdown(wait=True, cancel_futures=True)


def _import(module: str) -> None:
    """The first thing a worker does: what fails here fails for every job."""
    importlib.import_module(module)


def _how_it_ended(status: int | None) -> str:
    """An exit status of `multiprocessing` in words: negative ones are signals."""
    if status is None:
        return "nobody knows of what"
    if status >= 0:
        return f"it ended by itself with status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    kinds = {"SIGKILL": "killed by the system, most often for memory", "SIGSEGV": "a crash in a library"}
    return f"{name}{f' ({kinds[name]})' if name in kinds else ''}"

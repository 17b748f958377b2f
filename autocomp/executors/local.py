"""Jobs in worker processes on this machine, or in this process where no workers are wanted.

Each worker computes with its own share of the cores: on two cores, two one-threaded workers finish 1.4 times as many
recoveries as one two-threaded worker (measured), and a worker that the system kills takes one trial with it, not the study.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

Data = Mapping[str, Any]


class LocalExecutor:
    """Runs `work(data) -> data` for several jobs at once.

    Args:
        work: a module-level function; takes and returns plain data.
        workers: processes; 0 runs each job at once in this process.
        threads: of each worker.
    """

    def __init__(self, work: Callable[[Data], dict[str, Any]], workers: int, threads: int) -> None:
        self._work, self.workers, self.threads = work, workers, threads
        self._pool: ProcessPoolExecutor | None = None
        self._running: dict[Future[dict[str, Any]], Data] = {}

    @property
    def free(self) -> int:
        """How many more jobs could start now."""
        return max(1, self.workers) - len(self._running)

    @property
    def running(self) -> list[Data]:
        """Jobs that have not ended."""
        return list(self._running.values())

    def submit(self, job: Data) -> None:
        """Start a job."""
        if self.workers == 0:
            future: Future[dict[str, Any]] = Future()
            future.set_result(self._work(job))
        else:
            self._pool = self._pool or self._new_pool()
            future = self._pool.submit(self._work, job)
        self._running[future] = job

    def collect(self, timeout_s: float) -> list[tuple[Data, dict[str, Any] | None, str | None]]:
        """Jobs that ended within the timeout: job, result, and the reason where there is no result."""
        done, _ = wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED)
        ended = [self._end(future) for future in done]
        if any(reason for _, _, reason in ended):
            ended += [self._end(f) for f in list(self._running) if f.done()]
        return ended

    def _end(self, future: Future[dict[str, Any]]) -> tuple[Data, dict[str, Any] | None, str | None]:
        job = self._running.pop(future)
        try:
            return job, future.result(), None
        except BrokenProcessPool:
            self._pool = None
            return job, None, "its worker process died (killed by the system, most often for memory)"
        except Exception as error:  # whatever a worker could not even report
            return job, None, f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Stop all workers now; running jobs are lost."""
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join(timeout=10)
        self._pool = None

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, context, initializer=_start_worker, initargs=(self.threads,))


def share_of_cores(workers: int) -> tuple[int, int]:
    """Workers and threads of each: one worker a free core when `workers` is 0."""
    cores = len(os.sched_getaffinity(0))
    wanted = workers or cores
    return wanted, max(1, cores // wanted)


def _start_worker(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A worker whose study was killed must not train on for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

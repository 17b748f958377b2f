"""Jobs in worker processes on this machine, or in this process where no workers are wanted.

Each worker computes with its own share of the cores: on two cores, two one-threaded workers take 1.4 times as many
training steps as one two-threaded worker (measured when fine-tuning MiniLM), and a worker that the system kills takes
one trial with it, not the study.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from autocomp.executors import Data, Ended, Executor, Failure, Lost, NodeChange, Part, PoolFacts, Work
from autocomp.executors.processes import WorkerDied, WorkerNeverStarted, WorkerProcess
from autocomp.executors.two_step import TwoStepExecutor


class LocalPool:
    """Worker processes of this machine.

    Args:
        workers: processes; 0 runs each job at once in this process.
        threads: of each worker.
        gpus: of this machine that its workers may use.
    """

    has_device = False

    def __init__(self, workers: int, threads: int, gpus: int = 0) -> None:
        self.workers, self.threads, self.gpus = workers, threads, gpus

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def machines(self) -> list[str]:
        """This one."""
        return [platform.node()]

    @property
    def cores(self) -> int:
        """Held by all workers."""
        return self.workers * self.threads

    def serve(self, run: Path, store: Path) -> None:
        """Nothing to do: every process here sees both folders."""

    def room(self, share: float) -> int:
        """All workers, or half of them and no more than the GPUs have room for."""
        return min(max(1, self.workers // 2), self.gpus * per_gpu(share)) if share else self.workers

    def executor(self, work: Work, most: int | None = None, share: float = 0.0) -> Executor:
        """Processes for all of a job, or two sets of them: those that share GPUs, and those for second parts."""
        if not share:
            return LocalExecutor(work.run, self.workers if most is None else min(self.workers, most), self.threads)
        first = LocalExecutor(work.run, self.room(share), self.threads, share, visible(self.gpus))
        if not work.then or work.then.at_device:
            return first
        rest = LocalExecutor(work.then.work.run, max(1, self.workers - first.workers), self.threads)
        return TwoStepExecutor(first, work.then, rest)

    def at_gpu(self, work: Work, job: Data) -> Data:
        """Do one job in this process."""
        return work.run(job)

    def at_device(self, work: Work, job: Data) -> Data:
        """Do one job in this process."""
        return work.run(job)

    def facts(self) -> PoolFacts:
        """Numbers of workers, threads and GPUs."""
        return {"kind": "local", "workers": self.workers, "threads": self.threads, "gpus": self.gpus}

    def close(self) -> None:
        """Every pool closes itself."""


class LocalExecutor:
    """Runs `work(data) -> data` for several jobs at once.

    Args:
        work: a module-level function; takes and returns plain data.
        workers: processes; 0 runs each job at once in this process.
        threads: of each worker.
        share: of a GPU, for each job.
        visible: names of the GPUs, which the workers share out among them.
    """

    def __init__(
        self,
        work: Callable[[Data], Data],
        workers: int,
        threads: int,
        share: float = 0.0,
        visible: Sequence[str] = (),
    ) -> None:
        self._work, self.workers, self.threads, self.gpu_share = work, workers, threads, share
        self._visible = visible
        self._processes: list[WorkerProcess | None] = [None] * workers
        self._running: dict[Future[Data], Data] = {}
        self._began: dict[Future[Data], float] = {}
        self._lost: list[Lost] = []
        self._slots: dict[Future[Data], int] = {}

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def free(self) -> int:
        """How many more jobs could start now."""
        return max(1, self.workers) - len(self._running)

    @property
    def running(self) -> list[Data]:
        """Jobs that have not ended."""
        return list(self._running.values())

    def submit(self, job: Data, expected_s: float = 0.0) -> None:
        """Start a job."""
        if self.workers == 0:
            future = _done_here(self._work, job)
        else:
            slot = next(s for s in range(self.workers) if s not in self._slots.values())
            future = self._start(slot, job)
            self._slots[future] = slot
        self._running[future], self._began[future] = job, time.time()

    def _start(self, slot: int, job: Data) -> Future[Data]:
        process = self._processes[slot]
        if process is None or process.has_died:
            gpu = self._visible[slot % len(self._visible)] if self._visible else None
            process = self._processes[slot] = WorkerProcess(self._work, _start_worker, (self.threads, gpu))
        return process.submit(job)

    def news(self) -> list[NodeChange]:
        """None: this machine stays."""
        return []

    def lost(self) -> list[Lost]:
        """Attempts whose worker died or whose machine failed; none is tried again, for the same would happen again."""
        lost, self._lost = self._lost, []
        return lost

    def parts(self) -> list[Part]:
        """None: these are jobs of one part."""
        return []

    def collect(self, timeout_s: float) -> list[Ended]:
        """Jobs that ended within the timeout: job, result, and the reason where there is no result."""
        done, _ = wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED)
        return [self._end(future) for future in done]

    def _end(self, future: Future[Data]) -> Ended:
        job, began = self._running.pop(future), self._began.pop(future)
        self._slots.pop(future, None)
        try:
            return Ended(job, future.result(), None)
        except Exception as error:  # whatever a worker could not even report
            failure = _failure_of(error)
            if failure.is_environment or isinstance(error, WorkerDied):
                self._lost.append(Lost(job, 1, failure.reason, time.time() - began, gpu_share=self.gpu_share))
            return Ended(job, None, failure)

    def close(self) -> None:
        """Stop all workers now; running jobs are lost."""
        processes = [process for process in self._processes if process]
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        self._processes = [None] * self.workers


def _failure_of(error: Exception) -> Failure:
    if isinstance(error, WorkerDied):
        return Failure(str(error), isinstance(error, WorkerNeverStarted))
    return Failure(f"{type(error).__name__}: {error}", isinstance(error, OSError))


def _done_here(work: Callable[[Data], Data], job: Data) -> Future[Data]:
    future: Future[Data] = Future()
    try:
        future.set_result(work(job))
    except Exception as error:
        future.set_exception(error)
    return future


def share_of_cores(workers: int) -> tuple[int, int]:
    """Workers and threads of each: one worker a free core when `workers` is 0."""
    cores = len(os.sched_getaffinity(0))
    wanted = workers or cores
    return wanted, max(1, cores // wanted)


def per_gpu(share: float) -> int:
    """Jobs of this share that a GPU has room for."""
    return int(1 / share + 1e-9)


def visible(gpus: int) -> list[str]:
    """Names of this process's first GPUs, as `CUDA_VISIBLE_DEVICES` takes them."""
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return (named or [str(number) for number in range(gpus)])[:gpus]


def _start_worker(threads: int, gpu: str | None = None) -> None:
    if gpu is not None:  # read when the worker first uses its GPU, which is the only one that it sees
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
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

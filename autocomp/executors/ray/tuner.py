"""Long jobs as trials of Ray Tune, which places them, holds their resources and starts them again when they die.

What is tried next, how deep and for how much is ours: Tune asks `_Feed`, its searcher, which hands on what the study's
loop submitted. First in, first out; no Tune scheduler stops anything.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypedDict

from ray import tune
from ray.tune.search import Searcher

from autocomp.errors import ClusterError
from autocomp.executors import Data, Ended, Failure, Lost, NodeChange, Part, Work
from autocomp.executors.ray._tune import all_deaths_are_of_trials, error_of, last_words_of
from autocomp.executors.ray.tasks import ATTEMPTS, is_of_the_machine, reason_of
from autocomp.executors.ray.worker import Outcome, do

_QUIET = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_DISABLE_SIGINT_HANDLER": "1", "RAY_AIR_NEW_OUTPUT": "0"}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)
logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the journal tells what died, once
END_S = 20.0


class TrialConfig(TypedDict):
    """What Tune hands to a trial: the names of the study's cache server and of the work, and its job as JSON."""

    server: str
    work: str
    job: str


class TrialResult(TypedDict):
    """What a trial reports to Tune: an `Outcome` as JSON."""

    outcome: str
    done: bool


class Recovery(tune.Trainable):  # type: ignore[misc]
    """A trial: one job, in one step."""

    def setup(self, config: TrialConfig) -> None:
        """Take the job."""
        self._job = config

    def step(self) -> TrialResult:
        """Do it."""
        outcome = do(self._job["server"], self._job["work"], json.loads(self._job["job"]))
        return {"outcome": json.dumps(outcome.to_json()), "done": True}

    def reset_config(self, new_config: TrialConfig) -> bool:
        """The process may take the next job."""
        self._job = new_config
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a job's stages are its checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


@dataclass
class Attempt:
    """A job on its way: which attempt this is, and when it began to hold a worker."""

    job: Data
    number: int = 1
    began: float | None = None


@dataclass
class Exchange:
    """What the loop's thread and Tune's thread hand each other."""

    where: Callable[[Data], str]
    gpu_share: float = 0.0
    waiting: deque[Attempt] = field(default_factory=deque)
    running: dict[str, Attempt] = field(default_factory=dict)
    ended: queue.SimpleQueue[Ended] = field(default_factory=queue.SimpleQueue)
    lost: deque[Lost] = field(default_factory=deque)
    is_over: bool = False

    def lose(self, attempt: Attempt, reason: str, again: bool) -> None:
        """Book an attempt that brought nothing."""
        held = time.time() - attempt.began if attempt.began else 0.0
        where = self.where(attempt.job)
        self.lost.append(Lost(attempt.job, attempt.number, reason, held, again, where, self.gpu_share))
        attempt.number, attempt.began = attempt.number + 1, None


class _Feed(Searcher):  # type: ignore[misc]
    """Tune's searcher: proposes what the study's loop has submitted."""

    def __init__(self, exchange: Exchange, server: str, work: str) -> None:
        super().__init__(metric="done", mode="max")
        self._exchange, self._server, self._work = exchange, server, work

    def suggest(self, trial_id: str) -> Any:
        """The next job, nothing for now, or the end."""
        if self._exchange.waiting:
            attempt = self._exchange.waiting.popleft()
            self._exchange.running[trial_id] = attempt
            return TrialConfig(server=self._server, work=self._work, job=json.dumps(attempt.job))
        return Searcher.FINISHED if self._exchange.is_over else None

    def on_trial_complete(self, trial_id: str, result: TrialResult | None = None, error: bool = False) -> None:
        """Hand back what came of a job; failures come to `_Watch` with their reason."""
        if not error and result and "outcome" in result:
            attempt, outcome = self._exchange.running.pop(trial_id), Outcome.from_json(json.loads(result["outcome"]))
            if outcome.failure:
                self._exchange.lose(attempt, outcome.failure.reason, again=False)
            self._exchange.ended.put(Ended(attempt.job, outcome.result, outcome.failure))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""

    def __getstate__(self) -> dict[str, object]:
        return {}


class _Watch(tune.Callback):  # type: ignore[misc]
    """Sees trials begin, die and begin again, for Tune calls it then."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """From now on it holds a worker."""
        attempt = self._exchange.running.get(trial.trial_id)
        if attempt:
            attempt.began = time.time()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its worker or node died; Tune starts it again."""
        attempt = self._exchange.running.get(trial.trial_id)
        if attempt:
            self._exchange.lose(attempt, _reason(trial), again=True)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune gave up: after the last attempt, or because the worker died before the job began."""
        attempt = self._exchange.running.pop(trial.trial_id, None)
        if attempt is None:
            return
        reason, again = _reason(trial), attempt.number < ATTEMPTS
        stops = attempt.began is None or is_of_the_machine(error_of(trial))
        self._exchange.lose(attempt, reason, again)
        if again:
            self._exchange.waiting.append(attempt)
        else:
            self._exchange.ended.put(Ended(attempt.job, None, Failure(reason, stops)))

    def __getstate__(self) -> dict[str, object]:
        return {}


def _reason(trial: Any) -> str:
    """What the last attempt died of: Tune keeps the exception of most deaths, and the text of all."""
    error, text = error_of(trial), last_words_of(trial)
    if error and str(error).strip().startswith(text):
        return reason_of(error)
    return text[:400] or "its worker died"


class Nodes(Protocol):
    """What a tuner needs to know of the workers that it runs jobs on."""

    threads: int

    def room(self, share: float) -> int:
        """Jobs that can run at once with that share of a GPU each."""

    def where(self, job: Data) -> str:
        """The node on which a job runs, as far as known."""

    def news(self) -> list[NodeChange]:
        """Nodes that came and went since the last call."""


class TuneExecutor:
    """Runs the jobs of one kind of work as trials of one Tuner.

    Args:
        pool: whose workers run the jobs.
        server: name of the study's cache server.
        work: what is done with each job.
        share: of a GPU that each trial holds, beside its cores.
        folder: where Tune keeps its own notes; nothing in it is read again.
    """

    def __init__(self, pool: Nodes, server: str, work: Work, share: float, folder: Path) -> None:
        self.threads, self.gpu_share = pool.threads, share
        self._pool, self._exchange, self._work = pool, Exchange(pool.where, share), work
        feed = _Feed(self._exchange, server, work.name)
        self._running: dict[str, Data] = {}
        self._failed: BaseException | None = None
        self._tuner = tune.Tuner(
            tune.with_resources(Recovery, {"CPU": self.threads, **({"GPU": share} if share else {})}),
            tune_config=tune.TuneConfig(search_alg=feed, num_samples=-1, reuse_actors=True),
            run_config=tune.RunConfig(
                name=f"tune-{os.getpid()}-{time.monotonic_ns()}",
                storage_path=str(folder),
                verbose=0,
                callbacks=[_Watch(self._exchange)],
                failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
            ),
        )
        self._thread = threading.Thread(target=self._fit, daemon=True, name="tune")
        self._thread.start()

    def _fit(self) -> None:
        try:
            with all_deaths_are_of_trials():
                self._tuner.fit()
        except BaseException as error:  # handed to the loop's thread, which is where it can be reported
            self._failed = error

    def __enter__(self) -> TuneExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """As many as the cluster has room for now."""
        return max(1, self._pool.room(self.gpu_share))

    @property
    def free(self) -> int:
        """How many more jobs could start now."""
        return self._pool.room(self.gpu_share) - len(self._running)

    @property
    def running(self) -> list[Data]:
        """Jobs that have not ended."""
        return list(self._running.values())

    def submit(self, job: Data, expected_s: float = 0.0) -> None:
        """Give a job to Tune."""
        self._running[str(job["id"])] = job
        self._exchange.waiting.append(Attempt({**job, "needs": list(self._work.needs(job))}))

    def collect(self, timeout_s: float) -> list[Ended]:
        """Jobs that ended within the timeout.

        Raises:
            ClusterError: Tune ended by itself: the cluster is gone.
        """
        ended = self._taken(timeout_s)
        while not self._exchange.ended.empty():
            ended += self._taken(0)
        if not ended and not self._thread.is_alive() and not self._exchange.is_over:
            raise ClusterError(f"Ray Tune ended by itself ({self._failed}); what is finished is kept: autocomp resume")
        return [one._replace(job=self._running.pop(str(one.job["id"]))) for one in ended]

    def _taken(self, timeout_s: float) -> list[Ended]:
        try:
            return [self._exchange.ended.get(timeout=timeout_s) if timeout_s else self._exchange.ended.get_nowait()]
        except queue.Empty:
            return []

    def news(self) -> list[NodeChange]:
        """Nodes that came and went since the last call."""
        return self._pool.news()

    def parts(self) -> list[Part]:
        """None: these are jobs of one part."""
        return []

    def lost(self) -> list[Lost]:
        """Attempts that were lost since the last call."""
        return [self._exchange.lost.popleft() for _ in range(len(self._exchange.lost))]

    def close(self) -> None:
        """Let Tune end; jobs that still run end with the study's connection to the cluster."""
        self._exchange.is_over = True
        self._thread.join(timeout=END_S if not self._running else 0)

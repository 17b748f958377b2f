"""Who runs the jobs? A pool of processes on this machine (`local.py`), or a cluster (`ray/`).

Executors know nothing of the search: jobs are plain data, and what is done with them is a `Work`, whose functions are
named by the search and found again by their module's name in another process or on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, NotRequired, Protocol, TypedDict

from autocomp.strict_json import JsonView

Data = JsonView
"""A job or its result as it travels: a JSON object, whose keys are those of the dataclass that the work reads it as."""


@dataclass(frozen=True)
class Failure:
    """Why a job has no result.

    Attributes:
        reason: one line for people.
        is_environment: the machine is at fault and not this job: a full disk, a library that does not load, workers
            that cannot start. The next job would fare no better.
    """

    reason: str
    is_environment: bool = False

    def __str__(self) -> str:
        return self.reason


class Ended(NamedTuple):
    """A job that ended: its result, or why there is none."""

    job: Data
    result: Data | None
    failure: Failure | None


class Part(NamedTuple):
    """A job that goes on elsewhere, and the result of the part that has ended."""

    job: Data
    result: Data


@dataclass(frozen=True)
class NodeChange:
    """A node of the cluster that came or went.

    Attributes:
        node: its id.
        host: the machine it is on.
    """

    node: str
    host: str
    state: Literal["joined", "lost"]


class NodeFacts(TypedDict):
    """What the journal says of one node: its id, its host, and what computes there."""

    node: str
    host: str
    machine: Data


class PoolFacts(TypedDict):
    """What the journal says of those who work for a study; the last two keys are those of a cluster."""

    kind: Literal["local", "ray"]
    workers: int
    threads: int
    gpus: int
    address: NotRequired[str]
    nodes: NotRequired[list[NodeFacts]]


def device_resource(profile: str) -> str:
    """The custom resource, `device:cpu_1_thread`, of which a Ray node has 1 if it is that device."""
    return f"device:{profile}"


def nothing(*_: Any) -> tuple[str, ...]:
    """No stages."""
    return ()


@dataclass(frozen=True)
class Work:
    """What is done with a job. All functions stand at the top of a module; data in, data out.

    Attributes:
        name: `module:NAME` of this work, by which another process finds it.
        run: does the job; its `run` is the run directory, or the mirror of one on another machine.
        needs: keys of the stages that have to be there before.
        made: keys of the stages that a job and its result leave.
        then: a second part, done elsewhere.
    """

    name: str
    run: Callable[[Data], Data]
    needs: Callable[[Data], Sequence[str]] = nothing
    made: Callable[[Data, Data], Sequence[str]] = nothing
    then: FollowUp | None = None


@dataclass(frozen=True)
class FollowUp:
    """A second part of a job, done at the device alone or on cores alone.

    Attributes:
        work: of the second part; it may have one of its own again.
        job: its job, from the first job and its result; None when there is nothing to do.
        merge: the result of both, from the first result and the second; the second is a reason if it failed, and there
            may then be no result.
        at_device: it is done by the device if that is a place of its own, and else not at all.
    """

    work: Work
    job: Callable[[Data, Data], Data | None]
    merge: Callable[[Data, Data | str], Data | None]
    at_device: bool = False


@dataclass(frozen=True)
class NodeFunctions:
    """Functions of higher rooms that every node of a cluster calls, each named `module:NAME`.

    Attributes:
        mirror: makes a copy of a run directory on a node, as far as jobs read it: `(card, store, folder) -> folder`.
        card: what such a copy is made of: `(run) -> data`.
        usable_gpus: how many GPUs a node can compute with: `() -> int`.
    """

    mirror: str
    card: str
    usable_gpus: str


@dataclass(frozen=True)
class Lost:
    """An attempt at a job that brought nothing, because its worker or node died.

    Attributes:
        attempt: 1, 2 …
        held_s: seconds for which it held a worker.
        gpu_share: that it held as long.
        again: whether the job was started again.
        node: where it ran, as far as known.
    """

    job: Data
    attempt: int
    error: str
    held_s: float
    again: bool = False
    node: str = ""
    gpu_share: float = 0.0


class Executor(Protocol):
    """Runs one kind of work for several jobs at once.

    Attributes:
        threads: of each worker.
        gpu_share: that each job holds.
    """

    threads: int
    gpu_share: float

    @property
    def workers(self) -> int:
        """Jobs that can run at once; 0 runs each at once in this process."""

    @property
    def free(self) -> int:
        """How many more jobs could start now."""

    @property
    def running(self) -> list[Data]:
        """Jobs that have not ended."""

    def submit(self, job: Data, expected_s: float = 0.0) -> None:
        """Start a job that should take about so many seconds."""

    def collect(self, timeout_s: float) -> list[Ended]:
        """Jobs that ended within the timeout."""

    def news(self) -> list[NodeChange]:
        """Nodes that came and went since the last call."""

    def lost(self) -> list[Lost]:
        """Attempts that were lost since the last call."""

    def parts(self) -> list[Part]:
        """Jobs that go on, elsewhere, since the last call: what they held until then is free."""

    def close(self) -> None:
        """Stop everything now; running jobs are lost."""

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class WorkerPool(Protocol):
    """All who may work for a study.

    Attributes:
        threads: of each worker.
        gpus: that are there and that PyTorch can use; 0 for a study that wants none.
        has_device: whether the device is a place of its own, where measuring is done.
    """

    threads: int
    gpus: int
    has_device: bool

    @property
    def workers(self) -> int:
        """Jobs that can run at once; 0 runs each at once in this process."""

    @property
    def cores(self) -> int:
        """Held while the study runs."""

    @property
    def machines(self) -> list[str]:
        """Hosts on which jobs run."""

    def serve(self, run: Path, store: Path) -> None:
        """Work for this run directory from now on, with its stages in this folder."""

    def room(self, share: float) -> int:
        """Jobs that can run at once with that share of a GPU each; half of the workers are left for second parts."""

    def executor(self, work: Work, most: int | None = None, share: float = 0.0) -> Executor:
        """For jobs of one kind, at most so many at once, each with a share of a GPU; their second parts have none."""

    def at_gpu(self, work: Work, job: Data) -> Data:
        """Do one job where a GPU is, with all of it."""

    def at_device(self, work: Work, job: Data) -> Data:
        """Do one job where the device is, with nothing beside it; here if it has no place of its own."""

    def facts(self) -> PoolFacts:
        """Who they are, for the journal."""

    def close(self) -> None:
        """Stop working for the study."""

    def __enter__(self) -> WorkerPool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

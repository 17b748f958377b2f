"""All who work for a study on Ray."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import ray

from autocomp.errors import ClusterError, GpuError
from autocomp.executors import Data, Ended, Executor, Failure, FollowUp, Lost, NodeFunctions, Part, Work
from autocomp.executors.places import device_resource
from autocomp.executors.ray import cluster
from autocomp.executors.ray.cache_server import CacheServer, write_progress
from autocomp.executors.ray.tasks import Tasks
from autocomp.executors.ray.tuner import TuneExecutor
from autocomp.executors.ray.worker import NAMESPACE
from autocomp.executors.two_step import TwoStepExecutor

SEEN_EVERY_S = 2.0
QUEUED = 10**6
"""Jobs that may wait for the device, which takes one at a time: trials go on meanwhile."""


class RayPool:
    """The nodes of a cluster.

    Args:
        address: `auto`, `local` or `HOST:PORT`.
        workers: jobs at once, at most; 0 for one a core.
        device: name of the device profile; a node that has its resource is where measuring is done.
        functions: of the layers above, which nodes call.
        wants_gpus: whether the study trains on GPUs.

    Attributes:
        has_device: a node is the device.

    Raises:
        ClusterError: the cluster cannot be reached or used.
        GpuError: a node offers GPUs that its PyTorch cannot use.
    """

    def __init__(
        self, address: str, workers: int, device: str, functions: NodeFunctions, wants_gpus: bool = False
    ) -> None:
        self.address = cluster.connect(address)
        try:
            self.hosts = cluster.check_nodes(functions.usable_gpus if wants_gpus else None)
            self._wanted, self.threads = workers, 1
            self.gpus = cluster.gpus() if wants_gpus else 0
            self._place = device_resource(device)
            # Settled now: if that node dies, measurements wait for it, and are never taken elsewhere instead.
            self.has_device = any(n["alive"] and n["resources"].get(self._place) for n in cluster.nodes())
            if cluster.slots(self.threads) < 1:
                raise ClusterError(f"no node at {self.address} has a core for training; start one with --num-cpus")
        except BaseException:
            ray.shutdown()
            raise
        self._functions = functions
        self._device, self._home, self._run = device, "", Path()
        self._executors: list[TuneExecutor | TaskExecutor] = []
        self._single: tuple[str, dict[str, float]] = ("", {})
        self._seen: dict[str, bool] = {n["node"]: n["alive"] for n in cluster.nodes()}
        self._where: dict[str, str] = {}
        self._news: deque[dict[str, Any]] = deque()
        self._over = threading.Event()
        self._list_keeper = threading.Thread(target=self._keep_list, daemon=True, name="nodes")

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """Jobs that the living nodes have room for."""
        return self.room(0.0)

    def room(self, share: float) -> int:
        """Jobs that the living nodes have room for; with a share of a GPU, no more than half of them."""
        slots = cluster.slots(self.threads)
        room = min(slots, self._wanted) if self._wanted else slots
        return min(max(1, room // 2), cluster.slots(self.threads, share)) if share else room

    @property
    def cores(self) -> int:
        """Of all workers."""
        return self.workers * self.threads

    @property
    def machines(self) -> list[str]:
        """Hosts of the living nodes, but for those that only wait, each once; several nodes may share one."""
        alive = {n["address"]: n["host"] for n in cluster.nodes() if n["alive"] and n["resources"].get("CPU")}
        return sorted(alive.values())

    def facts(self) -> dict[str, Any]:
        """Address, nodes and workers."""
        hosts = [{k: h[k] for k in ("node", "host", "machine")} for h in self.hosts]
        size = {"workers": self.workers, "threads": self.threads, "gpus": self.gpus}
        return {"kind": "ray", "address": self.address, **size, "nodes": hosts}

    def serve(self, run: Path, store: Path) -> None:
        """Start the study's actor, beside this process, and keep `work/nodes.json` up to date."""
        self._run = run
        self._home = f"home-{sha256(str(run).encode()).hexdigest()[:12]}-{os.getpid()}"
        here = ray.get_runtime_context().get_node_id()
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 3, "max_concurrency": 16}
        home: Any = ray.remote(CacheServer)
        self._actor = home.options(
            name=self._home, namespace=NAMESPACE, scheduling_strategy=cluster.pinned(here), **options
        ).remote(str(run), str(store), self._functions.mirror, self._functions.card)
        ray.get(self._actor.about.remote())
        self._list_keeper.start()

    def executor(self, work: Work, most: int | None = None, share: float = 0.0) -> Executor:
        """Trials of Ray Tune for work that trains, Ray tasks for the rest, which need no GPU."""
        if not work.then:
            return self._tasked(work, lambda: min(self.workers, most or self.workers))
        tuned = TuneExecutor(self, self._home, work, share, self._run / "work" / "tune")
        self._executors.append(tuned)
        return self._chained(tuned, work.then)

    def _chained(self, first: Executor, then: FollowUp | None) -> Executor:
        """With second parts, and theirs."""
        if then is None or (then.at_device and not self.has_device):
            return first
        if then.at_device:
            return TwoStepExecutor(
                first, then, self._tasked(then.work, lambda: QUEUED, self.tasks_at_device(then.work))
            )
        scoring = self._tasked(then.work, lambda: self.workers - first.workers)
        return TwoStepExecutor(first, then, self._chained(scoring, then.work.then))

    def _tasked(self, work: Work, room: Callable[[], int], tasks: Tasks | None = None) -> TaskExecutor:
        made = TaskExecutor(self, work, room, tasks or self.tasks(work))
        self._executors.append(made)
        return made

    def at_device(self, work: Work, job: Data) -> dict[str, Any]:
        """Do one job on the node that is the device, or in this process if there is none.

        Raises:
            ClusterError: it could not be done there.
        """
        if not self.has_device:
            return work.run(job)
        result, error = self._only(self.tasks_at_device(work), with_needs(work, job), {self._place: 1.0})
        if result is None:
            raise ClusterError(f"{self._device}: {job['id']} could not be measured ({error})")
        return result

    def at_gpu(self, work: Work, job: Data) -> dict[str, Any]:
        """Do one job on a node with a GPU, which it holds alone.

        Raises:
            GpuError: it could not be done there.
        """
        tasks = Tasks(self._home, work.name, {"num_cpus": self.threads, "num_gpus": 1})
        held = {"CPU": float(self.threads), "GPU": 1.0}
        result, error = self._only(tasks, with_needs(work, job), held)
        if result is None:
            raise GpuError(f"{job['id']} did not run on a GPU of {self.address} ({error})")
        return result

    def _only(self, tasks: Tasks, job: Data, held: dict[str, float]) -> tuple[dict[str, Any] | None, Failure | None]:
        """What came of the only job of these: its result, or the reason why there is none."""
        tasks.submit(job)
        self._single = (str(job["id"]), held)
        try:
            while True:
                for _, result, error in tasks.collect(1.0):
                    return result, error
        finally:
            self._single = ("", {})

    def tasks_at_device(self, work: Work) -> Tasks:
        """Jobs that run at the device, one at a time."""
        return Tasks(self._home, work.name, {"num_cpus": 0, "resources": {self._place: 1}})

    def tasks(self, work: Work) -> Tasks:
        """Jobs that run anywhere."""
        return Tasks(self._home, work.name, {"num_cpus": self.threads, "scheduling_strategy": "SPREAD"})

    def close(self) -> None:
        """Leave the cluster; what still runs for this study ends with it."""
        self._over.set()
        if self._list_keeper.is_alive():
            self._list_keeper.join(timeout=SEEN_EVERY_S + 5)
        for executor in self._executors:
            executor.close()
        if ray.is_initialized():
            ray.shutdown()

    def _keep_list(self) -> None:
        while not self._over.wait(SEEN_EVERY_S):
            try:
                write_progress(self._run / "work" / "nodes.json", self._list())
            # The cluster is going (Ray then raises SystemExit here), or the folder was removed: the study will say so.
            except BaseException:
                return

    def _list(self) -> dict[str, Any]:
        found, jobs = cluster.nodes(), {str(job["id"]) for e in self._executors for job in e.running}
        jobs |= {self._single[0]}
        self._notice(found)
        where: dict[str, str] = ray.get(self._actor.where.remote(), timeout=10)
        self._where = {job: node for job, node in where.items() if job in jobs}
        return {"at": time.time(), "address": self.address, "nodes": [self._shown(n) for n in found]}

    def _shown(self, node: dict[str, Any]) -> dict[str, Any]:
        jobs = sorted(job for job, where in self._where.items() if where == node["node"])
        is_device = bool(node["resources"].get(self._place))
        used = {self._place: 1.0} if is_device and jobs else self._held(jobs)
        return {**node, "device": self._device if is_device else None, "jobs": jobs, "used": used}

    def _held(self, jobs: list[str]) -> dict[str, float]:
        """By trials, or by the one job that runs before them."""
        name, held = self._single
        if name in jobs:
            return held
        shares = {str(job["id"]): e.gpu_share for e in self._executors for job in e.running}
        gpus = round(sum(shares.get(job, 0.0) for job in jobs), 4)
        return {"CPU": float(self.threads * len(jobs)), **({"GPU": gpus} if gpus else {})}

    def _notice(self, found: list[dict[str, Any]]) -> None:
        """Nodes that came and went since the last look."""
        for node in found:
            if self._seen.get(node["node"], False) != node["alive"]:
                state = "joined" if node["alive"] else "lost"
                self._news.append({"node": node["node"], "host": node["host"], "state": state})
            self._seen[node["node"]] = node["alive"]

    def where(self, job: Data) -> str:
        """The node on which a job was last seen; empty if it was not."""
        return self._where.get(str(job["id"]), "")

    def news(self) -> list[dict[str, Any]]:
        """Nodes that came and went since the last call."""
        return [self._news.popleft() for _ in range(len(self._news))]


def with_needs(work: Work, job: Data) -> dict[str, Any]:
    """A job with the stages that it needs, found on this side."""
    return {**job, "needs": list(work.needs(job))}


class TaskExecutor:
    """Jobs without a GPU, as Ray tasks.

    Args:
        room: how many can run at once.
    """

    gpu_share = 0.0

    def __init__(self, crew: RayPool, work: Work, room: Callable[[], int], tasks: Tasks) -> None:
        self._crew, self._work, self._room, self._tasks, self.threads = crew, work, room, tasks, crew.threads

    def __enter__(self) -> TaskExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """Jobs that can run at once."""
        return max(1, self._room())

    @property
    def free(self) -> int:
        """How many more jobs could start now."""
        return self.workers - len(self.running)

    @property
    def running(self) -> list[Data]:
        """Jobs that have not ended."""
        return [task.job for task in self._tasks.running.values()]

    def submit(self, job: Data, expected_s: float = 0.0) -> None:
        """Start a job."""
        self._tasks.submit(with_needs(self._work, job))

    def collect(self, timeout_s: float) -> list[Ended]:
        """Jobs that ended within the timeout."""
        return self._tasks.collect(timeout_s)

    def news(self) -> list[dict[str, Any]]:
        """Of the whole crew."""
        return self._crew.news()

    def parts(self) -> list[Part]:
        """None: these are jobs of one part."""
        return []

    def lost(self) -> list[Lost]:
        """Attempts that were lost since the last call."""
        lost, self._tasks.lost = self._tasks.lost, []
        return lost

    def close(self) -> None:
        """End all of them now."""
        self._tasks.close()

"""All workers of a study on Ray, and the list of its nodes that pages show."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypedDict

import ray

from autocomp.errors import ClusterError, GpuError
from autocomp.executors import (
    Data,
    Ended,
    Executor,
    FollowUp,
    Lost,
    NodeChange,
    NodeFunctions,
    Part,
    PoolFacts,
    Work,
    device_resource,
)
from autocomp.executors.ray import cluster
from autocomp.executors.ray.cache_server import CacheServer, write_json
from autocomp.executors.ray.tasks import Tasks
from autocomp.executors.ray.tuner import TuneExecutor
from autocomp.executors.ray.worker import NAMESPACE
from autocomp.executors.two_step import TwoStepExecutor

SEEN_EVERY_S = 2.0
QUEUED = 10**6
"""Jobs that may wait for the device, which takes one at a time: trials go on meanwhile."""


class NodeStatus(TypedDict):
    """A node as `work/nodes.json` has it: what it offers, the jobs that run there and what these hold."""

    node: str
    host: str
    address: str
    alive: bool
    resources: dict[str, float]
    device: str | None
    jobs: list[str]
    used: dict[str, float]


class NodeList(TypedDict):
    """`work/nodes.json`: the cluster's address, and its nodes at some moment."""

    at: float
    address: str
    nodes: list[NodeStatus]


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
            self._reports = cluster.check_nodes(functions.usable_gpus if wants_gpus else None)
            self._wanted, self.threads = workers, 1
            self.gpus = cluster.gpus() if wants_gpus else 0
            self._resource = device_resource(device)
            # Settled now: if that node dies, measurements wait for it, and are never taken elsewhere instead.
            self.has_device = any(n.alive and n.resources.get(self._resource) for n in cluster.nodes())
            if cluster.slots(self.threads) < 1:
                raise ClusterError(f"no node at {self.address} has a core for training; start one with --num-cpus")
        except BaseException:
            ray.shutdown()
            raise
        self._functions = functions
        self._device, self._server, self._run = device, "", Path()
        self._executors: list[TuneExecutor | TaskExecutor] = []
        self._single: tuple[str, dict[str, float]] = ("", {})
        self._seen: dict[str, bool] = {n.node: n.alive for n in cluster.nodes()}
        self._where: dict[str, str] = {}
        self._news: deque[NodeChange] = deque()
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
        """Held by all workers."""
        return self.workers * self.threads

    @property
    def machines(self) -> list[str]:
        """Hosts of the living nodes, but for those that only wait, each once; several nodes may share one."""
        alive = {n.address: n.host for n in cluster.nodes() if n.alive and n.resources.get("CPU")}
        return sorted(alive.values())

    def facts(self) -> PoolFacts:
        """Address, nodes and workers."""
        return {
            "kind": "ray",
            "address": self.address,
            "workers": self.workers,
            "threads": self.threads,
            "gpus": self.gpus,
            "nodes": [{"node": r.node, "host": r.host, "machine": r.machine} for r in self._reports],
        }

    def serve(self, run: Path, store: Path) -> None:
        """Start the study's cache server, beside this process, and keep `work/nodes.json` up to date."""
        self._run = run
        self._server = f"cache-server-{sha256(str(run).encode()).hexdigest()[:12]}-{os.getpid()}"
        here = ray.get_runtime_context().get_node_id()
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 3, "max_concurrency": 16}
        server: Any = ray.remote(CacheServer)
        self._actor = server.options(
            name=self._server, namespace=NAMESPACE, scheduling_strategy=cluster.pinned(here), **options
        ).remote(str(run), str(store), self._functions.mirror, self._functions.card)
        ray.get(self._actor.study.remote())
        self._list_keeper.start()

    def executor(self, work: Work, most: int | None = None, share: float = 0.0) -> Executor:
        """Trials of Ray Tune for work that trains, Ray tasks for the rest, which need no GPU."""
        if not work.then:
            return self._tasked(work, lambda: min(self.workers, most or self.workers))
        tuned = TuneExecutor(self, self._server, work, share, self._run / "work" / "tune")
        self._executors.append(tuned)
        return self._with_second_parts(tuned, work.then)

    def _with_second_parts(self, first: Executor, then: FollowUp | None) -> Executor:
        """An executor that goes on with the second part of each job, and with that of the second part."""
        if then is None or (then.at_device and not self.has_device):
            return first
        if then.at_device:
            return TwoStepExecutor(
                first, then, self._tasked(then.work, lambda: QUEUED, self.tasks_at_device(then.work))
            )
        scoring = self._tasked(then.work, lambda: self.workers - first.workers)
        return TwoStepExecutor(first, then, self._with_second_parts(scoring, then.work.then))

    def _tasked(self, work: Work, room: Callable[[], int], tasks: Tasks | None = None) -> TaskExecutor:
        made = TaskExecutor(self, work, room, tasks or self.tasks(work))
        self._executors.append(made)
        return made

    def at_device(self, work: Work, job: Data) -> Data:
        """Do one job on the node that is the device, or in this process if there is none.

        Raises:
            ClusterError: it could not be done there.
        """
        if not self.has_device:
            return work.run(job)
        ended = self._only(self.tasks_at_device(work), with_needs(work, job), {self._resource: 1.0})
        if ended.result is None:
            raise ClusterError(f"{self._device}: {job['id']} could not be measured ({ended.failure})")
        return ended.result

    def at_gpu(self, work: Work, job: Data) -> Data:
        """Do one job on a node with a GPU, which it holds alone.

        Raises:
            GpuError: it could not be done there.
        """
        tasks = Tasks(self._server, work.name, {"num_cpus": self.threads, "num_gpus": 1})
        held = {"CPU": float(self.threads), "GPU": 1.0}
        ended = self._only(tasks, with_needs(work, job), held)
        if ended.result is None:
            raise GpuError(f"{job['id']} did not run on a GPU of {self.address} ({ended.failure})")
        return ended.result

    def _only(self, tasks: Tasks, job: Data, held: dict[str, float]) -> Ended:
        """What came of a job that runs while no other does."""
        tasks.submit(job)
        self._single = (str(job["id"]), held)
        try:
            while True:
                for ended in tasks.collect(1.0):
                    return ended
        finally:
            self._single = ("", {})

    def tasks_at_device(self, work: Work) -> Tasks:
        """Jobs that run at the device, one at a time."""
        return Tasks(self._server, work.name, {"num_cpus": 0, "resources": {self._resource: 1}})

    def tasks(self, work: Work) -> Tasks:
        """Jobs that run anywhere."""
        return Tasks(self._server, work.name, {"num_cpus": self.threads, "scheduling_strategy": "SPREAD"})

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
                write_json(self._run / "work" / "nodes.json", self._list())
            # The cluster is going (Ray then raises SystemExit here), or the folder was removed: the study will say so.
            except BaseException:
                return

    def _list(self) -> NodeList:
        nodes, jobs = cluster.nodes(), {str(job["id"]) for e in self._executors for job in e.running}
        jobs |= {self._single[0]}
        self._notice(nodes)
        where: dict[str, str] = ray.get(self._actor.where.remote(), timeout=10)
        self._where = {job: node for job, node in where.items() if job in jobs}
        return {"at": time.time(), "address": self.address, "nodes": [self._status(n) for n in nodes]}

    def _status(self, node: cluster.Node) -> NodeStatus:
        jobs = sorted(job for job, where in self._where.items() if where == node.node)
        is_device = bool(node.resources.get(self._resource))
        return {
            "node": node.node,
            "host": node.host,
            "address": node.address,
            "alive": node.alive,
            "resources": node.resources,
            "device": self._device if is_device else None,
            "jobs": jobs,
            "used": {self._resource: 1.0} if is_device and jobs else self._held(jobs),
        }

    def _held(self, jobs: list[str]) -> dict[str, float]:
        """Cores and GPUs that trials hold, or the one job that runs before them."""
        name, held = self._single
        if name in jobs:
            return held
        shares = {str(job["id"]): e.gpu_share for e in self._executors for job in e.running}
        gpus = round(sum(shares.get(job, 0.0) for job in jobs), 4)
        return {"CPU": float(self.threads * len(jobs)), **({"GPU": gpus} if gpus else {})}

    def _notice(self, nodes: list[cluster.Node]) -> None:
        """Remember the nodes that came and went since the last look."""
        for node in nodes:
            if self._seen.get(node.node, False) != node.alive:
                self._news.append(NodeChange(node.node, node.host, "joined" if node.alive else "lost"))
            self._seen[node.node] = node.alive

    def where(self, job: Data) -> str:
        """The node on which a job was last seen; empty if it was not."""
        return self._where.get(str(job["id"]), "")

    def news(self) -> list[NodeChange]:
        """Nodes that came and went since the last call."""
        return [self._news.popleft() for _ in range(len(self._news))]


def with_needs(work: Work, job: Data) -> Data:
    """A job with the stages that it needs, as this side knows them."""
    return {**job, "needs": list(work.needs(job))}


class TaskExecutor:
    """Jobs without a GPU, as Ray tasks.

    Args:
        room: how many can run at once.
    """

    gpu_share = 0.0

    def __init__(self, pool: RayPool, work: Work, room: Callable[[], int], tasks: Tasks) -> None:
        self._pool, self._work, self._room, self._tasks, self.threads = pool, work, room, tasks, pool.threads

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

    def news(self) -> list[NodeChange]:
        """Nodes that came and went since the last call."""
        return self._pool.news()

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

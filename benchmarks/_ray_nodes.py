"""Real Ray nodes on loopback, and a crew on them, for what is measured of the cluster."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _ray_works


class Nodes:
    """A cluster of real nodes on loopback; the head is the driver's, every other node has stages of its own."""

    def __init__(self, folder: Path, cores: list[int], **more: Any) -> None:
        from ray.cluster_utils import Cluster

        self.folder, self._made, self._more = folder, 0, more
        head = {"num_cpus": cores[0], "include_dashboard": False, "env_vars": self._env("driver"), **more}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.others = [self.add(n) for n in cores[1:]]

    def _env(self, name: str) -> dict[str, str]:
        return {"AUTOCOMP_CACHE": str(self.folder / name), "OMP_NUM_THREADS": "1"}

    def add(self, cores: int) -> Any:
        """One more node."""
        self._made += 1
        more = {k: v for k, v in self._more.items() if k != "_system_config"}
        return self.cluster.add_node(num_cpus=cores, env_vars=self._env(f"node{self._made}"), **more)

    @property
    def address(self) -> str:
        """Of the head."""
        return str(self.cluster.address)

    def close(self) -> None:
        """End all nodes."""
        self.cluster.shutdown()


def drive(executor: Any, jobs: list[dict[str, Any]], most: int) -> Iterator[float]:
    """Run all jobs, at most so many at once; when each ended, in seconds from the first submission."""
    waiting, began = deque(jobs), time.perf_counter()
    while waiting or executor.running:
        while waiting and len(executor.running) < most:
            executor.submit(waiting.popleft())
        for _, result, error in executor.collect(1.0):
            if result is None:
                raise SystemExit(f"a trial failed: {error}")
            yield time.perf_counter() - began


@contextmanager
def crew_of(folder: Path, cores: list[int], **more: Any) -> Iterator[Any]:
    """A crew on nodes of its own."""
    from autocomp.executors import NodeFunctions
    from autocomp.executors.ray.pool import RayPool

    nodes = Nodes(folder, cores, **more)
    os.environ["AUTOCOMP_CACHE"] = str(folder / "driver")
    try:
        here = NodeFunctions(f"{_ray_works.__name__}:mirror", f"{_ray_works.__name__}:card", "os:getpid")
        with RayPool(nodes.address, 0, "nothing", here) as crew:
            (folder / "run").mkdir()
            crew.serve(folder / "run", folder / "driver" / "stages")
            yield crew
    finally:
        nodes.close()

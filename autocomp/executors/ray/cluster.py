"""The connection to Ray: joined, started or refused; and the nodes that are there."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray

from autocomp.errors import ClusterError, GpuError
from autocomp.executors.local import per_gpu
from autocomp.executors.ray.worker import NAMESPACE, NodeReport, report_node

RULE = "--ray is auto (the cluster that runs here, or else a new one), local (a new one on this machine) or HOST:PORT"
TOKEN = "; if the cluster wants a token, set RAY_AUTH_MODE=token and bring its ~/.ray/auth_token"
REACH_S = 5.0
GOING_S = 20.0


@dataclass(frozen=True)
class Node:
    """One node of the cluster as Ray lists it.

    Attributes:
        node: its id.
        host, address: the machine it is on, by name and by network address.
        alive: whether Ray still hears of it.
        resources: that it offers: `CPU`, `GPU`, `memory`, and custom ones.
    """

    node: str
    host: str
    address: str
    alive: bool
    resources: dict[str, float]


def connect(address: str, threads: int = 1) -> str:
    """Join a cluster, or start one on this machine; returns its address.

    Raises:
        ClusterError: no such address, nobody answers, or the cluster refuses.
    """
    if address not in ("auto", "local"):
        _check_reachable(address)
    # Workers compute with their share of the cores, and wait without spinning.
    env = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
    join = partial(
        ray.init,
        namespace=NAMESPACE,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": env},
    )
    try:
        return _joined(address, join)
    except Exception as error:
        hint = TOKEN if "token" in str(error).lower() else ""
        raise ClusterError(f"{RULE}; {address!r}: {_first_line(error)}{hint}") from error


def _joined(address: str, join: Callable[..., Any]) -> str:
    if address == "auto":
        try:
            return _address(join(address="auto"))
        except ConnectionError:
            address = "local"
    if address == "local":
        cores = len(os.sched_getaffinity(0))
        return _address(join(address="local", num_cpus=cores, include_dashboard=False))
    return _address(join(address=address))


def _address(context: Any) -> str:
    return str(context.address_info["gcs_address"])


def _check_reachable(address: str) -> None:
    match = re.fullmatch(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})", address)
    if not match:
        raise ClusterError(f"{RULE}; got {address!r}")
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), timeout=REACH_S).close()
    except OSError as error:
        way_out = "start a head with `ray start --head` and give the address that it prints"
        raise ClusterError(f"no Ray cluster answers at {address} ({error.strerror or error}); {way_out}") from error


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def nodes() -> list[Node]:
    """Every node that was ever there."""
    return [
        Node(
            node=n["NodeID"],
            host=n["NodeManagerHostname"],
            address=n["NodeManagerAddress"],
            alive=bool(n["Alive"]),
            resources={k: v for k, v in n["Resources"].items() if not k.startswith(("node:", "object_store"))},
        )
        for n in ray.nodes()
    ]


def slots(threads: int, share: float = 0.0) -> int:
    """Workers of so many threads, with a share of a GPU each, that the living nodes have room for."""
    return sum(_room(n.resources, threads, share) for n in nodes() if n.alive)


def _room(resources: Mapping[str, float], threads: int, share: float) -> int:
    by_cores = int(resources.get("CPU", 0) // threads)
    return min(by_cores, int(resources.get("GPU", 0)) * per_gpu(share)) if share else by_cores


def gpus() -> int:
    """GPUs of all living nodes that have a core to go with them."""
    return int(sum(n.resources.get("GPU", 0) for n in nodes() if n.alive and n.resources.get("CPU")))


def pinned(node: str) -> Any:
    """A scheduling strategy: on this node or nowhere."""
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)


def check_nodes(usable_gpus: str | None = None, timeout_s: float = 60.0) -> list[NodeReport]:
    """Ask every living node what it computes with.

    Args:
        usable_gpus: `module:NAME` of what counts the GPUs that a node can use; None where none are wanted.
        timeout_s: seconds that a node may take to answer.

    Raises:
        ClusterError: one has another version of autocomp or of what computes results, or does not answer.
        GpuError: GPUs are wanted, and one offers some that its PyTorch cannot use.
    """
    alive = {n.node: n.resources.get("GPU", 0.0) for n in nodes() if n.alive}
    pending = {
        node: ray.remote(report_node)
        .options(num_cpus=0, scheduling_strategy=pinned(node))
        .remote(usable_gpus if offered else None)
        for node, offered in alive.items()
    }
    reports = [report for node in pending if (report := _report_of(node, pending[node], timeout_s))]
    for report in reports:
        _check_gpus(report, alive[report.node])
        _check_same_code(report)
    return reports


def _check_gpus(report: NodeReport, offered: float) -> None:
    if report.gpus is not None and report.gpus < offered:
        raise GpuError(
            f"{report.host} offers {offered:g} GPUs to Ray, but its PyTorch "
            f"({report.versions['torch']}) can use {report.gpus}; {GpuError.way_out}"
        )


def _check_same_code(report: NodeReport) -> None:
    """Refuse a node whose results would not be those of this machine."""
    from autocomp.environment import COMPUTING, same_version, versions
    from autocomp.result_cache import code_versions

    here = versions()
    for key in COMPUTING:
        theirs, ours = report.versions.get(key, "none"), here[key]
        if not same_version(theirs, ours):
            raise ClusterError(
                f"{report.host} has {key} {theirs}, this machine {ours}: results would not be the same; "
                "install the same versions on every node"
            )
    if report.code != code_versions():
        raise ClusterError(
            f"{report.host} has another source of autocomp, or other plug-ins; install the same on every node"
        )


def _report_of(node: str, reference: Any, timeout_s: float) -> NodeReport | None:
    """The report of a node; None if it has gone meanwhile."""
    try:
        report: NodeReport = ray.get(reference, timeout=timeout_s)
        return report
    except Exception as error:
        reason, deadline = _first_line(error), time.time() + GOING_S
        while time.time() < deadline:  # Ray lists a dead node as alive for some seconds
            if not any(n.alive for n in nodes() if n.node == node):
                return None
            time.sleep(0.5)
        raise ClusterError(f"a node of the cluster cannot run autocomp ({reason}); install it on every node") from error

"""What happens on a node: get what a job needs, do it, send back what it made."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import ray

from autocomp.errors import ClusterError
from autocomp.executors import Data, Failure, Work
from autocomp.executors.ray.cache_server import ServedStudy, alone, named, packed, store_id, unpack

NAMESPACE = "autocomp"
PROGRESS_EVERY_S = 1.0


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt at a job that did not die.

    Attributes:
        result: of the job; None where its own code gave up, as it would in another attempt.
        failure: why it gave up.
        seconds: for which it held this worker.
    """

    result: Data | None
    failure: Failure | None
    seconds: float

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        failure = self.failure and asdict(self.failure)
        return {"result": self.result, "failure": failure, "seconds": self.seconds}

    @classmethod
    def from_json(cls, data: Data) -> Outcome:
        """Inverse of `to_json`."""
        return cls(data["result"], Failure(**data["failure"]) if data["failure"] else None, data["seconds"])


@dataclass(frozen=True)
class NodeReport:
    """What a node computes with, which the driver checks before it sends work there.

    Attributes:
        gpus: that it can use; None where nobody wants any.
        host, node: the machine, and the node's id in Ray.
        machine: facts of the machine for the journal.
        versions: of the libraries.
        code: versions of the code that makes each kind of stage.
    """

    gpus: int | None
    host: str
    node: str
    machine: Data
    versions: dict[str, str]
    code: dict[str, str]


def do(server: str, work: str, job: Data) -> Outcome:
    """One job on this node.

    Args:
        server: name of the study's cache server.
        work: `module:name` of a `Work`.
        job: plain data; `run` and `store` are replaced by this node's own.
    """
    started, actor, what = time.time(), ray.get_actor(server, namespace=NAMESPACE), named(work)
    folders = _folders(server, json.dumps(job.get("needs", ())))
    for key in job.get("needs", ()):
        folders.fetch(actor, key)
    actor.began.remote(str(job["id"]), ray.get_runtime_context().get_node_id())
    mine = {k: v for k, v in job.items() if k != "needs"}
    with _passing_progress(actor, folders.run / "work" / f"{job['id']}.json", str(job["id"]), folders.is_shared):
        result, failure = _done(what, {**mine, "run": str(folders.run), "store": str(folders.store)})
    if result is not None:
        folders.send(actor, [str(key) for key in what.made(mine, result)])
    actor.ended.remote(str(job["id"]))
    return Outcome(result, failure, time.time() - started)


def _done(what: Work, job: Data) -> tuple[Data | None, Failure | None]:
    try:
        return what.run(job), None
    except Exception as error:  # whatever the work could not even report
        return None, Failure(f"{type(error).__name__}: {error}", isinstance(error, OSError))


class NodeFolders:
    """Where this node keeps a study's run directory and stages.

    Attributes:
        run: the run directory, or its copy.
        store: folder of the stages.
        is_shared: this node sees the driver's own folders.

    Raises:
        ClusterError: this node came later than the study began, and has other code: its stages would not be ours.
    """

    def __init__(self, study: ServedStudy) -> None:
        _check_code(study)
        run, store = Path(study.run), Path(study.store)
        self.is_shared = _sees(store, study.store_id) and run.is_dir()
        self.store = store if self.is_shared else own_store()
        mirrored = self.store.parent / "runs" / sha256(str(run).encode()).hexdigest()[:16]
        self.run = run if self.is_shared else named(study.mirror)(study.card, self.store, mirrored)

    def fetch(self, server: Any, key: str) -> None:
        """Get a stage that is not here yet, once a node."""
        if self.is_shared or (self.store / key).exists():
            return
        with alone(self.store / f".{key}.lock"):
            if not (self.store / key).exists():
                [tar] = ray.get(server.fetch.remote(key))
                unpack(ray.get(tar), self.store / key)

    def send(self, server: Any, keys: list[str]) -> None:
        """Send stages that the driver does not have yet; returns when they are there."""
        if self.is_shared or not keys:
            return
        for key, is_there in zip(keys, ray.get(server.has.remote(keys)), strict=True):
            if not is_there:
                ray.get(server.receive.remote(key, packed(self.store / key)))


def _check_code(study: ServedStudy) -> None:
    import platform

    from autocomp.result_cache import code_versions

    if study.code != code_versions():
        rule = f"{platform.node()} has another source or version of autocomp, its plug-ins or libraries than the driver"
        raise ClusterError(f"{rule}: results would not be the same; install the same on every node")


def own_store() -> Path:
    """This node's stages, where `$AUTOCOMP_CACHE` says."""
    from autocomp.result_cache import default_store

    return default_store()


def _sees(store: Path, wanted: str) -> bool:
    """Whether the driver's store is this node's too; one with a cache of its own uses that."""
    return (store == own_store() or "AUTOCOMP_CACHE" not in os.environ) and store.is_dir() and store_id(store) == wanted


@lru_cache(maxsize=8)
def _folders(server: str, needs: str) -> NodeFolders:
    """The folders of a study, found anew when a job needs other stages: its context may have been written since."""
    return NodeFolders(ray.get(ray.get_actor(server, namespace=NAMESPACE).study.remote()))


@contextmanager
def _passing_progress(server: Any, file: Path, job: str, is_shared: bool) -> Iterator[None]:
    """Pass a job's progress file on to the driver while it runs."""
    if is_shared:
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_pass_on, args=(server, file, job, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        file.unlink(missing_ok=True)


def _pass_on(server: Any, file: Path, job: str, done: threading.Event) -> None:
    last = ""
    while not done.wait(PROGRESS_EVERY_S):
        try:
            text = file.read_text(encoding="utf-8")
        except OSError:
            continue
        if text != last:
            server.progress.remote(job, json.loads(text))
            last = text


def report_node(usable_gpus: str | None = None) -> NodeReport:
    """What this node computes with; its GPUs where a function that counts them is named."""
    import platform

    from autocomp.environment import machine_facts, versions
    from autocomp.result_cache import code_versions

    return NodeReport(
        gpus=named(usable_gpus)() if usable_gpus else None,
        host=platform.node(),
        node=ray.get_runtime_context().get_node_id(),
        machine=machine_facts(),
        versions=versions(),
        code=code_versions(),
    )

"""What happens on a node: get what a job needs, do it, send back what it made."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import ray

from autocomp.errors import ClusterError
from autocomp.executors import Work
from autocomp.executors.ray.cache_server import named, store_id
from autocomp.executors.ray.tar_folder import alone, packed, unpack

NAMESPACE = "autocomp"
TELL_EVERY_S = 1.0


def do(home: str, work: str, job: dict[str, Any]) -> dict[str, Any]:
    """One job on this node.

    Args:
        home: name of the study's actor.
        work: `module:name` of a `Work`.
        job: plain data; `run` and `store` are replaced by this node's own.

    Returns:
        `result` of the job, or `failed`, why its own code gave up, which another attempt would do too, and
        `is_environment`, whether the machine made it; `seconds` that it held this worker.
    """
    started, actor, what = time.time(), ray.get_actor(home, namespace=NAMESPACE), named(work)
    place = _place(home, json.dumps(job.get("needs", ())))
    for key in job.get("needs", ()):
        place.bring(actor, key)
    actor.began.remote(str(job["id"]), ray.get_runtime_context().get_node_id())
    mine = {k: v for k, v in job.items() if k != "needs"}
    with _telling(actor, place.run / "work" / f"{job['id']}.json", str(job["id"]), place.is_shared):
        result, error = _done(what, {**mine, "run": str(place.run), "store": str(place.store)})
    if result is not None:
        place.send(actor, [str(key) for key in what.made(mine, result)])
    actor.ended.remote(str(job["id"]))
    failed = f"{type(error).__name__}: {error}" if error else None
    told = {"failed": failed, "is_environment": isinstance(error, OSError)}
    return {"result": result, **told, "seconds": time.time() - started}


def _done(what: Work, job: Mapping[str, Any]) -> tuple[dict[str, Any] | None, Exception | None]:
    try:
        return what.run(job), None
    except Exception as error:  # whatever the work could not even report
        return None, error


class Place:
    """Where this node keeps a study's things.

    Attributes:
        run: the run directory, or its mirror.
        store: folder of the stages.
        is_shared: this node sees the driver's own folders.

    Raises:
        ClusterError: this node came later than the study began, and has other code: its stages would not be ours.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        _check_code(about)
        run, store = Path(about["run"]), Path(about["store"])
        self.is_shared = _sees(store, about["store_id"]) and run.is_dir()
        self.store = store if self.is_shared else own_store()
        mirrored = self.store.parent / "runs" / sha256(str(run).encode()).hexdigest()[:16]
        self.run = run if self.is_shared else named(about["settle"])(about["card"], self.store, mirrored)

    def bring(self, home: Any, key: str) -> None:
        """A stage that is not here yet, once a node."""
        if self.is_shared or (self.store / key).exists():
            return
        with alone(self.store / f".{key}.lock"):
            if not (self.store / key).exists():
                [parcel] = ray.get(home.fetch.remote(key))
                unpack(ray.get(parcel), self.store / key)

    def send(self, home: Any, keys: list[str]) -> None:
        """Stages that the driver does not have yet; returns when they are there."""
        if self.is_shared or not keys:
            return
        for key, is_there in zip(keys, ray.get(home.has.remote(keys)), strict=True):
            if not is_there:
                ray.get(home.receive.remote(key, packed(self.store / key)))


def _check_code(about: Mapping[str, Any]) -> None:
    import platform

    from autocomp.result_cache import code_versions

    if about["code"] != code_versions():
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
def _place(home: str, needs: str) -> Place:
    """Asked for anew when a job needs other stages: the study's context may have been written since."""
    return Place(ray.get(ray.get_actor(home, namespace=NAMESPACE).about.remote()))


@contextmanager
def _telling(home: Any, file: Path, job: str, is_shared: bool) -> Iterator[None]:
    """Pass a job's progress file on to the driver while it runs."""
    if is_shared:
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_pass_on, args=(home, file, job, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        file.unlink(missing_ok=True)


def _pass_on(home: Any, file: Path, job: str, done: threading.Event) -> None:
    last = ""
    while not done.wait(TELL_EVERY_S):
        try:
            text = file.read_text(encoding="utf-8")
        except OSError:
            continue
        if text != last:
            home.tell.remote(job, json.loads(text))
            last = text


def about_node(usable_gpus: str | None = None) -> dict[str, Any]:
    """What the driver checks before it sends work here; `gpus` that can be used, where their counter is named."""
    import platform

    from autocomp.environment import machine_facts, versions
    from autocomp.result_cache import code_versions

    return {
        "gpus": named(usable_gpus)() if usable_gpus else None,
        "host": platform.node(),
        "node": ray.get_runtime_context().get_node_id(),
        "machine": machine_facts(),
        "versions": versions(),
        "code": code_versions(),
        "cache": str(own_store()),
    }

"""The study's side of the cluster: an actor beside the driver that hands out stages and takes in what was made.

Stages go to a node once, addressed by their hash; results come back into the driver's store before a job counts as
done. It holds nothing that must not be lost: if it dies, Ray starts it anew.
"""

from __future__ import annotations

import importlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ray

from autocomp import strict_json
from autocomp.executors.ray.tar_folder import packed, unpack
from autocomp.storage import write_atomically

STORE_ID = ".store-id"
KEPT_BYTES = 256 * 2**20
"""Of parcels that stay in the object store for the next node that asks; older ones are packed again if one does."""


def named(name: str) -> Any:
    """What `module:name` says; dots after the colon lead to attributes."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


class CacheServer:
    """Runs as an actor.

    Args:
        run: the run directory.
        store: folder of the stages.
        settle: `module:function` that mirrors a run: `(card, store, folder) -> folder`.
        card: `module:function` that tells what a mirror is made of: `(run) -> card`.
    """

    def __init__(self, run: str, store: str, settle: str, card: str) -> None:
        self._run, self._store, self._settle, self._card = Path(run), Path(store), settle, card
        self._parcels: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._where: dict[str, str] = {}
        self._sent = 0
        self._received = 0

    def about(self) -> dict[str, Any]:
        """What a worker has to know."""
        from autocomp.result_cache import code_versions

        return {
            "code": code_versions(),
            "run": str(self._run),
            "store": str(self._store),
            "store_id": store_id(self._store),
            "settle": self._settle,
            "card": named(self._card)(self._run),
        }

    def fetch(self, key: str) -> list[Any]:
        """A stage's folder as bytes, by reference: packed once, sent to each node once.

        Raises:
            FileNotFoundError: there is no such stage.
        """
        if key not in self._parcels:
            folder = self._store / key
            if not (folder / "stage.json").is_file():
                raise FileNotFoundError(f"stage {key} is not in {self._store}")
            self._keep(key, packed(folder))
            self._sent += 1
        self._parcels.move_to_end(key)
        return [self._parcels[key][0]]

    def _keep(self, key: str, parcel: bytes) -> None:
        """Put a parcel into the object store, which must not fill up: one nobody reads goes when we let go of it."""
        while self._parcels and sum(size for _, size in self._parcels.values()) + len(parcel) > KEPT_BYTES:
            self._parcels.popitem(last=False)
        try:
            self._parcels[key] = ray.put(parcel), len(parcel)
        except ray.exceptions.ObjectStoreFullError:
            self._parcels.clear()
            self._parcels[key] = ray.put(parcel), len(parcel)

    def has(self, keys: list[str]) -> list[bool]:
        """Which stages are here already."""
        return [(self._store / key / "stage.json").is_file() for key in keys]

    def receive(self, key: str, parcel: bytes) -> None:
        """Take in a stage that was made elsewhere."""
        unpack(parcel, self._store / key)
        self._received += 1

    def began(self, job: str, node: str) -> None:
        """A job is at work on a node."""
        self._where[job] = node

    def where(self) -> dict[str, str]:
        """The node on which each job was last seen."""
        return self._where

    def ended(self, job: str) -> None:
        """A job is done."""
        self._where.pop(job, None)

    def tell(self, job: str, told: dict[str, Any]) -> None:
        """Progress of a job, as a file that is replaced atomically."""
        write_progress(self._run / "work" / f"{job}.json", told)

    def counts(self) -> dict[str, int]:
        """Stages packed to be sent, and stages taken in."""
        return {"sent": self._sent, "received": self._received, "pid": os.getpid()}


def store_id(store: Path) -> str:
    """A name that tells this folder from every other one, so that a machine knows whether it sees the same."""
    file = store / STORE_ID
    if not file.is_file():
        store.mkdir(parents=True, exist_ok=True)
        scratch = store / f"{STORE_ID}-{os.getpid()}"
        scratch.write_text(f"{os.urandom(12).hex()}", encoding="utf-8")
        try:
            os.link(scratch, file)  # fails if another process was first
        except OSError:
            pass
        finally:
            scratch.unlink()
    return file.read_text(encoding="utf-8")


def write_progress(file: Path, data: Any) -> None:
    """Write JSON that a reader sees whole or not at all; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, strict_json.dumps(data))

"""The cache server: an actor beside the driver that hands out stages and takes in what was made; stages as tar files.

Stages go to a node once, addressed by their hash; results come back into the driver's store before a job counts as
done. It holds nothing that must not be lost: if it dies, Ray starts it anew.
"""

from __future__ import annotations

import importlib
import io
import os
import tarfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from autocomp import strict_json
from autocomp.executors import Data
from autocomp.storage import first_folder, write_atomically

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STORE_ID = ".store-id"
KEPT_BYTES = 256 * 2**20
"""How much of packed stages stays in the object store for the next node; older ones are packed again if needed."""


def named(name: str) -> Any:
    """What `module:name` stands for; dots after the colon lead to attributes."""
    module, _, path = name.partition(":")
    value: Any = importlib.import_module(module)
    for part in path.split("."):
        value = getattr(value, part)
    return value


@dataclass(frozen=True)
class ServedStudy:
    """What a node has to know of a study before it works for it.

    Attributes:
        code: versions of the code that makes each kind of stage, as the driver has them.
        run, store: the driver's folders.
        store_id: tells whether a node sees that store.
        mirror: `module:function` that makes a copy of the run directory on a node: `(card, store, folder) -> folder`.
        card: what such a copy is made of.
    """

    code: dict[str, str]
    run: str
    store: str
    store_id: str
    mirror: str
    card: Data


class CacheServer:
    """Runs as an actor.

    Args:
        run: the run directory.
        store: folder of the stages.
        mirror: `module:function` that copies a run: `(card, store, folder) -> folder`.
        card: `module:function` that says what a copy is made of: `(run) -> card`.
    """

    def __init__(self, run: str, store: str, mirror: str, card: str) -> None:
        self._run, self._store, self._mirror, self._card = Path(run), Path(store), mirror, card
        self._packed: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._where: dict[str, str] = {}
        self._sent = 0
        self._received = 0

    def study(self) -> ServedStudy:
        """What a node has to know of the study as it is now."""
        from autocomp.result_cache import code_versions

        return ServedStudy(
            code=code_versions(),
            run=str(self._run),
            store=str(self._store),
            store_id=store_id(self._store),
            mirror=self._mirror,
            card=named(self._card)(self._run),
        )

    def fetch(self, key: str) -> list[Any]:
        """A stage's folder as bytes, by reference: packed once, sent to each node once.

        Raises:
            FileNotFoundError: there is no such stage.
        """
        if key not in self._packed:
            folder = self._store / key
            if not (folder / "stage.json").is_file():
                raise FileNotFoundError(f"stage {key} is not in {self._store}")
            self._keep(key, packed(folder))
            self._sent += 1
        self._packed.move_to_end(key)
        return [self._packed[key][0]]

    def _keep(self, key: str, tar: bytes) -> None:
        """Put a packed stage into the object store, which must not fill up: Ray drops what nobody refers to."""
        while self._packed and sum(size for _, size in self._packed.values()) + len(tar) > KEPT_BYTES:
            self._packed.popitem(last=False)
        try:
            self._packed[key] = ray.put(tar), len(tar)
        except ray.exceptions.ObjectStoreFullError:
            self._packed.clear()
            self._packed[key] = ray.put(tar), len(tar)

    def has(self, keys: list[str]) -> list[bool]:
        """Which stages are here already."""
        return [(self._store / key / "stage.json").is_file() for key in keys]

    def receive(self, key: str, tar: bytes) -> None:
        """Take in a stage that was made elsewhere."""
        unpack(tar, self._store / key)
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

    def progress(self, job: str, progress: Data) -> None:
        """How far a job is, as a file that is replaced atomically."""
        write_json(self._run / "work" / f"{job}.json", progress)

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


def write_json(file: Path, data: Data) -> None:
    """Write JSON that a reader sees whole or not at all; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, strict_json.dumps(data))


def packed(folder: Path) -> bytes:
    """An uncompressed tar of a folder's content: weights do not shrink, and packing must not take long."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for file in sorted(folder.rglob("*")):
            tar.add(file, file.relative_to(folder).as_posix(), recursive=False)
    return out.getvalue()


def unpack(tar: bytes, folder: Path) -> None:
    """Write `folder`, which appears only when it is complete; one that is there already stays."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)

    def extract(into: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
            opened.extractall(into, filter="data")

    first_folder(folder, extract)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Only one process of this machine at a time is inside; the system lets go when it dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        if fcntl:
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield

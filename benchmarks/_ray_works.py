"""What the benchmark's trials do on a node: sleep and answer."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autocomp.executors import FollowUp, Work


def sleep(job: Mapping[str, Any]) -> dict[str, Any]:
    """Hold a worker for a while."""
    time.sleep(job["sleep"])
    return {"id": job["id"], "seconds": job["sleep"]}


def read(job: Mapping[str, Any]) -> dict[str, Any]:
    """Look at the stages that were sent."""
    from autocomp.result_cache import ResultCache

    store = ResultCache(Path(job["store"]))
    found = sum((store.folder(key) / "weights").stat().st_size for key in job["reads"])
    return {"id": job["id"], "seconds": 0.0, "bytes": found}


def reads(job: Mapping[str, Any]) -> list[str]:
    """Stages that a job needs."""
    return list(job.get("reads", ()))


def eat(job: Mapping[str, Any]) -> dict[str, Any]:
    """Take memory until it is enough, or until somebody ends it."""
    held = []
    for _ in range(int(job["eat_mb"] / 50)):
        held.append(os.urandom(2**20) * 50)
        time.sleep(0.1)
    time.sleep(job["sleep"])
    return {"id": job["id"], "seconds": 0.0, "mb": len(held) * 50}


def alone(_: Any, __: Any) -> None:
    """Nothing is left to do at the device."""


def mirror(_: Any, __: Path, folder: Path) -> Path:
    """The jobs read nothing."""
    return folder


def card(_: Path) -> dict[str, Any]:
    """The jobs read nothing."""
    return {}


READING = Work(f"{__name__}:READING", read, needs=reads)
EATING = Work(f"{__name__}:EATING", eat)
EATING_TRIALS = Work(
    f"{__name__}:EATING_TRIALS", eat, then=FollowUp(EATING, alone, lambda result, _: dict(result), at_device=True)
)
TASKS = Work(f"{__name__}:TASKS", sleep)
TRIALS = Work(f"{__name__}:TRIALS", sleep, then=FollowUp(TASKS, alone, lambda result, _: dict(result), at_device=True))

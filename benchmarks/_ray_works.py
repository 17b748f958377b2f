"""What the benchmark's trials do on a node: sleep and answer."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autocomp.executors import Then, Work


def sleep(job: Mapping[str, Any]) -> dict[str, Any]:
    """Hold a worker for a while."""
    time.sleep(job["sleep"])
    return {"id": job["id"], "seconds": job["sleep"]}


def alone(_: Any, __: Any) -> None:
    """Nothing is left to do at the device."""


def mirror(_: Any, __: Path, folder: Path) -> Path:
    """The jobs read nothing."""
    return folder


def card(_: Path) -> dict[str, Any]:
    """The jobs read nothing."""
    return {}


TASKS = Work(f"{__name__}:TASKS", sleep)
TRIALS = Work(f"{__name__}:TRIALS", sleep, then=Then(TASKS, alone, lambda result, _: dict(result)))

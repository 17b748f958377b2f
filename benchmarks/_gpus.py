"""How busy were the GPUs? What nvidia-smi says once a second while something runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mean, median
from typing import Any

ASK = ["nvidia-smi", "--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-l", "1"]


@contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """A mapping that is filled when the block ends; it stays empty without nvidia-smi."""
    found: dict[str, Any] = {}
    if not shutil.which(ASK[0]):
        yield found
        return
    asking = subprocess.Popen(ASK, stdout=subprocess.PIPE, text=True)
    try:
        yield found
    finally:
        asking.terminate()
        found |= told(asking.communicate()[0])


def told(text: str) -> dict[str, Any]:
    """`{index: figures}` of lines `index, per cent busy, MiB used`."""
    samples: dict[str, list[tuple[float, float]]] = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3 and all(part.replace(".", "").isdigit() for part in parts):
            samples.setdefault(parts[0], []).append((float(parts[1]), float(parts[2])))
    return {index: _figures(seen) for index, seen in samples.items()}


def _figures(seen: list[tuple[float, float]]) -> dict[str, float]:
    busy = [one for one, _ in seen]
    return {
        "seconds": len(seen),
        "busy_pct_mean": round(mean(busy), 1),
        "busy_pct_median": median(busy),
        "seconds_busy": sum(one > 0 for one in busy),
        "memory_mib_most": max(used for _, used in seen),
    }

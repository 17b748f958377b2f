"""What autocomp relies on inside `multiprocessing`, all of it here.

Read for Python 3.11 to 3.13, and held by tests/packaging/test_insides.py.

A pool asks its context for each process (`context.Process(...)`, which the documentation says), and a spawned process
runs again what `sys.modules["__main__"]` names when it starts (which only the source says). If another Python looks
elsewhere, a script without `if __name__ == "__main__"` runs again in each worker, as with plain `multiprocessing`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

_SWAPPING = threading.Lock()


class Spawned(SpawnProcess):
    """A spawned process that does not run the main script again."""

    def start(self) -> None:
        """Start it, with an empty main module in the place of the script."""
        with without_main_script():
            super().start()


class Spawning(SpawnContext):
    """Makes such processes and remembers them, since a broken pool forgets its own."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Spawned] = []

    def Process(self, *args: Any, **keys: Any) -> Spawned:  # type: ignore[override]  # noqa: N802 - the library's name
        """A process, not started yet."""
        self.started.append(Spawned(*args, **keys))
        return self.started[-1]


@contextmanager
def without_main_script() -> Iterator[None]:
    """Let `multiprocessing` see an empty main module: what it does not see it does not run in the new process."""
    with _SWAPPING:
        real = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = real

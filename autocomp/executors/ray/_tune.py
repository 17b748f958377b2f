"""What autocomp relies on inside Ray Tune, all of it here.

Read for Ray 2.60, and held by tests/packaging/test_insides.py.

1. Two of Tune's modules look up the name `RayActorError` to tell the death of a trial's worker from an error of Tune's
   own. A worker that is killed for memory raises another error, so that one killed trial would end Tune and all others.
2. A trial's file of errors has the line `Failure # N (occurred at …)` before the text of each error.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import __version__, exceptions
from ray.air.execution._internal import actor_manager
from ray.tune.execution import tune_controller

READ_FOR = "2.60"
DEATHS = exceptions.RayActorError, exceptions.OutOfMemoryError, exceptions.WorkerCrashedError, exceptions.NodeDiedError
_NAME = "RayActorError"
_MODULES = actor_manager, tune_controller
_COUNTING = threading.Lock()
_users = 0


def is_as_read() -> bool:
    """Whether both modules of Tune still look the death of a worker up under the name that is replaced here."""
    manager = getattr(actor_manager, "RayActorManager", None)
    asks = getattr(getattr(manager, "_actor_task_failed", None), "__code__", None)
    return _NAME in getattr(asks, "co_names", ()) and all(
        getattr(module, _NAME, None) in (exceptions.RayActorError, DEATHS) for module in _MODULES
    )


@contextmanager
def all_deaths_are_of_trials() -> Iterator[None]:
    """While any such block runs, Tune takes every death of a worker for the end of an attempt and not of the study.

    Another Tune than the one read is left as it is, with a warning: a worker killed for memory ends such a study,
    which can be resumed.
    """
    if not is_as_read():
        warnings.warn(_unknown(), RuntimeWarning, stacklevel=2)
        yield
        return
    _enter(+1)
    try:
        yield
    finally:
        _enter(-1)


def _unknown() -> str:
    rule = f"autocomp knows the inside of Ray Tune {READ_FOR}, and that of {__version__} is another one"
    return (
        f"{rule}: if a worker is killed for memory, the study may stop and must be resumed; install ray=={READ_FOR}.*"
    )


def _enter(more: int) -> None:
    """Count who needs the replaced name; the last one who leaves puts Ray's own back."""
    global _users
    with _COUNTING:
        _users += more
        for module in _MODULES:
            setattr(module, _NAME, DEATHS if _users else exceptions.RayActorError)


def error_of(trial: Any) -> BaseException | None:
    """The exception that ended a trial's last attempt, which Tune keeps for most deaths."""
    error = trial.get_pickled_error()
    return error if isinstance(error, BaseException) else None


def last_words_of(trial: Any) -> str:
    """The first line that Tune wrote about a trial's last failure; empty if it wrote none."""
    return last_failure(Path(trial.error_file)) if trial.error_file else ""


def last_failure(file: Path) -> str:
    """The first line about the last failure in a trial's file of errors; empty if there is none."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    lines = [line.strip() for line in text.rpartition("Failure # ")[2].splitlines()[1:]]
    return next(filter(None, lines), "")

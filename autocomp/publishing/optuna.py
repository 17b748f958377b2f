"""Optuna: a study in a journal file, which `optuna-dashboard` opens and which is only ever appended to."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from autocomp.errors import InputError
from autocomp.journal.file import drop_torn_line
from autocomp.publishing import Published, PublishedRun, Row, Target

try:
    import fcntl
except ImportError:  # Windows: two that publish one run at the same moment are not kept apart
    fcntl = None  # type: ignore[assignment]

BEGAN, RECORD = "began_at", "record"
"""User attributes by which a run and its records are known again."""


def publish(run: PublishedRun, file: Path) -> Published:
    """Write every record of a run as a finished trial; of a study that is there already, those it lacks.

    Raises:
        InputError: the file has a study of another run of that name, or grids that do not fit; or the run has no
            objectives, which Optuna cannot do without.
    """
    if not run.objectives:
        raise InputError(f"{run.folder}: its journal names no objective that is known here; Optuna needs one")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    with _held(file):
        backend = _AtOnce(file)
        storage = _storage(backend, file)
        study = _study(run, storage, file)
        there = {trial.user_attrs.get(RECORD) for trial in storage.get_all_trials(study, deepcopy=False)}
        distributions, added = _distributions(run), 0
        for row in run.rows:
            if row.id not in there:
                _add(storage, study, _trial(row, distributions), file)
                added += 1
        backend.write()
    return Published(file, run.name, added, len(there) + added, "trials", ("optuna-dashboard", str(file)))


target = Target("optuna.log", publish)


class _AtOnce(BaseJournalBackend):  # type: ignore[misc]  # Optuna is not typed
    """A journal file to which all that is new goes in one piece: asking the disk for each trial takes minutes."""

    def __init__(self, file: Path) -> None:
        self._file = JournalFileBackend(str(file))
        self._old: int | None = None
        self._new: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Entries from a number on: what the file had when it was read first, then what is new."""
        if self._old is None:
            old = list(self._file.read_logs(0))
            self._old = len(old)
            yield from old[log_number_from:]
        yield from self._new[max(0, log_number_from - self._old) :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep entries for `write`."""
        self._new += logs

    def write(self) -> None:
        """Append them to the file."""
        if self._new:
            self._file.append_logs(self._new)


@contextmanager
def _held(file: Path) -> Iterator[None]:
    """The file, whole lines only, for this process alone."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.open("ab")
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); choose another --out") from error
    with opened:
        if fcntl:
            fcntl.flock(opened, fcntl.LOCK_EX)
        drop_torn_line(file)
        yield


def _storage(backend: BaseJournalBackend, file: Path) -> JournalStorage:
    try:
        return JournalStorage(backend)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: is no journal of Optuna ({error!r}); choose another --out") from error


def _study(run: PublishedRun, storage: JournalStorage, file: Path) -> int:
    began = run.state.began_at
    known = {study.study_name: study for study in storage.get_all_studies()}
    if run.name in known:
        if known[run.name].user_attrs.get(BEGAN) != began:
            raise InputError(f"{file}: has a study {run.name!r} of another run; choose another --out")
        return int(storage.get_study_id_from_name(run.name))
    directions = [getattr(optuna.study.StudyDirection, o.direction.upper()) for o in run.objectives]
    study = optuna.create_study(storage=storage, study_name=run.name, directions=directions)
    study.set_metric_names([objective.name for objective in run.objectives])
    told = {
        BEGAN: began,
        "run": str(run.folder),
        "model": run.state.spec.get("model"),
        "task": run.state.data.get("name"),
    }
    for name, value in told.items():
        study.set_user_attr(name, value)
    return int(storage.get_study_id_from_name(run.name))


def _distributions(run: PublishedRun) -> dict[str, BaseDistribution]:
    """Every knob as a choice among its grid; where an older run has no grids, numbers are numbers."""
    if run.knobs is not None:
        return {name: CategoricalDistribution([_plain(v) for v in values]) for name, values in run.knobs.items()}
    seen: dict[str, dict[Any, None]] = {}
    for row in run.rows:
        for name, value in row.point.items():
            seen.setdefault(name, {})[_plain(value)] = None
    return {name: _seen(list(values)) for name, values in seen.items()}


def _seen(values: list[Any]) -> BaseDistribution:
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return FloatDistribution(min(values), max(values))
    return CategoricalDistribution(sorted(values, key=str))


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def _trial(row: Row, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    point = {name: _plain(value) for name, value in row.point.items()}
    off = [name for name, value in point.items() if not _fits(distributions.get(name), value)]
    told = {
        **{f"{name} (off the grid)": point.pop(name) for name in off},
        RECORD: row.id, "rung": row.rung, "kind": row.kind, "describe": row.describe, "source": row.source,
        "error": row.error, "predicted": row.is_predicted or None, **row.figures,
    }  # fmt: skip
    trial = create_trial(
        params=point,
        distributions={name: distributions[name] for name in point},
        values=row.values,
        state=TrialState.FAIL if row.values is None else TrialState.COMPLETE,
        user_attrs={name: value for name, value in told.items() if value is not None and value != ""},
    )
    trial.datetime_start = datetime.fromtimestamp(row.began_at)
    trial.datetime_complete = datetime.fromtimestamp(row.ended_at)
    return trial


def _fits(distribution: BaseDistribution | None, value: Any) -> bool:
    """Whether a value is on its knob's grid: a run that was resumed with another space has some that are not."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return distribution is not None


def _add(storage: JournalStorage, study: int, trial: FrozenTrial, file: Path) -> None:
    try:
        storage.create_new_trial(study, template_trial=trial)
    except ValueError as error:
        raise InputError(
            f"{file}: its study has other knobs than the run now ({error}); choose another --out"
        ) from error

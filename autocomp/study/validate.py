"""Before anything starts: everything that a study names is loaded and checked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from autocomp.budget import Budget, parse_budget
from autocomp.errors import BudgetError, RunFolderError
from autocomp.measures import OF_RECORDS, measures
from autocomp.pipeline.plans import build_space
from autocomp.result_cache import default_store
from autocomp.searchers import searchers
from autocomp.spec import SpaceSpec, StudySpec, read_device, read_objective, read_space
from autocomp.study.lengths import texts_of_task, with_length
from autocomp.tasks import resolve_task, tasks

if TYPE_CHECKING:
    from autocomp.models.loading import LoadedModel
    from autocomp.objective import Objective
    from autocomp.space import SearchSpace
    from autocomp.spec import DeviceProfile
    from autocomp.tasks import TaskData

SPARE_BYTES = 500_000_000


class DataFacts(TypedDict):
    """A data set as a run keeps it; `train`, `search` and `held_out` are numbers of rows."""

    name: str
    labels: list[str]
    metric: str
    positive: str | None
    train: int
    search: int
    held_out: int
    notes: list[str]
    fingerprint: str


class StudyFacts(DataFacts):
    """What `autocomp validate` prints of a study that is right; `points` are those of the search space."""

    model: str
    fine_tuned: bool
    layers: int
    hidden: int
    vocabulary: int
    space: str
    techniques: list[str]
    points: int
    objectives: list[str]
    device: str
    budget: str


@dataclass(frozen=True)
class Checked:
    """A study whose every name, value, file and column was looked at; nothing has been started."""

    spec: StudySpec
    budget: Budget
    data: TaskData
    loaded: LoadedModel
    space_spec: SpaceSpec
    space: SearchSpace
    objectives: tuple[Objective, ...]
    device: DeviceProfile

    @property
    def measure_names(self) -> tuple[str, ...]:
        """What each record measures."""
        return tuple(dict.fromkeys([*OF_RECORDS, *(o.measure for o in self.objectives)]))


def check(spec: StudySpec) -> Checked:
    """Load and check everything that a study names, cheapest first.

    Raises:
        InputError: one of its kinds, saying what is wrong, where, and the way out.
    """
    budget = parse_budget(spec.budget)
    _check_share(spec)
    device = read_device(spec.device, spec.include)
    objectives = tuple(read_objective(name, spec.include) for name in spec.objectives)
    for objective in objectives:
        measures[objective.measure]
    searchers[spec.searcher]
    space_spec = read_space(spec.space, spec.include)
    task = spec.task
    columns = {k: getattr(task, k) for k in ("text", "pair", "label", "label_names", "metric", "positive")}
    data = resolve_task(task.source, max_length=task.max_length, **columns)
    from autocomp.models.loading import load_teacher

    texts = texts_of_task(data)
    loaded = load_teacher(spec.model, data.labels, pairs=data.pairs, max_length=data.max_length, texts=texts)
    data = _named(data, loaded.student.labels)
    loaded, data = with_length(loaded, replace(data, notes=(*data.notes, *loaded.notes)), texts)
    space = build_space(space_spec, loaded.student.encoder.shape, spec.space)
    _check_disk(default_store(), loaded)
    return Checked(spec, budget, data, loaded, space_spec, space, objectives, device)


def _named(data: TaskData, labels: tuple[str, ...]) -> TaskData:
    """The task under the model's label names, where its own are only numbers; the model's notes say so."""
    return data if data.labels == labels else replace(data, labels=labels)


def with_absolute_paths(spec: StudySpec) -> StudySpec:
    """The spec with every path made absolute, so that a run can be resumed from any folder."""
    source = spec.task.source if spec.task.source in tasks else _absolute(spec.task.source)
    changes = {
        "task": spec.task.model_copy(update={"source": source}),
        "model": _absolute(spec.model),
        "space": _absolute(spec.space, ".yaml"),
        "device": _absolute(spec.device, ".yaml"),
        "objectives": tuple(_absolute(o, ".yaml") for o in spec.objectives),
        "include": tuple(_absolute(i) for i in spec.include),
    }
    return spec.model_copy(update=changes)


def _absolute(name: str, suffix: str = "") -> str:
    path = Path(name).expanduser()
    return str(path.resolve()) if name.endswith(suffix) and path.exists() else name


def check_study(spec: StudySpec) -> StudyFacts:
    """Check a study as `check` does; facts of one that is right."""
    done = check(spec)
    shape = done.loaded.student.encoder.shape
    return {
        "model": spec.model,
        "fine_tuned": done.loaded.fine_tuned,
        "layers": shape.depth,
        "hidden": shape.hidden,
        "vocabulary": shape.vocabulary,
        **data_facts(done.data),
        "space": spec.space,
        "techniques": list(done.space.techniques),
        "points": done.space.size,
        "objectives": [o.name for o in done.objectives],
        "device": done.device.name,
        "budget": str(done.budget),
    }


def data_facts(data: TaskData) -> DataFacts:
    """What a run keeps of its data: sizes and names, no texts."""
    return {
        "name": data.name,
        "labels": list(data.labels),
        "metric": data.metric,
        "positive": data.positive_label,
        "train": len(data.train),
        "search": len(data.search),
        "held_out": len(data.held_out),
        "notes": list(data.notes),
        "fingerprint": data.fingerprint,
    }


def _check_share(spec: StudySpec) -> None:
    """A budget that nothing would ever be charged to must not be accepted."""
    if spec.parsed_budget.gpu_s is not None and not spec.wants_gpus:
        raise BudgetError(
            f"budget {spec.budget!r} counts GPUs, but gpu_share 0 trains on CPUs; use cpu-hours or 2h, or a share"
        )


def _check_disk(store: Path, loaded: LoadedModel) -> None:
    needed = SPARE_BYTES + 6 * 4 * sum(p.numel() for p in loaded.student.encoder.parameters())
    store.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store).free
    if free < needed:
        raise RunFolderError(
            f"{store}: a study of this model needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "free some, or set AUTOCOMP_CACHE to a larger disk"
        )


def new_run(out: Path) -> Path:
    """Make a run directory.

    Raises:
        RunFolderError: there is something already.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        way_out = f"choose another --out, or `autocomp resume {out}`"
        raise RunFolderError(f"{out} exists already and is never overwritten; {way_out}")
    out.mkdir(parents=True, exist_ok=True)
    return out.resolve()

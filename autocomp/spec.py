"""What did the person write? Model, task, space, objectives, device, budget; checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from autocomp.budget import Budget, parse_budget
from autocomp.catalogue import find, read_yaml
from autocomp.errors import SpecError, did_you_mean
from autocomp.objective import Objective


class Spec(BaseModel):
    """Base of everything a person writes: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


M = TypeVar("M", bound=BaseModel)


class TaskSpec(Spec):
    """A data set: a registered name, files, a folder, or a hub id; and which columns to read."""

    source: str
    text: str | None = None
    pair: str | None = None
    label: str | None = None
    label_names: tuple[str, ...] | None = None
    metric: str | None = None
    max_length: int = Field(default=128, ge=8, le=4096)


class SpaceSpec(Spec):
    """A search space: which techniques, each with its knobs narrowed (empty: all of them), and plans tried first."""

    summary: str = ""
    techniques: dict[str, dict[str, Any]] = Field(min_length=1)
    start: tuple[dict[str, Any], ...] = ()


class DeviceProfile(Spec):
    """Where a latency holds: engine, threads and how it is timed."""

    name: str
    summary: str = ""
    runtime: str = "onnxruntime"
    threads: int = Field(default=1, ge=1, le=256)
    warmup: int = Field(default=5, ge=0)
    rounds: int = Field(default=60, ge=3)


class StudySpec(Spec):
    """One study, complete: what `autocomp search` runs and a run directory keeps."""

    summary: str = ""
    model: str
    task: TaskSpec
    space: str = "compound"
    objectives: tuple[str, ...] = ("artifact_size", "latency", "task_score", "agreement")
    device: str = "cpu_1_thread"
    budget: str = "30m"
    searcher: str = "tpe"
    workers: int = Field(default=0, ge=0, le=256, description="worker processes; 0 = one per free core")
    seed: int = Field(default=0, ge=0)
    teacher_epochs: float = Field(default=3.0, gt=0, le=50)
    teacher_learning_rate: float = Field(default=8e-5, gt=0, lt=1)
    recovery_steps: tuple[int, ...] | None = None
    members: int = Field(default=24, ge=8, le=200)
    include: tuple[str, ...] = ()

    @field_validator("recovery_steps")
    @classmethod
    def _are_steps(cls, steps: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if steps is not None and (not steps or min(steps) < 1 or len(set(steps)) < len(steps)):
            raise ValueError("must be different numbers of steps, each at least 1")
        return steps

    @property
    def parsed_budget(self) -> Budget:
        """The budget as numbers."""
        return parse_budget(self.budget)


def read_study(study: str | None, overrides: Mapping[str, Any], include: Sequence[str] = ()) -> StudySpec:
    """A study from a shipped name or YAML file (or none), with flags laid over it.

    `overrides` holds StudySpec keys; keys of the task come as `task.source`, `task.text` …; None means not given.

    Raises:
        SpecError: unknown key, wrong type or range; names file (or `command line`), key, rule and value.
        BudgetError, UnknownName: as they say.
    """
    file = find("studies", study, map(Path, include)) if study else None
    written, source = read_yaml(file) if file else {}, str(file or "command line")
    data = _merge(written, overrides, source)
    if include:
        data["include"] = [*_listed(data.get("include", ())), *include]
    spec = build(StudySpec, data, source)
    parse_budget(spec.budget)
    return spec


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _merge(written: dict[str, Any], overrides: Mapping[str, Any], source: str) -> dict[str, Any]:
    data = dict(written)
    task = data.get("task") or {}
    if not isinstance(task, str | Mapping):
        raise SpecError(source, "task", "must be a name or path, or a mapping with `source`", task)
    data_task = {"source": task} if isinstance(task, str) else dict(task)
    for key, value in overrides.items():
        if value is None:
            continue
        if key.startswith("task."):
            data_task[key.removeprefix("task.")] = value
        else:
            data[key] = value
    return {**data, "task": data_task} if data_task else data


def build(model: type[M], data: Mapping[str, Any], source: str) -> M:
    """A checked spec, or the first broken rule as a SpecError naming file, key, rule and value."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "(whole file)"
        raise SpecError(source, key, _rule(first, model), _given(first)) from error


def _rule(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        owner = _nested(model, problem["loc"][:-1])
        known, name = sorted(owner.model_fields), str(problem["loc"][-1])
        return f"is not a key of {owner.__name__}; {did_you_mean(name, known)}(known: {', '.join(known)})"
    rule = str(problem["msg"]).removeprefix("Value error, ")
    return rule[0].lower() + rule[1:]


def _nested(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The model that a path of keys leads to, as far as it leads to models."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else model
    return model


def _given(problem: Mapping[str, Any]) -> Any:
    return None if problem["type"] == "missing" else problem.get("input")


def read_space(name: str, include: Sequence[str] = ()) -> SpaceSpec:
    """A search space by name or YAML file."""
    file = find("search_spaces", name, [Path(p) for p in include])
    return build(SpaceSpec, read_yaml(file), str(file))


def read_objective(name: str, include: Sequence[str] = ()) -> Objective:
    """An objective by name or YAML file; its name is the file's stem."""
    file = find("objectives", name, [Path(p) for p in include])
    return build(Objective, {"name": file.stem, **read_yaml(file)}, str(file))


def read_device(name: str, include: Sequence[str] = ()) -> DeviceProfile:
    """A device profile by name or YAML file."""
    file = find("devices", name, [Path(p) for p in include])
    return build(DeviceProfile, {"name": file.stem, **read_yaml(file)}, str(file))

"""What did the person write? Model, task, space, objectives, device, budget; checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from autocomp.budget import Budget, parse_budget
from autocomp.catalogue import find, read_yaml
from autocomp.errors import SpecError, did_you_mean
from autocomp.objective import Objective
from autocomp.plan import Options
from autocomp.space import Point
from autocomp.storage import write_atomically

Overrides = Mapping[str, Any]
"""Keys of a `StudySpec`, and of its task as `task.text`, with what a person gave for them; None is not given."""


class Spec(BaseModel):
    """Base of everything a person writes: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


M = TypeVar("M", bound=BaseModel)


class TaskSpec(Spec):
    """A data set: a registered name, files, a folder, or a hub id; which columns to read, and what its labels mean."""

    source: str
    text: str | None = None
    pair: str | None = None
    label: str | None = Field(default=None, description="or several columns of 0 and 1: a,b,c")
    kind: str | None = None
    label_names: tuple[str, ...] | None = None
    metric: str | None = None
    positive: str | None = None
    max_length: int | None = Field(default=None, ge=8, le=4096, description="tokens; none = as long as the texts are")

    @field_validator("label", mode="before")
    @classmethod
    def _columns_as_text(cls, label: Any) -> Any:
        """YAML may name several columns as a list."""
        return ",".join(label) if isinstance(label, list | tuple) and all(isinstance(c, str) for c in label) else label

    @field_validator("positive", mode="before")
    @classmethod
    def _label_as_text(cls, label: Any) -> Any:
        """YAML reads a label `1` as a number and `true` as a boolean."""
        if isinstance(label, bool):
            return str(label).lower()
        return str(label) if isinstance(label, int) else label


class SpaceSpec(Spec):
    """A search space: which techniques, each with its knobs narrowed (empty: all of them), and plans tried first."""

    summary: str = ""
    techniques: dict[str, Options] = Field(min_length=1)
    start: tuple[Point, ...] = ()


class FitError(Spec):
    """How far predictions of files that were left out of the fit were off, as fractions of the time.

    `median` and `worst` without sign; `low` and `high` are quartiles of (predicted - measured) / measured.
    """

    median: float
    low: float
    high: float
    worst: float


class LatencyTable(Spec):
    """Times of random files on a device, and what a unit of each kind of work costs there by them.

    Attributes:
        work: what is counted of a run (`autocomp/devices/work.py`).
        costs_ms: of a unit of each.
        files: the random files in words.
        rows: `[file, tokens, ms, spread_ms, *work]` of each file at each length; file is a place in `files`.
    """

    work: tuple[str, ...] = Field(min_length=1)
    costs_ms: tuple[float, ...]
    error: FitError
    files: tuple[str, ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()

    @field_validator("costs_ms")
    @classmethod
    def _fit_the_work(cls, costs: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        work = info.data.get("work", ())
        if len(costs) != len(work) or min(costs, default=0) < 0:
            raise ValueError(f"must be {len(work)} numbers of at least 0, one for each of `work`")
        return costs


class Recorded(Spec):
    """What `autocomp device probe` found on the machine that it ran on.

    Attributes:
        at: the day, `2026-05-01`.
        autocomp, versions: of autocomp, and of Python and the runtimes by name.
        cpu, instruction_sets: as `autocomp.environment.processor` gives them: how the machine is known again.
        memory_gb: 10^9 bytes; None where the system does not say.
        int8_macs_per_ms, fp32_macs_per_ms: multiply-adds of one thread.
        noise_spread: interquartile range over median of one small file's times.
        noise_between_sessions: difference of two sessions of that file, over their mean.
        disturbed: that range was over a fifth each of three times: something else ran, and times are not to be trusted.
        latency: the recorded table, with the profile's threads.
    """

    at: str
    autocomp: str
    cpu: str
    instruction_sets: tuple[str, ...] = ()
    cores: int = Field(ge=1)
    memory_gb: float | None = None
    system: str = ""
    versions: dict[str, str] = {}
    int8_macs_per_ms: float = Field(gt=0)
    fp32_macs_per_ms: float = Field(gt=0)
    noise_spread: float = Field(ge=0)
    noise_between_sessions: float = Field(ge=0)
    disturbed: bool = False
    latency: LatencyTable


class DeviceProfile(Spec):
    """Where a latency holds: engine, threads, how it is timed, and what was recorded of the machine, if anything."""

    name: str
    summary: str = ""
    runtime: str = "onnxruntime"
    threads: int = Field(default=1, ge=1, le=256)
    warmup: int = Field(default=5, ge=0)
    rounds: int = Field(default=60, ge=3)
    recorded: Recorded | None = None


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
    gpu_share: float | None = Field(
        default=None, ge=0, le=1, description="for each training; none = measured for gpu-hours, else 0: on CPUs"
    )
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

    @property
    def wants_gpus(self) -> bool:
        """Whether it trains on GPUs."""
        return self.parsed_budget.gpu_s is not None if self.gpu_share is None else self.gpu_share > 0


def read_study(study: str | None, overrides: Overrides, include: Sequence[str] = ()) -> StudySpec:
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
        data["include"] = [*_as_list(data.get("include", ())), *include]
    spec = build(StudySpec, data, source)
    parse_budget(spec.budget)
    return spec


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _merge(written: Mapping[str, object], overrides: Overrides, source: str) -> dict[str, object]:
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


def build(model: type[M], data: Mapping[str, object], source: str) -> M:
    """A checked spec, or the first broken rule as a SpecError naming file, key, rule and value."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "(whole file)"
        given = None if first["type"] == "missing" else first["input"]
        raise SpecError(source, key, _rule(first["type"], first["loc"], first["msg"], model), given) from error


def _rule(kind: str, path: Sequence[str | int], message: str, model: type[BaseModel]) -> str:
    """The broken rule in our words, from what pydantic says of it."""
    if kind == "extra_forbidden":
        owner = _nested(model, path[:-1])
        known, name = sorted(owner.model_fields), str(path[-1])
        return f"is not a key of {owner.__name__}; {did_you_mean(name, known)}(known: {', '.join(known)})"
    rule = message.removeprefix("Value error, ")
    return rule[0].lower() + rule[1:]


def _nested(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The model that a path of keys leads to, as far as it leads to models."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else model
    return model


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


def write_device(profile: DeviceProfile, file: Path) -> None:
    """Write a profile as YAML that `read_device` reads; the file is whole or not there, and its folder is made.

    Raises:
        SpecError: it cannot be written.
    """
    data = _short_numbers(profile.model_dump(mode="json", exclude_defaults=True))
    text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100_000, allow_unicode=True)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text)
    except OSError as error:
        raise SpecError(str(file), "(whole file)", f"must be writable ({error.strerror})") from error


def _short_numbers(data: Any) -> Any:
    """Data whose whole numbers have no `.0`, as most of a table are."""
    if isinstance(data, dict):
        return {key: _short_numbers(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_short_numbers(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data

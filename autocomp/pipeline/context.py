"""What every job of a study needs, addressed by stage keys, so that a worker can open it from one small file."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.result_cache import CachedResult, ResultCache
from autocomp.spec import DeviceProfile
from autocomp.storage import write_atomically
from autocomp.strict_json import Json, JsonView
from autocomp.tasks import Example, TaskData

if TYPE_CHECKING:
    from autocomp.models.student import Student

FILE = "context.json"
LANDMARKS = {"teacher": "the teacher, FP32", "plain_int8": "the teacher, plain dynamic int8 per channel"}
"""What every candidate is compared with; each has a folder of its name in the baseline's stage and in the run."""


@dataclass(frozen=True)
class TeacherProfile:
    """What is learnt from the teacher once a study.

    Attributes:
        importance: scores of its parts (`models/importance.py`).
        pieces: how often each piece occurs in the training texts.
        search_logits, held_out_logits: of the FP32 artifact, at batch 1.
    """

    importance: Mapping[str, np.ndarray]
    pieces: Mapping[str, int]
    search_logits: np.ndarray
    held_out_logits: np.ndarray


@dataclass(frozen=True)
class Speed:
    """How fast the teacher was when this run began or was resumed; measured each time, for no other run.

    Attributes:
        alone_ms: `[m]`, of the FP32 artifact on the first m texts of the search split, when nothing else ran.
        forward_s: seconds of one training text through the PyTorch teacher on all cores; 0 where GPUs train.
        disturbed: something else ran all the same, each time that `alone_ms` was measured.
        at: when, in seconds since 1970.
    """

    alone_ms: tuple[float, ...] = ()
    forward_s: float = 0.0
    disturbed: bool = False
    at: float = 0.0

    def to_json(self) -> Json:
        """Plain data; inverse of `from_json`."""
        return {**vars(self), "alone_ms": list(self.alone_ms)}

    @classmethod
    def from_json(cls, data: JsonView) -> Speed:
        """Inverse of `to_json`."""
        return cls(**{**data, "alone_ms": tuple(data.get("alone_ms", ()))})


@dataclass(frozen=True)
class StudyContext:
    """Everything that is the same for all jobs of a study; a key is that of a stage that jobs read."""

    run: Path
    store: ResultCache
    data: TaskData
    data_key: str
    teacher: Student
    teacher_key: str
    teacher_artifact: Path
    knowledge: TeacherProfile
    knowledge_key: str
    speed: Speed
    device: DeviceProfile
    machine: str
    seed: int


@dataclass(frozen=True)
class ContextKeys:
    """A context by its keys: `RUN/context.json`; `device` is a device profile as plain data."""

    store: str
    data: str
    teacher: str
    knowledge: str
    baseline: str
    device: JsonView
    machine: str
    seed: int
    speed: Speed = field(default_factory=Speed)

    def write(self, run: Path) -> None:
        """Write `context.json`, atomically."""
        write_atomically(run / FILE, json.dumps({**vars(self), "speed": self.speed.to_json()}))


def context_keys(run: Path) -> ContextKeys:
    """The keys of a run directory's context."""
    data = json.loads((run / FILE).read_text(encoding="utf-8"))
    return ContextKeys(**{**data, "speed": Speed.from_json(data.get("speed", {}))})


def teacher_before(run: Path) -> str | None:
    """Key of the teacher that an interrupted study had, None if it had none yet."""
    return context_keys(run).teacher if (run / FILE).is_file() else None


@lru_cache(maxsize=2)
def open_context(run: Path) -> StudyContext:
    """The context of a run directory; read once per process."""
    from autocomp.models.student import load_student

    keys = context_keys(run)
    store = ResultCache(Path(keys.store))
    return StudyContext(
        run=run,
        store=store,
        data=read_data(store.folder(keys.data)),
        data_key=keys.data,
        teacher=load_student(store.folder(keys.teacher) / "student"),
        teacher_key=keys.teacher,
        teacher_artifact=store.folder(keys.baseline) / "teacher",
        knowledge=_read_knowledge(store.folder(keys.knowledge), store.folder(keys.baseline)),
        knowledge_key=keys.knowledge,
        speed=keys.speed,
        device=DeviceProfile(**keys.device),
        machine=keys.machine,
        seed=keys.seed,
    )


def data_stage(store: ResultCache, data: TaskData) -> CachedResult:
    """The task's rows and all else that is known of it."""
    made_of = {**content_of(data), "name": data.name, "notes": data.notes}
    return store.make("data", made_of, lambda folder: write_data(data, folder))


def content_of(data: TaskData) -> Json:
    """What a stage that learns from the data is made of: rows, labels, metric and all else but how it is called."""
    apart = {"train", "search", "held_out", "name", "notes"}
    facts = {f.name: getattr(data, f.name) for f in dataclasses.fields(data) if f.name not in apart}
    return {"fingerprint": data.fingerprint, **facts}


def write_data(data: TaskData, folder: Path) -> None:
    """The task as `data.json.gz`, so that workers need neither its files nor its columns."""
    fields = {f.name: getattr(data, f.name) for f in dataclasses.fields(data)}
    with gzip.open(folder / "data.json.gz", "wt", encoding="utf-8", compresslevel=3) as out:
        json.dump(fields, out, ensure_ascii=False)


def read_data(folder: Path) -> TaskData:
    """Inverse of `write_data`."""
    with gzip.open(folder / "data.json.gz", "rt", encoding="utf-8") as file:
        fields = json.load(file)
    splits = {s: tuple(_example(*row) for row in fields[s]) for s in ("train", "search", "held_out")}
    return TaskData(**{**fields, **splits, "labels": tuple(fields["labels"]), "notes": tuple(fields["notes"])})


def _example(text: str, pair: str | None, target: int | float | list[int]) -> Example:
    """A row of which JSON has made the tuple of several labels a list."""
    return Example(text, pair, tuple(target) if isinstance(target, list) else target)


def texts_of(examples: Iterable[Example]) -> list[str | tuple[str, str]]:
    """Texts, or pairs of texts, as tokenizers and predictors take them."""
    return [e.text if e.pair is None else (e.text, e.pair) for e in examples]


def _read_knowledge(learnt: Path, baseline: Path) -> TeacherProfile:
    from safetensors.numpy import load_file

    arrays, answers = load_file(learnt / "arrays.safetensors"), load_file(baseline / "arrays.safetensors")
    return TeacherProfile(
        importance={k.removeprefix("importance."): v for k, v in arrays.items() if k.startswith("importance.")},
        pieces=json.loads((learnt / "pieces.json").read_text(encoding="utf-8")),
        search_logits=answers["search_logits"],
        held_out_logits=answers["held_out_logits"],
    )

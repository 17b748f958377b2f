"""What travels between driver and workers: jobs and results with types, the stages that they need, and a study's copy.

A trial's own job and result stand in `jobs.py`, those of timed recovery steps in `study/gpu_sharing.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from autocomp.executors import Data
from autocomp.measurement import Measurement
from autocomp.pipeline.context import FILE, Speed, context_keys
from autocomp.spec import DeviceProfile
from autocomp.storage import write_atomically

if TYPE_CHECKING:
    from autocomp.record import TrialRecord

IN_CONTEXT = ("data", "teacher", "knowledge", "baseline")
Artifacts = Mapping[str, str]
"""The stage of some files by the name that a job gives them."""


@dataclass(frozen=True)
class Message:
    """A job or result of plain values: its fields are the keys of the JSON object that travels."""

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Data) -> Self:
        """Inverse of `to_json`; keys that an executor adds are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in data.items() if k in known})


@dataclass(frozen=True)
class BaselineJob(Message):
    """Make the teacher's files, FP32 and plain int8, and time the former.

    Attributes:
        store: folder of the stages.
        data, teacher: keys of the stages that it reads.
        device: whose number of threads times are taken with.
    """

    run: str
    store: str
    data: str
    teacher: str
    device: DeviceProfile
    id: str = "baseline"

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        return {**super().to_json(), "device": self.device.model_dump()}

    @classmethod
    def from_json(cls, data: Data) -> Self:
        """Inverse of `to_json`."""
        return super().from_json({**data, "device": DeviceProfile(**data["device"])})


@dataclass(frozen=True)
class BaselineResult(Message):
    """The teacher's files.

    Attributes:
        key: of their stage.
        machine: fingerprint of the machine that made them.
        speed: of the FP32 file there, measured just now and kept in no stage.
    """

    key: str
    machine: str
    speed: Speed

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        return {**super().to_json(), "speed": self.speed.to_json()}

    @classmethod
    def from_json(cls, data: Data) -> Self:
        """Inverse of `to_json`."""
        return super().from_json({**data, "speed": Speed.from_json(data["speed"])})


@dataclass(frozen=True)
class MeasuringJob(Message):
    """Measure some files at the device.

    Attributes:
        id: of the trial whose files they are.
        measures: by name.
    """

    id: str
    run: str
    artifacts: Artifacts
    measures: Sequence[str]


@dataclass(frozen=True)
class MeasuringResult(Message):
    """What was measured of some files.

    Attributes:
        measured: measurements by the file's name and the measure's.
        errors: why a file could not be measured, by its name.
        seconds: that it took.
    """

    measured: Mapping[str, Mapping[str, Measurement]]
    errors: Mapping[str, str]
    seconds: float

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        measured = {name: {m: v.to_json() for m, v in one.items()} for name, one in self.measured.items()}
        return {**super().to_json(), "measured": measured}

    @classmethod
    def from_json(cls, data: Data) -> Self:
        """Inverse of `to_json`."""
        measured = {n: {m: Measurement.from_json(v) for m, v in one.items()} for n, one in data["measured"].items()}
        return super().from_json({**data, "measured": measured})


@dataclass(frozen=True)
class TimingJob(Message):
    """Time some files and both landmarks in turns over texts of a split.

    Attributes:
        split: `search` or `held_out`.
        seconds: that the timing should take.
        measured: where: here or at the device, else the times are predicted.
        repeats_s: seconds that repetitions may take if something disturbs the timing.
    """

    id: str
    run: str
    artifacts: Artifacts
    split: str
    seconds: float
    measured: str
    repeats_s: float = math.inf


@dataclass(frozen=True)
class Timings(Message):
    """Times of files that are compared with each other, each by name.

    Attributes:
        times: milliseconds `[rounds, texts]`.
        tokens: of these texts.
        load_ms: to open the file, of those that were opened at the device.
    """

    times: Mapping[str, np.ndarray]
    tokens: Mapping[str, Sequence[int]] = field(default_factory=dict)
    load_ms: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        return {**super().to_json(), "times": {name: times.tolist() for name, times in self.times.items()}}

    @classmethod
    def from_json(cls, data: Data) -> Self:
        """Inverse of `to_json`."""
        return super().from_json({**data, "times": {name: np.array(rows) for name, rows in data["times"].items()}})


@dataclass(frozen=True)
class HeldOutJob(Message):
    """Score one file on the held-out split; `id` is its name in `artifacts`."""

    id: str
    run: str
    artifacts: Artifacts


@dataclass(frozen=True)
class HeldOutResult(Message):
    """One file's logits on the held-out split, `[n, C]`, and the layers that ran on each row, `[n]`."""

    logits: np.ndarray
    depths: Sequence[int] = ()

    def to_json(self) -> Data:
        """Plain data; inverse of `from_json`."""
        return {"logits": self.logits.tolist(), "depths": list(self.depths)}

    @classmethod
    def from_json(cls, data: Data) -> Self:
        """Inverse of `to_json`."""
        return super().from_json({**data, "logits": np.array(data["logits"], np.float32)})


def context_needs(job: Data) -> list[str]:
    """Stages that every job of a study reads."""
    keys = context_keys(Path(job["run"]))
    return [str(getattr(keys, name)) for name in IN_CONTEXT]


def baseline_needs(job: Data) -> list[str]:
    """Stages that the baseline is made of."""
    return [job["data"], job["teacher"]]


def baseline_made(_: Data, result: Data) -> list[str]:
    """The stage of the baseline."""
    return [result["key"]]


def trial_needs(job: Data) -> list[str]:
    """Stages that every job of a study reads, and the student that recovery goes on from."""
    return [*context_needs(job), *([job["parent"]] if job.get("parent") else [])]


def trial_made(job: Data, result: Data) -> list[str]:
    """The student and the files of its plans."""
    student = result["facts"].get("student")
    artifacts = [r["artifact"] for r in result["records"] if r.get("artifact")]
    return list(dict.fromkeys([*([student] if student else []), *artifacts]))


def scoring_needs(job: Data) -> list[str]:
    """Stages that every job of a study reads, and the recovered student."""
    return [*context_needs(job), str(job["recovered"]["student"])]


def artifact_needs(job: Data) -> list[str]:
    """Stages that every job of a study reads, and those of the files that this one is about."""
    return [*context_needs(job), *job["artifacts"].values()]


def keys_of(chosen: Sequence[TrialRecord]) -> dict[str, str]:
    """Stage of each record's files."""
    return {record.id: record.artifact or "" for record in chosen}


def card(run: Path) -> Data:
    """What another machine has to know of a study; empty before its context is written."""
    file = run / FILE
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def mirror(known: Data, store: Path, folder: Path) -> Path:
    """A run directory on another machine, with stages in a store of its own: enough for `open_context`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**known, "store": str(store)})
    if known and (not (folder / FILE).is_file() or (folder / FILE).read_text(encoding="utf-8") != text):
        write_atomically(folder / FILE, text)
    return folder

"""What came of one candidate: its record, which the journal keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from autocomp.budget import Fidelity
from autocomp.measurement import Measurement, MeasurementJson
from autocomp.plan import CompressionPlan, PlanJson
from autocomp.space import Point

Status = Literal["complete", "failed"]


class RecordJson(TypedDict):
    """A trial record as plain data: what `TrialRecord.to_json` writes and a worker sends."""

    id: str
    status: Status
    artifact: str | None
    seconds: float
    seed: int
    source: str
    error: str | None
    point: Point
    plan: PlanJson
    fidelity: dict[str, int]
    measurements: dict[str, MeasurementJson]


@dataclass(frozen=True)
class TrialRecord:
    """One evaluated candidate.

    Attributes:
        id: `t0007-3`: the trial's number, and the member of its sweep.
        plan: the candidate.
        point: the same as values of the flat search space (nearest grid values), for the searcher.
        fidelity: how seriously it was taken.
        status: `complete`, or `failed` with `error`.
        measurements: by measure name.
        artifact: key of the stage that holds its files.
        seconds: time its job held resources, shared equally among the records of one job.
    """

    id: str
    plan: CompressionPlan
    point: Point
    fidelity: Fidelity
    status: Status = "complete"
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    artifact: str | None = None
    seconds: float = 0.0
    seed: int = 0
    source: str = ""
    error: str | None = None

    def to_json(self) -> RecordJson:
        """Plain data; inverse of `from_json`."""
        return {
            "id": self.id,
            "status": self.status,
            "artifact": self.artifact,
            "seconds": self.seconds,
            "seed": self.seed,
            "source": self.source,
            "error": self.error,
            "point": dict(self.point),
            "plan": self.plan.to_json(),
            "fidelity": self.fidelity.to_json(),
            "measurements": {k: m.to_json() for k, m in self.measurements.items()},
        }

    @classmethod
    def from_json(cls, data: RecordJson) -> TrialRecord:
        """Inverse of `to_json`."""
        plain: Any = {
            **data,
            "plan": CompressionPlan.from_json(data["plan"]),
            "fidelity": Fidelity(**data["fidelity"]),
            "measurements": {k: Measurement.from_json(m) for k, m in data["measurements"].items()},
        }
        return cls(**plain)

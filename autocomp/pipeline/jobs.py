"""What a worker does: take a job as plain data, return records as plain data. No journal, no Optuna here."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocomp import strict_json
from autocomp.budget import Fidelity
from autocomp.errors import TrialError, raise_if_environment
from autocomp.executors import Data, FollowUp, Work
from autocomp.pipeline.context import StudyContext, open_context
from autocomp.pipeline.evaluate import HERE, PREDICTED, THEN_MEASURE, measured_by, predict_artifact, teacher_clock
from autocomp.pipeline.job_io import scoring_needs, trial_made, trial_needs
from autocomp.plan import CompressionPlan
from autocomp.record import RecordJson, TrialRecord
from autocomp.space import Knob, SearchSpace
from autocomp.storage import write_atomically

if TYPE_CHECKING:
    from autocomp.models.student import Student

POST_TRAINING, RECOVERY = "post_training", "recovery"


@dataclass(frozen=True)
class Job:
    """One student to make, sweep and measure.

    Attributes:
        id: `t0007`.
        plan: structural and cheap steps as proposed.
        rungs: fidelities to pass through, none for post-training.
        sweep: how many further plans of the sweep are measured.
        train_until, until: seconds since 1970 at which training, and the whole job, has to be finished.
        source: who proposed it: `start`, `tpe`, `promotion` …
        gpu_share: that it holds, for training and predictions.
        measured: where what depends on the device is measured: by this job, at the device afterwards, or not at all but
            predicted from what is recorded of the device.
        parent: stage of the student that it goes on from, if that is known.
        recovered: facts of its recovered student, where that was made before, on a GPU.
    """

    id: str
    run: str
    plan: CompressionPlan
    rungs: tuple[Fidelity, ...]
    knobs: Mapping[str, tuple[Any, ...]]
    techniques: tuple[str, ...]
    measures: tuple[str, ...]
    sweep: int = 8
    train_until: float = math.inf
    until: float = math.inf
    source: str = ""
    threads: int = 1
    gpu_share: float = 0.0
    measured: str = HERE
    parent: str | None = None
    recovered: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """`recovery`, or `post_training` when nothing is trained."""
        return RECOVERY if self.rungs else POST_TRAINING

    @property
    def fidelity(self) -> Fidelity:
        """How seriously its trial is taken."""
        return self.rungs[-1] if self.rungs else Fidelity(rung=-1, steps=0)

    @property
    def space(self) -> SearchSpace:
        """The space it is a point of."""
        return SearchSpace({k: Knob(tuple(v)) for k, v in self.knobs.items()}, self.techniques)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "plan": self.plan.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Inverse of `to_json`."""
        rungs = tuple(Fidelity(**r) for r in data["rungs"])
        knobs = {k: tuple(v) for k, v in data["knobs"].items()}
        lists = {k: tuple(data[k]) for k in ("techniques", "measures")}
        known = {f.name for f in fields(cls)}
        data = {k: v for k, v in data.items() if k in known}  # an executor's own words stay with it
        return cls(**{**data, **lists, "plan": CompressionPlan.from_json(data["plan"]), "rungs": rungs, "knobs": knobs})


@dataclass
class JobResult:
    """Records of one job and what it cost.

    Attributes:
        seconds: of workers.
        charged_s: of these, in a part that was charged when it ended.
        at_gpu_s: of the others, with its share of a GPU.
    """

    job: str
    records: list[RecordJson] = field(default_factory=list)
    seconds: float = 0.0
    charged_s: float = 0.0
    at_gpu_s: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def run_job(data: Mapping[str, Any]) -> dict[str, Any]:
    """Do a job; a trial that fails becomes a record with its reason.

    Raises:
        OSError: the machine failed, not the trial.
    """
    from autocomp.pipeline.fake_quantize import forget

    result = _result(Job.from_json(data), _records)
    forget()
    return result


def train_job(data: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a job that needs a GPU: its student is recovered, and nothing recorded unless that fails."""
    return _result(Job.from_json(data), _recovered)


def _result(job: Job, records: Callable[[Job, JobResult], Iterator[TrialRecord]]) -> dict[str, Any]:
    result, started = JobResult(job.id), time.time()
    try:
        for record in records(job, result):
            result.records.append(record.to_json())
    except Exception as error:  # a failing trial is a record, never the end of a study
        raise_if_environment(error)
        result.error = _reason(error)
        result.records.append(_failed(job, len(result.records), job.plan, error).to_json())
    result.seconds = time.time() - started
    result.at_gpu_s = result.seconds if job.gpu_share else 0.0
    return asdict(result) | {"records": _sharing_out(result.seconds, result.records)}


def _sharing_out(seconds: float, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records of a job, each with its part of the seconds that the job took."""
    return [{**record, "seconds": round(seconds / len(records), 3)} for record in records]


def _failed(job: Job, index: int, plan: CompressionPlan, error: Exception) -> TrialRecord:
    point, reason = _point(job, plan), _reason(error)
    return TrialRecord(f"{job.id}-{index}", plan, point, job.fidelity, "failed", source=job.source, error=reason)


def _reason(error: Exception) -> str:
    if isinstance(error, TrialError):
        return f"{type(error).__name__}: {error}"
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"


def _recovered(job: Job, result: JobResult) -> Iterator[TrialRecord]:
    """Facts of the student, on a GPU if the job holds a share of one; no record yet."""
    from autocomp.pipeline.students import recovered_stage
    from autocomp.training.accelerator import computing_on

    _use_threads(job.threads)
    context, tell = open_context(Path(job.run)), teller(Path(job.run), job.id)
    with computing_on(job.gpu_share):
        stage, settled = recovered_stage(
            context, job.plan, job.rungs, deadline=job.train_until, progress=lambda f: tell("recovery", 0.7 * f)
        )
    result.facts = {"student": stage.key, "was_cached": stage.was_cached, "plan": settled.to_json(), **stage.facts}
    yield from ()


def _records(job: Job, result: JobResult) -> Iterator[TrialRecord]:
    """The student of a job, its sweep, and each plan's file measured."""
    from autocomp.models.student import load_student
    from autocomp.pipeline.sweep import sweep

    if job.recovered is None:
        yield from _recovered(job, result)
    else:
        result.facts = dict(job.recovered)
    _use_threads(job.threads)
    run, key = Path(job.run), result.facts["student"]
    context, tell = open_context(run), teller(run, job.id)
    student, settled = (
        load_student(context.store.folder(key) / "student"),
        CompressionPlan.from_json(result.facts["plan"]),
    )
    tell("sweep", 0.7)
    plans = sweep(context, student, settled, job.space, job.sweep, job.until)
    for i, plan in enumerate(plans):
        if i and time.time() > job.until:
            return
        tell("measuring", 0.75 + 0.25 * i / len(plans))
        try:
            yield _measured(job, context, student, key, plan, f"{job.id}-{i}")
        except Exception as error:  # the student's other plans may be good
            raise_if_environment(error)
            yield _failed(job, i, plan, error)


def _measured(
    job: Job, context: StudyContext, student: Student, key: str, plan: CompressionPlan, name: str
) -> TrialRecord:
    from autocomp.pipeline.evaluate import measure_artifact
    from autocomp.pipeline.export import artifact_stage

    artifact = artifact_stage(context, student, key, plan)
    clock = teacher_clock(Path(job.run)) if job.measured == HERE else None
    names = measured_by(job.measures, job.measured)
    folder = artifact.folder / "artifact"
    found = measure_artifact(context, folder, clock, names)
    found |= predict_artifact(context, folder) if job.measured == PREDICTED else {}
    point = _point(job, plan)
    return TrialRecord(
        name, plan, point, job.fidelity, measurements=found, artifact=artifact.key, source=job.source, seed=context.seed
    )


def _point(job: Job, plan: CompressionPlan) -> dict[str, Any]:
    from autocomp.pipeline.plans import point_of

    return point_of(plan, job.space)


def _use_threads(threads: int) -> None:
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def progress_file(run: Path, job: str) -> Path:
    """Where a job tells how far it is; one small file, replaced atomically."""
    return run / "work" / f"{job}.json"


def teller(run: Path, job: str) -> Callable[[str, float], None]:
    """A function that writes what a job does and the fraction done to its progress file."""
    file = progress_file(run, job)
    file.parent.mkdir(parents=True, exist_ok=True)

    def tell(text: str, fraction: float) -> None:
        told = {"job": job, "text": text, "fraction": round(fraction, 3), "at": time.time()}
        write_atomically(file, strict_json.dumps(told))

    return tell


def scoring_job(job: Data, result: Data) -> Data | None:
    """What is left to do on cores after a recovery; nothing if that failed."""
    return None if result["error"] else {**job, "gpu_share": 0.0, "recovered": result["facts"]}


def with_scores(trained: Data, scored: Data | str) -> dict[str, Any] | None:
    """The result of a recovery and of all that came after it; none if the latter died."""
    if isinstance(scored, str):
        return None
    seconds, charged_s = trained["seconds"] + scored["seconds"], trained["seconds"] + scored["charged_s"]
    records = _sharing_out(seconds, scored["records"])
    return {**scored, "seconds": seconds, "charged_s": charged_s, "at_gpu_s": 0.0, "records": records}


TRIALS = Work(f"{__name__}:TRIALS", run_job, trial_needs, trial_made, THEN_MEASURE)
SCORED = Work(f"{__name__}:SCORED", run_job, scoring_needs, trial_made, THEN_MEASURE)
GPU_TRIALS = Work(
    f"{__name__}:GPU_TRIALS", train_job, trial_needs, trial_made, FollowUp(SCORED, scoring_job, with_scores)
)
"""Trials that give their share of a GPU back before their files are made and scored."""

"""What a worker does: take a job as plain data, return records as plain data. No journal, no Optuna here."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocomp import strict_json
from autocomp.budget import Cost, Fidelity, held
from autocomp.errors import TrialError, raise_if_environment
from autocomp.executors import Data, FollowUp, Work
from autocomp.pipeline.context import StudyContext, open_context
from autocomp.pipeline.evaluate import HERE, PREDICTED, THEN_MEASURE, measured_by, predict_artifact, teacher_clock
from autocomp.pipeline.job_io import scoring_needs, trial_made, trial_needs
from autocomp.plan import CompressionPlan
from autocomp.record import TrialRecord
from autocomp.space import Knob, SearchSpace
from autocomp.storage import write_atomically
from autocomp.strict_json import Json, JsonView

if TYPE_CHECKING:
    from autocomp.models.student import Student

POST_TRAINING, RECOVERY = "post_training", "recovery"


@dataclass(frozen=True)
class RecoveredStudent:
    """A student after its recovery.

    Attributes:
        student: key of its stage.
        plan: its plan with the structural part settled.
        was_cached: whether the stage was there before.
        steps: recovery steps of all its rungs.
        trained, train_s: steps of the last rung that were made, as its fidelity counts them, and their seconds.
        loss: of the last steps; None without any.
        more: what else its stage says.
    """

    student: str
    plan: CompressionPlan
    was_cached: bool = False
    steps: int = 0
    trained: int = 0
    train_s: float = 0.0
    loss: float | None = None
    more: JsonView = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain data; inverse of `from_json`."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "more"}
        return {**plain, "plan": self.plan.to_json(), **self.more}

    @classmethod
    def from_json(cls, data: JsonView) -> RecoveredStudent:
        """Inverse of `to_json`."""
        known = {f.name for f in fields(cls)} - {"more"}
        plain = {k: v for k, v in data.items() if k in known}
        more = {k: v for k, v in data.items() if k not in known}
        return cls(**{**plain, "plan": CompressionPlan.from_json(data["plan"]), "more": more})


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
        recovered: its student, where that was recovered before, on a GPU.
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
    recovered: RecoveredStudent | None = None

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
        from autocomp.pipeline.plans import conditions_of

        knobs = {k: Knob(tuple(v)) for k, v in self.knobs.items()}
        return SearchSpace(knobs, self.techniques, conditions_of(knobs))

    def to_json(self) -> Json:
        """Plain data; inverse of `from_json`."""
        recovered = self.recovered and self.recovered.to_json()
        return {**asdict(self), "plan": self.plan.to_json(), "recovered": recovered}

    @classmethod
    def from_json(cls, data: JsonView) -> Job:
        """Inverse of `to_json`."""
        rungs = tuple(Fidelity(**r) for r in data["rungs"])
        knobs = {k: tuple(v) for k, v in data["knobs"].items()}
        lists = {k: tuple(data[k]) for k in ("techniques", "measures")}
        known = {f.name for f in fields(cls)}
        typed = {"plan": CompressionPlan.from_json(data["plan"]), "rungs": rungs, "knobs": knobs}
        typed["recovered"] = RecoveredStudent.from_json(data["recovered"]) if data.get("recovered") else None
        plain = {k: v for k, v in data.items() if k in known}  # what an executor adds stays with it
        return cls(**{**plain, **lists, **typed})


@dataclass(frozen=True)
class JobResult:
    """What a job brought, and what it cost.

    Attributes:
        job: its id.
        records: of its plans, in the order in which they were measured; failed ones too.
        recovered: its student; None where the job failed before it had one.
        seconds: for which workers worked on it, all parts together.
        charged_s: of these, in parts that were charged when they ended.
        at_gpu_s: of the others, with its share of a GPU.
        error: why it ended early.
    """

    job: str
    records: tuple[TrialRecord, ...] = ()
    recovered: RecoveredStudent | None = None
    seconds: float = 0.0
    charged_s: float = 0.0
    at_gpu_s: float = 0.0
    error: str | None = None

    @classmethod
    def of_dead_worker(cls, job: Job, reason: str) -> JobResult:
        """The result of a job whose worker brought none: one failed record that says why."""
        record = TrialRecord(f"{job.id}-0", job.plan, {}, job.fidelity, "failed", source=job.source, error=reason)
        return cls(job.id, (record,), error=reason)

    def cost(self, job: Job) -> Cost:
        """Cores and share of a GPU held by what is not charged yet."""
        return held(self.seconds - self.charged_s, job.threads) + held(self.at_gpu_s, 0, job.gpu_share)

    def to_json(self) -> Json:
        """Plain data as it comes from a worker; inverse of `from_json`."""
        facts = self.recovered.to_json() if self.recovered else {}
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "recovered"}
        return {**plain, "records": [r.to_json() for r in self.records], "facts": facts}

    @classmethod
    def from_json(cls, data: JsonView) -> JobResult:
        """Inverse of `to_json`."""
        plain = {k: v for k, v in data.items() if k != "facts"}
        recovered = RecoveredStudent.from_json(data["facts"]) if data["facts"] else None
        records = tuple(TrialRecord.from_json(r) for r in data["records"])
        return cls(**{**plain, "records": records, "recovered": recovered})


def run_job(data: JsonView) -> Json:
    """Do a job; a trial that fails becomes a record with its reason.

    Raises:
        OSError: the machine failed, not the trial.
    """
    from autocomp.pipeline.fake_quantize import forget

    result = _result(Job.from_json(data), _measure_plans)
    forget()
    return result


def train_job(data: JsonView) -> Json:
    """The part of a job that needs a GPU: its student is recovered, and nothing recorded unless that fails."""
    return _result(Job.from_json(data), _recover)


def _result(job: Job, work: Callable[[Job, _Attempt], None]) -> Json:
    attempt, started, reason = _Attempt(), time.time(), None
    try:
        work(job, attempt)
    except Exception as error:  # a failing trial is a record, never the end of a study
        raise_if_environment(error)
        reason = _reason(error)
        attempt.records.append(_failed(job, len(attempt.records), job.plan, error))
    seconds = time.time() - started
    at_gpu_s = seconds if job.gpu_share else 0.0
    records = _sharing_out(seconds, attempt.records)
    return JobResult(job.id, records, attempt.recovered, seconds, 0.0, at_gpu_s, reason).to_json()


@dataclass
class _Attempt:
    """What a job has brought so far, which stays if the rest of it fails."""

    records: list[TrialRecord] = field(default_factory=list)
    recovered: RecoveredStudent | None = None


def _sharing_out(seconds: float, records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The records of a job, each with its part of the seconds that the job took."""
    return tuple(replace(record, seconds=round(seconds / len(records), 3)) for record in records)


def _failed(job: Job, index: int, plan: CompressionPlan, error: Exception) -> TrialRecord:
    point, reason = _point(job, plan), _reason(error)
    return TrialRecord(f"{job.id}-{index}", plan, point, job.fidelity, "failed", source=job.source, error=reason)


def _reason(error: Exception) -> str:
    if isinstance(error, TrialError):
        return f"{type(error).__name__}: {error}"
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"


def _recover(job: Job, attempt: _Attempt) -> None:
    """Recover a job's student, on a GPU if the job holds a share of one."""
    from autocomp.pipeline.students import recovered_stage
    from autocomp.training.accelerator import computing_on

    _use_threads(job.threads)
    context, tell = open_context(Path(job.run)), teller(Path(job.run), job.id)
    with computing_on(job.gpu_share):
        stage, settled = recovered_stage(
            context, job.plan, job.rungs, deadline=job.train_until, progress=lambda f: tell("recovery", 0.7 * f)
        )
    facts = {"student": stage.key, "was_cached": stage.was_cached, "plan": settled.to_json(), **stage.facts}
    attempt.recovered = RecoveredStudent.from_json(facts)


def _measure_plans(job: Job, attempt: _Attempt) -> None:
    """Recover the student of a job unless that is done, sweep it, and measure the file of each of its plans."""
    from autocomp.models.student import load_student
    from autocomp.pipeline.sweep import sweep

    attempt.recovered = job.recovered
    if job.recovered is None:
        _recover(job, attempt)
    assert attempt.recovered is not None  # a recovery leaves a student or raises
    _use_threads(job.threads)
    key, tell = attempt.recovered.student, teller(Path(job.run), job.id)
    context = open_context(Path(job.run))
    student = load_student(context.store.folder(key) / "student")
    tell("sweep", 0.7)
    plans = sweep(context, student, attempt.recovered.plan, job.space, job.sweep, job.until)
    for i, plan in enumerate(plans):
        if i and time.time() > job.until:
            return
        tell("measuring", 0.75 + 0.25 * i / len(plans))
        try:
            record = _measured(job, context, student, key, plan, f"{job.id}-{i}")
        except Exception as error:  # the student's other plans may be good
            raise_if_environment(error)
            record = _failed(job, i, plan, error)
        attempt.records.append(record)


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


def _point(job: Job, plan: CompressionPlan) -> Json:
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


def with_scores(trained: Data, scored: Data | str) -> Json | None:
    """The result of a recovery and of all that came after it; none if the latter died."""
    if isinstance(scored, str):
        return None
    first, second = JobResult.from_json(trained), JobResult.from_json(scored)
    seconds, charged_s = first.seconds + second.seconds, first.seconds + second.charged_s
    records = _sharing_out(seconds, second.records)
    return replace(second, records=records, seconds=seconds, charged_s=charged_s, at_gpu_s=0.0).to_json()


TRIALS = Work(f"{__name__}:TRIALS", run_job, trial_needs, trial_made, THEN_MEASURE)
SCORED = Work(f"{__name__}:SCORED", run_job, scoring_needs, trial_made, THEN_MEASURE)
GPU_TRIALS = Work(
    f"{__name__}:GPU_TRIALS", train_job, trial_needs, trial_made, FollowUp(SCORED, scoring_job, with_scores)
)
"""Trials that give their share of a GPU back before their files are made and scored."""

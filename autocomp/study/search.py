"""The search of a study: submit, collect, journal, charge, learn; until the budget's reserve is reached."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autocomp.budget import LOST, Fidelity, held
from autocomp.errors import EnvironmentFailure
from autocomp.journal.events import (
    CandidatesChanged,
    FidelitiesChosen,
    JobProgressed,
    JobRetried,
    JobStarted,
    NodeChanged,
    ResourcesCharged,
    TrialRecorded,
)
from autocomp.pipeline.evaluate import place
from autocomp.pipeline.jobs import Job, JobResult, progress_file
from autocomp.pipeline.plans import describe
from autocomp.plan import CompressionPlan
from autocomp.record import TrialRecord
from autocomp.searchers import Searcher
from autocomp.study.archive import ParetoArchive
from autocomp.study.losses import LossScale, member
from autocomp.study.plan_preview import prepared, student_facts
from autocomp.study.proposals import Proposals, identity
from autocomp.study.schedule import Schedule, reserve_s, time_model
from autocomp.study.time_model import TimeModel, auto_ladder, given_ladder

if TYPE_CHECKING:
    from pathlib import Path

    from autocomp.architectures import EncoderShape
    from autocomp.executors import Ended, Executor, Lost, Part
    from autocomp.journal import Journal
    from autocomp.journal.events import Member
    from autocomp.journal.file import Listener
    from autocomp.space import SearchSpace
    from autocomp.study.preparation import OpenRun, Prepared

POLL_S = 0.5
SWEEP = 8
"""Further plans of each student that are measured."""
SHOWN_AGAIN = 0.02
"""The present front is journaled again when this part more records have come."""
TRIALS = 18
TRIAL_S = 120.0
"""Where a budget limits no time, rungs are chosen for so many trials, of so many seconds each."""


@dataclass
class Search:
    """Keeps the executor busy with what the proposals choose, and takes in what it brings.

    Attributes:
        run: the run directory.
        journal: to which everything is written first.
        teacher: its shape, beside which plans are described.
        proposals: say what to do next.
        schedule: says what fits, and holds the budget.
        scale: says what is better.
        executor: does the jobs.
        members: how many the present front is shown by.
        listen: is told of jobs that are under way.
    """

    run: Path
    journal: Journal
    teacher: EncoderShape
    proposals: Proposals
    schedule: Schedule
    scale: LossScale
    executor: Executor
    members: int
    listen: Listener | None = None

    def __post_init__(self) -> None:
        self.archive = ParetoArchive(self.scale)
        self._records: dict[str, list[TrialRecord]] = {}
        self._expected_s: dict[str, float] = {}
        self._journaled = (0, 0)
        self._listened_at = -math.inf

    @classmethod
    def of(cls, run: OpenRun, prepared: Prepared, executor: Executor) -> Search:
        """The search of a study whose preparation is done, its known good points queued."""
        checked, context = run.checked, prepared.context
        values = tuple(o.value(prepared.landmarks["teacher"]) for o in checked.objectives)
        scale = LossScale(checked.objectives, values)
        times = time_model(context, executor.workers, prepared.sharing)
        reserve = reserve_s(context, run.budget.clock_left(), checked.spec.members)
        template = job_template(run.folder, checked.space, checked.measure_names, executor, place_of(run))
        searcher = Searcher(checked.space, len(checked.objectives), checked.spec.searcher, checked.spec.seed, identity)
        rungs = fidelities(run, times, run.budget.seconds_left(reserve), executor)
        proposals = Proposals(template, checked.space, searcher, rungs, scale.reference, context.store)
        proposals.start_with(checked.space_spec.start)
        schedule = Schedule(run.folder, run.budget, times, reserve)
        shape = context.teacher.encoder.shape
        members = checked.spec.members
        return cls(run.folder, run.journal, shape, proposals, schedule, scale, executor, members, run.listen)

    def replay(self) -> None:
        """Put the search where the journal says it was; jobs that were started and not finished come first.

        Jobs are learnt from one by one, in the order in which they ended.
        """
        begun: list[JobStarted] = []
        unfinished: dict[str, Job] = {}
        for event in self.journal.events():
            if isinstance(event, JobStarted):
                begun.append(event)
                unfinished[event.job] = self.proposals.begun_before(event)
            elif isinstance(event, TrialRecorded):
                self._keep(event.trial)
            elif isinstance(event, ResourcesCharged) and event.job in unfinished and event.charge.what != LOST:
                self._learn(unfinished.pop(event.job))
        if begun:
            self.proposals.resume_with(begun, list(unfinished.values()))

    def go(self) -> str:
        """Run until nothing more fits; the reason why it ended.

        Raises:
            EnvironmentFailure: the machine failed; the jobs that it kept from their end stay unfinished.
        """
        while True:
            reason = self._fill()
            if not self.executor.running:
                return reason or ("space exhausted" if self.proposals.exhausted else "budget spent")
            stops = [failure for ended in self.executor.collect(POLL_S) if (failure := self._take(ended))]
            for part in self.executor.parts():
                self._charge_part(part)
            for attempt in self.executor.lost():
                self._charge_lost(attempt)
            for node in self.executor.news():
                self.journal.append(NodeChanged(**vars(node)))
            if stops:
                raise EnvironmentFailure(stops[0])
            self._tell_progress()

    def _fill(self) -> str | None:
        """Start jobs while workers are free; the reason if no more will come."""
        while self.executor.free > 0:
            if self.schedule.budget.trials_left() <= len(self.executor.running):
                return "all trials done"
            job = self.proposals.next(self.schedule)
            if job is None:
                return None
            self._submit(job)
        return None

    def _submit(self, job: Job) -> None:
        """Journal that a job starts, then start it."""
        ready, expected_s = self.schedule.with_deadlines(job)
        self._expected_s[job.id] = expected_s
        self.journal.append(
            JobStarted(
                job=job.id,
                kind=job.kind,
                plan=job.plan.to_json(),
                describe=describe(prepared(self.run, job.plan)[1], self.teacher),
                fidelity=job.fidelity,
                rungs=job.rungs,
                source=job.source,
                expected_s=round(expected_s, 1),
                student=student_facts(self.run, job.plan),
            )
        )
        self.schedule.budget.began(job.id, job.threads, job.gpu_share)
        self.executor.submit(ready.to_json(), expected_s)

    def _take(self, ended: Ended) -> str | None:
        """Absorb a job that ended, or say why the study must stop."""
        data, result, failure = ended
        if failure and failure.is_environment:
            return f"{data['id']} could not be done, nor could any other: {failure}"
        job = Job.from_json(data)
        dead = JobResult.of_dead_worker(job, str(failure or "unknown"))
        self.absorb(job, JobResult.from_json(result) if result else dead)
        return None

    def absorb(self, job: Job, result: JobResult) -> None:
        """Journal what a job brought, charge it, and let searcher, promotions and schedule learn from it."""
        known = {r.id for r in self._records.get(job.id, ())}
        new = [record for record in result.records if record.id not in known]
        self.journal.extend([TrialRecorded(record=record.to_json()) for record in new])
        for record in new:
            self._keep(record)
        self.schedule.budget.charge_job(job.id, job.kind, result.cost(job))
        self.schedule.learn(job, result)
        progress_file(self.run, job.id).unlink(missing_ok=True)
        self._learn(job)
        self._journal_candidates()

    def _keep(self, record: TrialRecord) -> None:
        """Take a record in that stands in the journal; its job may not be finished yet."""
        self._records.setdefault(record.id.rpartition("-")[0], []).append(record)
        self.archive.add(record)

    def _learn(self, job: Job) -> None:
        """Hand the records of a finished job to the proposals."""
        self.proposals.learn(job, self._records.pop(job.id, []), self.scale)

    def _charge_part(self, part: Part) -> None:
        """Charge a part of a job that goes on elsewhere."""
        job, result = Job.from_json(part[0]), JobResult.from_json(part[1])
        self.schedule.budget.charge_part(job.id, job.kind, result.cost(job))

    def _charge_lost(self, attempt: Lost) -> None:
        """Charge an attempt that brought nothing; the journal says so when its job was started again."""
        job, seconds = attempt.job["id"], attempt.held_s
        self.schedule.budget.charge_attempt(job, held(seconds, self.executor.threads, attempt.gpu_share))
        if attempt.again:
            number, node, error = attempt.attempt, attempt.node, attempt.error
            self.journal.append(JobRetried(job=job, attempt=number, node=node, error=error, lost_s=round(seconds, 3)))

    def _journal_candidates(self) -> None:
        """Journal the present front if it is another one; among thousands of records only now and then."""
        changes, seen = self._journaled
        if self.archive.changes > changes and self.archive.seen >= (1 + SHOWN_AGAIN) * seen:
            self._journaled = self.archive.changes, self.archive.seen
            self.journal.append(CandidatesChanged(members=self.candidates()))

    def candidates(self) -> list[Member]:
        """The present front on the search split, as members.

        Their plans stand in the records: a journal of thousands of jobs must not repeat them.
        """
        front = self.scale.spread(self.archive.front(), self.members)
        members = [member(record, describe(record.plan, self.teacher)) for record in front]
        for one in members:
            del one["plan"]
        return members

    def _tell_progress(self) -> None:
        """Tell the listener; now and then only, as many workers end jobs all the time and each has a file to read."""
        if self.listen and time.monotonic() - self._listened_at >= POLL_S:
            self._listened_at = time.monotonic()
            for event in self._progress():
                self.listen(event)

    def _progress(self) -> Iterator[JobProgressed]:
        for job in self.executor.running:
            try:
                written = json.loads(progress_file(self.run, job["id"]).read_text())
            except (OSError, ValueError):
                continue
            left = self._expected_s.get(job["id"], 0.0) * (1 - written["fraction"])
            yield JobProgressed(**{"at": time.time(), **written, "left_s": round(left, 1)})


def place_of(run: OpenRun) -> str:
    """Where the jobs of a study measure what depends on the device."""
    return place(run.checked.device, run.workers)


def job_template(run: Path, space: SearchSpace, measures: Sequence[str], executor: Executor, measured: str) -> Job:
    """What all jobs of a study have in common; number, plan, rungs and source are each job's own."""
    return Job(
        id="",
        run=str(run),
        plan=CompressionPlan(()),
        rungs=(),
        knobs={name: knob.values for name, knob in space.knobs.items()},
        techniques=space.techniques,
        measures=tuple(measures),
        sweep=SWEEP,
        threads=executor.threads,
        gpu_share=executor.gpu_share,
        measured=measured,
    )


def fidelities(run: OpenRun, times: TimeModel, seconds: float, executor: Executor) -> tuple[Fidelity, ...]:
    """The rungs of a study: those of its journal if it has begun, else those of its spec, else what fits the budget."""
    begun = list(run.journal.events(FidelitiesChosen))
    if begun:
        return begun[-1].rungs
    if run.spec.recovery_steps:
        rungs = given_ladder(run.spec.recovery_steps)
    else:
        trials = run.checked.budget.trials or TRIALS
        rungs = auto_ladder(times, trials * TRIAL_S if math.isinf(seconds) else seconds, max(1, executor.workers))
    run.journal.append(FidelitiesChosen(rungs=rungs))
    return rungs

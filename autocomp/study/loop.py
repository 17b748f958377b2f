"""The study's loop: ask, submit, collect, journal, tell, promote; until the budget's reserve is reached."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocomp.budget import Fidelity, held
from autocomp.errors import EnvironmentFailure
from autocomp.journal import Journal
from autocomp.journal.events import CandidatesChanged, JobProgressed, JobRetried, JobStarted, NodeChanged, TrialRecorded
from autocomp.journal.file import Listener
from autocomp.pipeline.context import StudyContext
from autocomp.pipeline.evaluate import HERE
from autocomp.pipeline.jobs import Job, progress_file
from autocomp.pipeline.plans import describe, plan_of, structural
from autocomp.plan import CompressionPlan
from autocomp.record import TrialRecord
from autocomp.searchers import Searcher
from autocomp.space import Point, SearchSpace
from autocomp.study.archive import ParetoArchive
from autocomp.study.asha import Finished, Promotions
from autocomp.study.budget_tracker import BudgetTracker
from autocomp.study.losses import LossScale, member
from autocomp.study.plan_preview import prepared, student_facts
from autocomp.study.time_model import TimeModel, block_weights
from autocomp.techniques import Stage, techniques

if TYPE_CHECKING:
    from autocomp.executors import Data, Executor, Failure, Lost

POLL_S = 0.5
SWEEP = 8
LEAST_TRAINING_S = 15.0
SQUEEZE = 0.4
"""A recovery is started if at least this part of the time it wants is left; its schedule is then compressed."""

SHOWN_AGAIN = 0.02
"""The present front is journaled again when this part more records have come."""


@dataclass
class Loop:
    """Everything the loop works with; what is better, deeper or next is decided by judge, rungs and searcher."""

    run: Path
    context: StudyContext
    space: SearchSpace
    journal: Journal
    purse: BudgetTracker
    searcher: Searcher
    judge: LossScale
    clock: TimeModel
    rungs: tuple[Fidelity, ...]
    measures: tuple[str, ...]
    executor: Executor
    reserve_s: float
    members: int
    listen: Listener | None = None
    measured: str = HERE
    queue: list[Job] = field(default_factory=list)
    unfinished: dict[str, list[TrialRecord]] = field(default_factory=dict)
    students: dict[str, CompressionPlan] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    jobs: int = 0
    exhausted: bool = False
    _start: list[Job] = field(default_factory=list)
    _shown: tuple[int, int] = (0, 0)
    _told_at: float = -math.inf

    def __post_init__(self) -> None:
        self.found = ParetoArchive(self.judge)
        self.promotions = Promotions(len(self.rungs) - 1, self.judge.reference)

    def go(self) -> str:
        """Run until nothing more fits; the reason why it ended.

        Raises:
            EnvironmentFailure: the machine failed; the jobs that it kept from their end stay unfinished.
        """
        while True:
            reason = self._fill()
            if not self.executor.running:
                return reason or ("space exhausted" if self.exhausted else "budget spent")
            stops = [failure for ended in self.executor.collect(POLL_S) if (failure := self._take(*ended))]
            for part in self.executor.parts():
                self._book_part(*part)
            for attempt in self.executor.lost():
                self._book_lost(attempt)
            for node in self.executor.news():
                self.journal.append(NodeChanged(**vars(node)))
            if stops:
                raise EnvironmentFailure(stops[0])
            self._show_progress()

    def _take(self, data: Data, result: Data | None, failure: Failure | None) -> str | None:
        """Absorb a job that ended, or say why the study must stop."""
        if failure and failure.is_environment:
            return f"{data['id']} could not be done, nor could any other: {failure}"
        self.absorb(Job.from_json(data), result, failure)
        return None

    def _fill(self) -> str | None:
        """Start jobs while workers are free; the reason if no more will come."""
        while self.executor.free > 0:
            if self.purse.trials_left() <= len(self.executor.running):
                return "all trials done"
            job = self._next()
            if job is None:
                return None
            self._submit(job)
        return None

    @property
    def first_rung(self) -> tuple[Fidelity, ...]:
        """What a new student passes; nothing in a space without recovery."""
        recovers = any(techniques[name].stage is Stage.RECOVERY for name in self.space.techniques)
        return self.rungs[:1] if recovers else ()

    def _time_left(self) -> tuple[float, float]:
        """Seconds for training and for all else until the budget's reserve is reached; infinite without a limit."""
        clock_s = max(0.0, self.purse.clock_left() - self.reserve_s)
        return min(clock_s, self.purse.gpu_left()), clock_s

    def _next(self) -> Job | None:
        """The next job that fits: queued ones, then promotions, then proposals."""
        while self.queue:
            job = self.queue.pop(0)
            for smaller in (job, replace(job, sweep=0)):
                if self._fits(smaller):
                    return smaller
        owed = self.promotions.next()
        if owed:
            job = self._job(self.students[owed[0]], self.rungs[: owed[1] + 1], "promotion")
            if self._fits(job):
                self.promotions.taken(*owed)
                return job
        return self._proposed()

    def _proposed(self) -> Job | None:
        if self._time_left()[0] < LEAST_TRAINING_S:
            return None
        point = self.searcher.ask(plan_of)
        self.exhausted = point is None
        job = None if point is None else self._job(plan_of(point), self.first_rung, self.searcher.name)
        return job if job and self._fits(job) else None

    def _fits(self, job: Job) -> bool:
        """Also if its recovery has to be squeezed."""
        training_s, all_s = self._time_left()
        wanted = self.expected_s(job)
        trains = wanted - self.expected_s(replace(job, rungs=()))
        return training_s >= _least(trains) and all_s >= (_least(wanted) if job.rungs else wanted)

    def expected_s(self, job: Job) -> float:
        """Seconds that a job should take."""
        shape, _ = prepared(self.run, job.plan)
        steps = job.rungs[-1].steps - (job.rungs[-2].steps if len(job.rungs) > 1 else 0) if job.rungs else 0
        batch = job.rungs[-1].batch if job.rungs else 32
        return self.clock.job_s(block_weights(shape), steps, batch, job.sweep + 1)

    def _job(self, plan: CompressionPlan, rungs: tuple[Fidelity, ...], source: str) -> Job:
        self.jobs += 1
        knobs = {name: knob.values for name, knob in self.space.knobs.items()}
        return Job(
            id=f"t{self.jobs:04d}",
            run=str(self.run),
            plan=plan,
            rungs=rungs,
            knobs=knobs,
            techniques=self.space.techniques,
            measures=self.measures,
            sweep=SWEEP,
            source=source,
            threads=self.executor.threads,
            gpu_share=self.executor.gpu_share,
            measured=self.measured,
            parent=self._parent(plan) if source == "promotion" else None,
        )

    def _parent(self, plan: CompressionPlan) -> str | None:
        """Stage of the student that a promoted plan goes on from."""
        artifact = self.files.get(identity(plan))
        stage = self.context.store.find(artifact) if artifact else None
        return str(self.context.store.inputs(artifact)["student"]) if artifact and stage else None

    def starting_with(self, start: Sequence[Point]) -> Loop:
        """Queue the space's known good points; those marked `post_training` are swept without recovery."""
        for entry in start:
            point = {k: v for k, v in entry.items() if k != "post_training"}
            self._enqueue(point, () if entry.get("post_training") else self.first_rung, "start")
        return self

    def forget_queue(self) -> None:
        """Queue nothing but what `continue_with` names."""
        self._start, self.queue, self.jobs = self.queue, [], 0

    def continue_with(self, unfinished: list[Job], started: set[str]) -> None:
        """Queue interrupted jobs, then starting points that never began; new ids go on after the old ones."""
        never = [job for job in self._start if job.id not in started]
        self.queue = [*unfinished, *never]
        self.jobs = max(int(name[1:]) for name in {*started, *(j.id for j in never)})

    def begun(self, started: JobStarted) -> Job:
        """The job that a journal says was started, which nobody has to propose again."""
        job = self._job(CompressionPlan.from_json(started.plan or {}), started.rungs, started.source)
        self.searcher.seen(identity(job.plan))
        if job.source == "promotion":
            self.promotions.taken(identity(job.plan), job.rungs[-1].rung)
        return replace(job, id=started.job)

    def _enqueue(self, point: Point, rungs: tuple[Fidelity, ...], source: str) -> None:
        """Put a plan before all proposals."""
        plan = plan_of(self.space.nearest(point))
        self.searcher.seen(identity(plan))
        self.queue.append(self._job(plan, rungs, source))

    def _submit(self, job: Job) -> None:
        (training_s, all_s), now = self._time_left(), time.time()
        scoring_s = self.expected_s(replace(job, rungs=()))
        train_until = now + max(5.0, min(training_s, all_s - scoring_s))
        ready = replace(job, train_until=train_until, until=now + all_s)
        expected_s = min(self.expected_s(job), all_s, training_s + scoring_s)
        self.expected[job.id] = expected_s
        words = describe(prepared(self.run, job.plan)[1], self.context.teacher.encoder.shape)
        self.journal.append(
            JobStarted(
                job=job.id,
                kind=job.kind,
                plan=job.plan.to_json(),
                describe=words,
                fidelity=job.fidelity,
                rungs=job.rungs,
                source=job.source,
                expected_s=round(expected_s, 1),
                student=student_facts(self.run, job.plan),
            )
        )
        self.purse.began(job.id, job.threads, job.gpu_share)
        self.executor.submit(ready.to_json(), expected_s)

    def _book_lost(self, attempt: Lost) -> None:
        """Charge an attempt that brought nothing; the journal says so when its job was started again."""
        job, held_s = attempt.job["id"], attempt.held_s
        self.purse.charge_attempt(job, held(held_s, self.executor.threads, attempt.gpu_share))
        if attempt.again:
            self.journal.append(
                JobRetried(
                    job=job,
                    attempt=attempt.attempt,
                    node=attempt.node,
                    error=attempt.error,
                    lost_s=round(held_s, 3),
                )
            )

    def _book_part(self, job: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Charge a part of a job that goes on elsewhere."""
        cores = held(result["seconds"], self.executor.threads)
        cost = cores + held(result.get("at_gpu_s", 0.0), 0, job.get("gpu_share", 0.0))
        self.purse.charge_part(job["id"], Job.from_json(job).kind, cost)

    def absorb(self, job: Job, result: Data | None, failure: Failure | None) -> None:
        """Journal what a job brought, charge it, and let searcher and rungs know."""
        result = result or _died(job, str(failure or "unknown"))
        known = {r.id for r in self.unfinished.get(job.id, ())}
        new = [r for r in result["records"] if r["id"] not in known]
        self.journal.extend([TrialRecorded(record=record) for record in new])
        for record in new:
            self.keep(TrialRecord.from_json(record))
        cores = held(result["seconds"] - result.get("charged_s", 0.0), job.threads)
        cost = cores + held(result.get("at_gpu_s", 0.0), 0, job.gpu_share)
        self.purse.charge_job(job.id, job.kind, cost)
        if not result["facts"].get("was_cached") and result["error"] is None:
            self._learn_time(job, result)
        progress_file(self.run, job.id).unlink(missing_ok=True)
        self.remember(job)
        self._show_candidates()

    def _learn_time(self, job: Job, result: Mapping[str, Any]) -> None:
        """Expect of later jobs what this one took."""
        weights, facts = block_weights(prepared(self.run, job.plan)[0]), result["facts"]
        steps, training_s = facts.get("trained", 0), facts.get("train_s", 0.0)
        batch = job.rungs[-1].batch if job.rungs else 0
        self.clock.learn(weights, steps, batch, training_s, len(result["records"]), result["seconds"] - training_s)

    def keep(self, record: TrialRecord) -> None:
        """Take a record in that stands in the journal; its job may not be finished yet."""
        self.unfinished.setdefault(record.id.rpartition("-")[0], []).append(record)
        self.found.add(record)

    def remember(self, job: Job) -> None:
        """Let everything learn that learns from a finished job's records; also when a run is resumed."""
        records = self.unfinished.pop(job.id, [])
        complete = [r for r in records if r.status == "complete"]
        if job.source != "promotion":
            for record in records:
                losses = self.judge.of([record])[0] if record.status == "complete" else None
                self.searcher.tell(record.point, losses)
        name = identity(job.plan)
        self.searcher.seen(name)
        if complete and job.rungs:
            self.students[name] = job.plan
            self.files[name] = complete[-1].artifact or ""
            self.promotions.add(Finished(name, job.rungs[-1].rung, self.judge.of(complete)))

    def _show_candidates(self) -> None:
        """Journal the present front if it is another one; among thousands of records only now and then."""
        changes, seen = self._shown
        if self.found.changes > changes and self.found.seen >= (1 + SHOWN_AGAIN) * seen:
            self._shown = self.found.changes, self.found.seen
            self.journal.append(CandidatesChanged(members=self.candidates()))

    def candidates(self) -> list[dict[str, Any]]:
        """The present front on the search split, as members."""
        shape = self.context.teacher.encoder.shape
        front = self.judge.spread(self.found.front(), self.members)
        # The plans stand in the records: a journal of thousands of jobs must not repeat them.
        return [{k: v for k, v in member(r, describe(r.plan, shape)).items() if k != "plan"} for r in front]

    def _show_progress(self) -> None:
        if not self.listen or time.monotonic() - self._told_at < POLL_S:
            return  # a large crew ends jobs all the time, and each of its workers has a file to be read
        self._told_at = time.monotonic()
        for event in self._progress():
            self.listen(event)

    def _progress(self) -> Iterator[JobProgressed]:
        for job in self.executor.running:
            try:
                told = json.loads(progress_file(self.run, job["id"]).read_text())
            except (OSError, ValueError):
                continue
            left = self.expected.get(job["id"], 0.0) * (1 - told["fraction"])
            yield JobProgressed(**{"at": time.time(), **told, "left_s": round(left, 1)})


def _least(seconds: float) -> float:
    """Of which a recovery that wants so many can still be made."""
    return min(seconds, max(LEAST_TRAINING_S, SQUEEZE * seconds))


def identity(plan: CompressionPlan) -> str:
    """What makes two plans one student: their structural part."""
    return structural(plan).fingerprint


def _died(job: Job, error: str) -> dict[str, Any]:
    record = TrialRecord(f"{job.id}-0", job.plan, {}, job.fidelity, "failed", source=job.source, error=error)
    return {"records": [record.to_json()], "seconds": 0.0, "facts": {}, "error": error}

"""Which job comes next: known good points and interrupted jobs, then promotions, then what the searcher proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from autocomp.pipeline.jobs import Job
from autocomp.pipeline.plans import is_trained, plan_of, structural
from autocomp.plan import CompressionPlan
from autocomp.study.asha import Finished, Promotions

if TYPE_CHECKING:
    import numpy as np

    from autocomp.budget import Fidelity
    from autocomp.journal.events import JobStarted
    from autocomp.record import TrialRecord
    from autocomp.result_cache import ResultCache
    from autocomp.searchers import Searcher
    from autocomp.space import SearchSpace
    from autocomp.study.losses import LossScale
    from autocomp.study.schedule import Schedule

PROMOTION = "promotion"
"""Source of a job that trains a student on whose shorter training went well."""


def identity(plan: CompressionPlan) -> str:
    """What makes two plans one student: all of them that acts before or during its training."""
    return structural(plan).fingerprint


@dataclass(frozen=True)
class Student:
    """A student that passed a rung: its plan, and the stage of one of its files."""

    plan: CompressionPlan
    artifact: str


@dataclass
class Proposals:
    """Chooses the jobs of a search and numbers them.

    Attributes:
        template: what all jobs of a study have in common.
        space: of the plans.
        searcher: proposes points.
        rungs: fidelities, the shortest first.
        reference: of the hypervolume, `[m]`, by which students are promoted.
        store: of the stages.
        queue: jobs that come before all others.
        count: jobs that were numbered.
        exhausted: the searcher has no other point.
    """

    template: Job
    space: SearchSpace
    searcher: Searcher
    rungs: tuple[Fidelity, ...]
    reference: np.ndarray
    store: ResultCache
    queue: list[Job] = field(default_factory=list)
    count: int = 0
    exhausted: bool = False

    def __post_init__(self) -> None:
        self.promotions = Promotions(len(self.rungs) - 1, self.reference)
        self._students: dict[str, Student] = {}

    @property
    def first_rung(self) -> tuple[Fidelity, ...]:
        """What a new student passes; nothing in a space whose students are not trained."""
        return self.rungs[:1] if is_trained(self.space.techniques) else ()

    def next(self, schedule: Schedule) -> Job | None:
        """The next job that fits the schedule; None if there is none."""
        while self.queue:
            job = self.queue.pop(0)
            for smaller in (job, replace(job, sweep=0)):
                if schedule.fits(smaller):
                    return smaller
        return self._promoted(schedule) or self._proposed(schedule)

    def _promoted(self, schedule: Schedule) -> Job | None:
        """A student that earned the next rung."""
        owed = self.promotions.next()
        if not owed:
            return None
        job = self._job(self._students[owed[0]].plan, self.rungs[: owed[1] + 1], PROMOTION)
        if not schedule.fits(job):
            return None
        self.promotions.taken(*owed)
        return job

    def _proposed(self, schedule: Schedule) -> Job | None:
        """A point of the searcher."""
        if not schedule.trains_more():
            return None
        point = self.searcher.ask(plan_of)
        self.exhausted = point is None
        job = None if point is None else self._job(plan_of(point), self.first_rung, self.searcher.name)
        return job if job and schedule.fits(job) else None

    def _job(self, plan: CompressionPlan, rungs: tuple[Fidelity, ...], source: str) -> Job:
        self.count += 1
        parent = self._parent(plan) if source == PROMOTION else None
        return replace(self.template, id=f"t{self.count:04d}", plan=plan, rungs=rungs, source=source, parent=parent)

    def _parent(self, plan: CompressionPlan) -> str | None:
        """Stage of the student that a promoted plan goes on from."""
        known = self._students.get(identity(plan))
        stage = self.store.find(known.artifact) if known and known.artifact else None
        return str(self.store.inputs(stage.key)["student"]) if stage else None

    def start_with(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Queue known good points; those marked `post_training` are swept without recovery."""
        for entry in points:
            point = {k: v for k, v in entry.items() if k != "post_training"}
            plan = plan_of(self.space.nearest(point))
            self.searcher.seen(identity(plan))
            self.queue.append(self._job(plan, () if entry.get("post_training") else self.first_rung, "start"))

    def resume_with(self, begun: Sequence[JobStarted], unfinished: Sequence[Job]) -> None:
        """Queue interrupted jobs, then starting points that never began; new numbers go on after the old ones.

        Args:
            begun: all jobs that a journal says were started.
            unfinished: those of them that have not ended, as `begun_before` gave them.
        """
        started = {event.job for event in begun}
        never = [job for job in self.queue if job.id not in started]
        self.queue = [*unfinished, *never]
        self.count = max(int(name[1:]) for name in {*started, *(job.id for job in never)})

    def begun_before(self, event: JobStarted) -> Job:
        """The job that a journal says was started, which nobody has to propose again."""
        job = self._job(CompressionPlan.from_json(event.plan or {}), event.rungs, event.source)
        self.searcher.seen(identity(job.plan))
        if job.source == PROMOTION:
            self.promotions.taken(identity(job.plan), job.rungs[-1].rung)
        return replace(job, id=event.job)

    def learn(self, job: Job, records: Sequence[TrialRecord], scale: LossScale) -> None:
        """Let searcher and promotions know what a job brought; also when a run is resumed."""
        complete = [r for r in records if r.status == "complete"]
        if job.source != PROMOTION:
            for record in records:
                losses = scale.of([record])[0] if record.status == "complete" else None
                self.searcher.tell(record.point, losses)
        name = identity(job.plan)
        self.searcher.seen(name)
        if complete and job.rungs:
            self._students[name] = Student(job.plan, complete[-1].artifact or "")
            self.promotions.add(Finished(name, job.rungs[-1].rung, scale.of(complete)))

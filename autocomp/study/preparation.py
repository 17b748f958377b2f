"""Before the first trial: the teacher made, learnt from and measured, and what trainings side by side take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.journal.events import JobProgressed, TeacherMeasured, WarningGiven
from autocomp.pipeline.baselines import BASELINE, landmark_measurements, landmark_member
from autocomp.pipeline.checkpoint_export import keep
from autocomp.pipeline.context import ContextKeys, StudyContext, data_stage, open_context, teacher_before
from autocomp.pipeline.job_io import BaselineJob, BaselineResult
from autocomp.pipeline.jobs import teller
from autocomp.pipeline.teacher import forward_s, knowledge_stage, teacher_stage
from autocomp.result_cache import CachedResult, ResultCache, default_store
from autocomp.study.concerns import concerns_of
from autocomp.study.front import copy_artifact
from autocomp.study.gpu_sharing import Sharing, settle_sharing
from autocomp.study.workers import usable_gpus

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.journal import Journal
    from autocomp.journal.events import Member
    from autocomp.journal.file import Listener
    from autocomp.measurement import Measurement
    from autocomp.spec import StudySpec
    from autocomp.study.budget_tracker import BudgetTracker
    from autocomp.study.validate import Checked

Landmarks = dict[str, dict[str, "Measurement"]]
"""Measurements of the teacher and of what can be had without a search, by name and measure."""


@dataclass(frozen=True)
class OpenRun:
    """A study that is going on: Preparation, Search and Finish take one each.

    Attributes:
        folder: the run directory.
        checked: the study with everything that it names.
        journal: to which everything is written first.
        workers: who does the jobs.
        budget: what was spent and what is left.
        listen: is told of every event, and of progress that no journal keeps.
    """

    folder: Path
    checked: Checked
    journal: Journal
    workers: WorkerPool
    budget: BudgetTracker
    listen: Listener | None = None

    @property
    def spec(self) -> StudySpec:
        """What the user asked for."""
        return self.checked.spec

    def warn(self, text: str) -> None:
        """Tell the journal, and whoever listens, what is not as it should be."""
        self.journal.append(WarningGiven(text=text))

    def progress(self, text: str) -> Callable[[float], None]:
        """A function that tells how far the teacher is.

        It tells the listener, and a file that shows for how long the study lived if it is killed.
        """
        write = teller(self.folder, "teacher")

        def tell(fraction: float) -> None:
            write(text, fraction)
            if self.listen:
                self.listen(JobProgressed(job="teacher", text=text, fraction=round(fraction, 3)))

        return tell


@dataclass(frozen=True)
class Prepared:
    """What a search starts from.

    Attributes:
        context: data, teacher and what was learnt of it, as stages.
        landmarks: how good the teacher and its plain int8 export are.
        sharing: how trainings share GPUs; None where they run on CPUs.
    """

    context: StudyContext
    landmarks: Landmarks
    sharing: Sharing | None = None

    @property
    def gpu_share(self) -> float:
        """The share of a GPU that each training holds; 0 where they run on CPUs."""
        return self.sharing.share if self.sharing else 0.0


class Preparation:
    """The part of a study before its first trial; what a cache or the journal knows already is not done again."""

    def __init__(self, run: OpenRun) -> None:
        self.run = run
        self._gpus = float(run.spec.wants_gpus and usable_gpus() > 0)  # the driver of a cluster may have none

    def prepare(self) -> Prepared:
        """All of it, charged to the budget."""
        context = self.teacher()
        return Prepared(context, self.landmarks(context), self.sharing())

    def teacher(self) -> StudyContext:
        """Data, teacher, knowledge and baseline as stages; `context.json` names them."""
        run, store = self.run, ResultCache(default_store())
        data = data_stage(store, run.checked.data)
        teacher, knowledge, forward = self._teacher_and_knowledge(store)
        run.progress("exporting and measuring the teacher")(0.0)
        job = BaselineJob(str(run.folder), str(store.root), data.key, teacher.key, run.checked.device)
        baseline = BaselineResult.from_json(run.workers.at_device(BASELINE, job.to_json()))
        run.budget.charge("measuring")
        keys = ContextKeys(
            store=job.store,
            data=job.data,
            teacher=job.teacher,
            knowledge=knowledge.key,
            baseline=baseline.key,
            device=job.device.model_dump(),
            machine=baseline.machine,
            seed=run.spec.seed,
            speed=replace(baseline.speed, forward_s=forward),
        )
        keys.write(run.folder)
        open_context.cache_clear()
        return open_context(run.folder)

    def _teacher_and_knowledge(self, store: ResultCache) -> tuple[CachedResult, CachedResult, float]:
        """The stages of the teacher and of what was learnt of it, and its forward seconds a text on CPUs."""
        from autocomp.models.student import load_student
        from autocomp.training.accelerator import computing_on

        run, spec, data, loaded = self.run, self.run.spec, self.run.checked.data, self.run.checked.loaded
        tell = run.progress("reading the teacher" if loaded.fine_tuned else "fine-tuning the teacher")
        tell(0.0)
        with computing_on(self._gpus):
            left_s, before = run.budget.seconds_left(), teacher_before(run.folder)
            teacher = teacher_stage(store, loaded, data, spec, left_s, tell, before)
            run.budget.charge("teacher", gpus=self._gpus)
            student = load_student(teacher.folder / "student")
            run.progress("learning from the teacher")(0.0)
            knowledge = knowledge_stage(store, student, teacher.key, data, spec.seed)
            forward = 0.0 if spec.wants_gpus else forward_s(student, data, spec.seed)
            run.budget.charge("knowledge", gpus=self._gpus)
        return teacher, knowledge, forward

    def landmarks(self, context: StudyContext) -> Landmarks:
        """Measure the teacher and its plain int8 export, keep their files in the run, and journal them."""
        run, checked = self.run, self.run.checked
        measured = landmark_measurements(context, checked.measure_names, run.workers)
        for name in measured:
            copy_artifact(context.teacher_artifact.parent / name, run.folder / name)
        values = {o.name: o.value(measured["teacher"]) for o in checked.objectives}
        members = landmark_members(run, context, measured)
        run.journal.append(TeacherMeasured(name=run.spec.model, members=members, values=values))
        for text in concerns_of(context, run.spec):
            run.warn(text)
        run.budget.charge("measuring")
        return measured

    def sharing(self) -> Sharing | None:
        """How the study's trainings share GPUs; None for one that trains on CPUs."""
        run = self.run
        if not run.spec.wants_gpus:
            return None
        run.progress("measuring how many trainings share a GPU")(0.0)
        settled = settle_sharing(run.journal, run.workers, run.folder, run.spec.gpu_share)
        run.budget.charge("measuring", gpus=1.0)
        return settled


def landmark_members(run: OpenRun, context: StudyContext, landmarks: Landmarks) -> dict[str, Member]:
    """The landmarks as members of a front; the run keeps the teacher's weights."""
    members = {name: landmark_member(name, measured) for name, measured in landmarks.items()}
    members["teacher"]["student"] = keep(context.store.folder(context.teacher_key), run.folder)
    return members

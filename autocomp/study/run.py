"""One study from spec to front: set up, loop, final front; from the journal alone if it was interrupted."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp.budget import LOST, Fidelity
from autocomp.environment import machine_facts, versions
from autocomp.executors import Executor, WorkerPool
from autocomp.journal import Journal, read_events
from autocomp.journal.events import (
    FidelitiesChosen,
    FrontWritten,
    GpusShared,
    JobProgressed,
    JobStarted,
    ResourcesCharged,
    StudyBegun,
    StudyFinished,
    StudyResumed,
    TeacherMeasured,
    TrialRecorded,
    WarningGiven,
)
from autocomp.journal.file import Listener
from autocomp.journal.member import Member, with_figures
from autocomp.pipeline.baseline import BASELINE
from autocomp.pipeline.checkpoint_export import keep
from autocomp.pipeline.context import ContextKeys, StudyContext, data_stage, open_context, teacher_before
from autocomp.pipeline.jobs import GPU_TRIALS, TRIALS, Job, teller
from autocomp.pipeline.landmarks import landmark_measurements, landmark_member
from autocomp.pipeline.measuring import place
from autocomp.pipeline.teacher import forward_s, knowledge_stage, teacher_stage
from autocomp.report.summary import Summary, summary
from autocomp.result_cache import ResultCache, default_store
from autocomp.searchers import Searcher
from autocomp.spec import StudySpec
from autocomp.study import front
from autocomp.study.budget_tracker import BudgetTracker
from autocomp.study.concerns import concerns_of
from autocomp.study.evidence import write_evidence
from autocomp.study.gpu_sharing import Sharing, settle_sharing, third_of
from autocomp.study.loop import Loop, identity
from autocomp.study.losses import LossScale
from autocomp.study.pins import check_unchanged, pins, spec_of
from autocomp.study.time_model import TimeModel, auto_ladder, block_weights, clock_of_steps, given_ladder
from autocomp.study.validate import (
    Checked,
    check,
    check_study,
    data_facts,
    new_run,
    with_absolute_paths,
)
from autocomp.study.workers import open_crew, usable_gpus

if TYPE_CHECKING:
    from autocomp.measurement import Measurement

__all__ = ["check_study", "resume_study", "run_study"]

Landmarks = dict[str, dict[str, "Measurement"]]


def run_study(spec: StudySpec, out: Path, listen: Listener | None = None, ray: str | None = None) -> Summary:
    """Search; leaves a run directory with journal and front, and returns its summary.

    Args:
        ray: None for worker processes on this machine; else the cluster: `auto`, `local` or an address.

    Raises:
        InputError: something in the spec is wrong, or the cluster is; there is no run directory then.
    """
    if Path(out).exists():
        new_run(out)
    checked = check(spec)
    with open_crew(checked, ray) as crew:
        run, spec = new_run(out), with_absolute_paths(spec)
        (run / "study.json").write_text(spec.model_dump_json(indent=1), encoding="utf-8")
        journal = Journal(run / "journal.jsonl", listen)
        journal.append(_begun(checked, spec, run, crew))
        return _go_on(checked, run, journal, listen, crew)


def _begun(checked: Checked, spec: StudySpec, run: Path, crew: WorkerPool) -> StudyBegun:
    """What a journal says at its beginning."""
    return StudyBegun(
        spec=spec.model_dump(mode="json"),
        data=data_facts(checked.data),
        objectives=[o.model_dump(mode="json") for o in checked.objectives],
        knobs={name: list(knob.values) for name, knob in checked.space.knobs.items()},
        machine=machine_facts(),
        versions=versions(),
        out=str(run),
        crew=crew.facts(),
        made_of=pins(checked),
    )


def resume_study(out: Path, listen: Listener | None = None, ray: str | None = None) -> Summary:
    """Go on with an interrupted study, on any crew; a finished one is only summarised.

    Raises:
        RunFolderError: not a run directory.
        ChangedStudy: it began with other data, another model, space, code or machine; nothing is started.
        InputError: the cluster cannot be used.
    """
    run = Path(out).resolve()
    spec = spec_of(run)
    if any(read_events(run / "journal.jsonl", StudyFinished)):
        return summary(run)
    checked = check(spec)
    check_unchanged(run, checked, is_local=ray is None)
    lived = (e.at or 0.0 for e in read_events(run / "journal.jsonl") if not isinstance(e, StudyResumed))
    last = max(lived, default=0.0)
    with open_crew(checked, ray) as crew:
        journal = Journal(run / "journal.jsonl", listen)
        journal.append(StudyResumed(crew=crew.facts()))
        return _go_on(checked, run, journal, listen, crew, interrupted_after=last)


def _go_on(
    checked: Checked,
    run: Path,
    journal: Journal,
    listen: Listener | None,
    crew: WorkerPool,
    interrupted_after: float | None = None,
) -> Summary:
    crew.serve(run, default_store())
    purse = BudgetTracker(checked.budget, journal, crew.cores, _held_gpus(journal, checked.spec))
    if interrupted_after is not None:
        charged = [e.at or 0.0 for e in journal.events(ResourcesCharged)]
        began = next(journal.events(StudyBegun)).at or 0.0
        purse.charge_lost(run, since=max([began, *charged]), last=interrupted_after)
    context = _prepare_teacher(checked, run, purse, listen, crew)
    landmarks = _measure_landmarks(context, checked, run, journal, purse, crew)
    sharing = _share_gpus(checked.spec, run, journal, purse, listen, crew)
    share = sharing.share if sharing else 0.0
    with crew.executor(GPU_TRIALS if share else TRIALS, share=share) as executor:
        purse.gpus = executor.gpu_share * max(1, executor.workers)
        where = place(checked.device, crew)
        loop = _loop(checked, context, run, journal, purse, executor, where, landmarks, listen, sharing)
        _replay(loop, journal)
        reason = loop.go()
    _finish(loop, checked, context, run, journal, landmarks, crew)
    journal.append(StudyFinished(reason=reason))
    shutil.rmtree(run / "work", ignore_errors=True)
    return summary(run)


def _held_gpus(journal: Journal, spec: StudySpec) -> float:
    """By a study that was interrupted: all its trials', or one while the teacher is made."""
    held = [e.held for e in journal.events(GpusShared)]
    return float(held[-1]) if held else float(spec.wants_gpus)


def _share_gpus(
    spec: StudySpec, run: Path, journal: Journal, purse: BudgetTracker, listen: Listener | None, crew: WorkerPool
) -> Sharing | None:
    """How the study's trainings share GPUs; nothing for one that trains on CPUs."""
    if not spec.wants_gpus:
        return None
    _teller(run, listen, "measuring how many trainings share a GPU")(0.0)
    found = settle_sharing(journal, crew, run, spec.gpu_share)
    purse.charge("measuring", gpus=1.0)
    return found


def _teller(run: Path, listen: Listener | None, what: str) -> Callable[[float], None]:
    """Tells how far the teacher is: to the listener, and by a file that shows life if the study is killed."""
    write = teller(run, "teacher")

    def tell(fraction: float) -> None:
        write(what, fraction)
        if listen:
            listen(JobProgressed(job="teacher", text=what, fraction=round(fraction, 3)))

    return tell


def _prepare_teacher(
    checked: Checked, run: Path, purse: BudgetTracker, listen: Listener | None, crew: WorkerPool
) -> StudyContext:
    """Data, teacher, knowledge and baseline as stages; `context.json` names them."""
    from autocomp.models.student import load_student
    from autocomp.training.accelerator import computing_on

    spec, data, store = checked.spec, checked.data, ResultCache(default_store())
    rows = data_stage(store, data)
    tell = _teller(run, listen, "fine-tuning the teacher" if not checked.loaded.fine_tuned else "reading the teacher")
    tell(0.0)
    gpus = float(spec.wants_gpus and usable_gpus() > 0)  # the driver of a cluster may have none
    with computing_on(gpus):
        teacher = teacher_stage(store, checked.loaded, data, spec, purse.seconds_left(), tell, teacher_before(run))
        purse.charge("teacher", gpus=gpus)
        student = load_student(teacher.folder / "student")
        _teller(run, listen, "learning from the teacher")(0.0)
        learnt = knowledge_stage(store, student, teacher.key, data, spec.seed)
        forward = 0.0 if spec.wants_gpus else forward_s(student, data, spec.seed)
        purse.charge("knowledge", gpus=gpus)
    _teller(run, listen, "exporting and measuring the teacher")(0.0)
    device = checked.device.model_dump()
    made_of: dict[str, Any] = {"store": str(store.root), "data": rows.key, "teacher": teacher.key, "device": device}
    baseline = crew.at_device(BASELINE, {"id": "baseline", "run": str(run), **made_of})
    purse.charge("measuring")
    seen = {"machine": baseline["machine"], "speed": {**baseline["speed"], "forward_s": forward}}
    ContextKeys(**made_of, **seen, knowledge=learnt.key, baseline=baseline["key"], seed=spec.seed).write(run)
    open_context.cache_clear()
    return open_context(run)


def _measure_landmarks(
    context: StudyContext, checked: Checked, run: Path, journal: Journal, purse: BudgetTracker, crew: WorkerPool
) -> Landmarks:
    measured = landmark_measurements(context, checked.measure_names, crew)
    for name in measured:
        front.copy_artifact(context.teacher_artifact.parent / name, run / name)
    values = {o.name: o.value(measured["teacher"]) for o in checked.objectives}
    journal.append(TeacherMeasured(name=checked.spec.model, members=_shown(context, run, measured), values=values))
    for text in concerns_of(context, checked.spec):
        journal.append(WarningGiven(text=text))
    purse.charge("measuring")
    return measured


def _shown(context: StudyContext, run: Path, landmarks: Landmarks) -> dict[str, Member]:
    """The landmarks as members; the run keeps the teacher's weights."""
    shown = {name: landmark_member(name, m) for name, m in landmarks.items()}
    shown["teacher"]["student"] = keep(context.store.folder(context.teacher_key), run)
    return shown


def _loop(
    checked: Checked,
    context: StudyContext,
    run: Path,
    journal: Journal,
    purse: BudgetTracker,
    executor: Executor,
    measured: str,
    landmarks: Landmarks,
    listen: Listener | None,
    sharing: Sharing | None,
) -> Loop:
    judge = LossScale(checked.objectives, tuple(o.value(landmarks["teacher"]) for o in checked.objectives))
    clock = _clock(context, executor, sharing)
    reserve = _reserve(context, purse.clock_left())
    searcher = Searcher(checked.space, len(checked.objectives), checked.spec.searcher, checked.spec.seed, identity)
    rungs = _fidelities(checked, journal, clock, purse.seconds_left(reserve), executor)
    return Loop(
        run=run,
        context=context,
        space=checked.space,
        journal=journal,
        purse=purse,
        searcher=searcher,
        judge=judge,
        clock=clock,
        rungs=rungs,
        measures=checked.measure_names,
        executor=executor,
        reserve_s=reserve,
        members=checked.spec.members,
        listen=listen,
        measured=measured,
        queue=[],
    ).starting_with(checked.space_spec.start)


def _clock(context: StudyContext, executor: Executor, sharing: Sharing | None) -> TimeModel:
    """Speeds from what the teacher took when this run began or was resumed, or from what was measured of the GPU."""
    shape, rows = context.teacher.encoder.shape, len(context.data.search)
    weights, latency = block_weights(shape), float(np.mean(context.speed.alone_ms)) / 1e3
    if sharing:
        part = third_of(shape.depth) / shape.depth
        return clock_of_steps(sharing.third_s, sharing.whole_s, part, weights, latency, rows)
    slower = max(1.0, 0.8 * executor.workers)  # a worker has a thread, and the teacher had all cores
    return TimeModel(context.speed.forward_s / weights * slower, weights, latency, rows)


def _reserve(context: StudyContext, left: float) -> float:
    """Seconds kept back for the final front: held-out scores of members a fifth as slow as the teacher, and timing."""
    teacher_s = float(np.mean(context.speed.alone_ms)) / 1e3
    each_s = front.MEMBER_S + len(context.data.held_out) * teacher_s / 5 / 2
    wanted = front.START_S + front.TIMING_S + 24 * each_s
    return 0.0 if math.isinf(left) else min(wanted, 0.35 * left)


def _fidelities(
    checked: Checked, journal: Journal, clock: TimeModel, seconds: float, executor: Executor
) -> tuple[Fidelity, ...]:
    """Those of the journal if the study has begun, else given ones, else what fits the budget."""
    begun = list(journal.events(FidelitiesChosen))
    if begun:
        return begun[-1].rungs
    if checked.spec.recovery_steps:
        rungs = given_ladder(checked.spec.recovery_steps)
    else:
        trials = checked.budget.trials or 18
        seconds = trials * 120.0 if math.isinf(seconds) else seconds
        rungs = auto_ladder(clock, seconds, max(1, executor.workers))
    journal.append(FidelitiesChosen(rungs=rungs))
    return rungs


def _replay(loop: Loop, journal: Journal) -> None:
    """Put a resumed loop where the journal says it was; jobs that were started and not finished come first.

    Jobs are remembered one by one, in the order in which they ended.
    """
    started: set[str] = set()
    unfinished: dict[str, Job] = {}
    for event in journal.events():
        if isinstance(event, JobStarted):
            if not started:
                loop.forget_queue()
            started.add(event.job)
            unfinished[event.job] = loop.begun(event)
        elif isinstance(event, TrialRecorded):
            loop.keep(event.trial)
        elif isinstance(event, ResourcesCharged) and event.job in unfinished and event.charge.what != LOST:
            loop.remember(unfinished.pop(event.job))
    if started:
        loop.continue_with(list(unfinished.values()), started)


def _finish(
    loop: Loop,
    checked: Checked,
    context: StudyContext,
    run: Path,
    journal: Journal,
    landmarks: Landmarks,
    crew: WorkerPool,
) -> None:
    """Score, time and write the final front; without any record it is the teacher and its int8 export."""
    teller(run, "front")("scoring and timing the final front", 0.0)
    left, workers = min(loop.purse.clock_left(), 1e9), max(1, loop.executor.workers)
    timing_s = float(np.clip(left / 2, 2.0, front.TIMING_S))
    rows = len(context.data.held_out)
    most, seconds = checked.spec.members, left - timing_s
    chosen = front.candidates(loop.judge, loop.found.front(), most, seconds, rows, workers)
    seen = front.see(
        context, run, chosen, crew, timing_s, loop.purse.clock_left, lambda t: journal.append(WarningGiven(text=t))
    )
    found = front.write_out(context, run, front.members(context, loop.judge, chosen, seen), seen)
    shown = {
        name: with_figures(one, front.held_out_figures(context, seen, name))
        for name, one in _shown(context, run, landmarks).items()
    }
    proof = write_evidence(run, context, found, seen)
    loop.purse.charge("front")
    kept = [r for r in chosen if r.id in {m["record"] for m in found}]
    volume, agreement = loop.judge.hypervolume(kept), front.rank_agreement(found)
    members = found or list(shown.values())
    journal.append(
        FrontWritten(
            members=members,
            teacher=shown["teacher"],
            plain_int8=shown["plain_int8"],
            hypervolume=volume,
            agreement=agreement,
            evidence=proof,
        )
    )

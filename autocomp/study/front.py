"""The final front: candidates scored on the held-out split, timed together with nothing else running, copied out."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp import pareto
from autocomp.artifact.files import MODEL, artifact_bytes, update_manifest
from autocomp.errors import EnvironmentFailure, ExportMismatch
from autocomp.executors import Data, Work
from autocomp.heads import heads
from autocomp.inspection.session_check import check_session
from autocomp.journal.member import Figures, Member, RankAgreement, with_figures
from autocomp.measurement import rank_correlation
from autocomp.measures import TIME, figures_of
from autocomp.measures.latency import ATTEMPTS, is_disturbed, speedup
from autocomp.pipeline.baselines import final_measurements, held_out_logits
from autocomp.pipeline.checkpoint_export import keep
from autocomp.pipeline.context import open_context
from autocomp.pipeline.evaluate import HERE, TIMING, folders_of, latency_of, place, run_over, thresholds_of
from autocomp.pipeline.job_io import HeldOutJob, HeldOutResult, TimingJob, Timings, artifact_needs, keys_of
from autocomp.pipeline.plans import describe
from autocomp.storage import atomic_folder
from autocomp.study.losses import LossScale, member
from autocomp.tasks import paired_difference, score_with_error

if TYPE_CHECKING:
    from autocomp.executors import Executor, WorkerPool
    from autocomp.pipeline.context import StudyContext
    from autocomp.record import TrialRecord

TIMING_S = 15.0
START_S = 4.0
"""Until workers score and files are open to be timed."""
MEMBER_S = 0.8
"""To check a member's file, to copy it, and to load it once more in a process of its own for its memory."""


@dataclass(frozen=True)
class Scored:
    """One file scored on the held-out split and timed beside the others.

    Attributes:
        logits: `[n, C]`.
        times: `[rounds, texts]` in ms.
        where: these come from: here, the device, or a prediction.
        tokens: of each timed text, as this file's tokenizer counts.
        depths: `[n]`, layers that ran on each row.
        disturbed: its times must not be trusted, although they were taken again.
    """

    folder: Path
    logits: np.ndarray
    times: np.ndarray
    where: str = HERE
    tokens: tuple[int, ...] = ()
    depths: tuple[int, ...] = ()
    disturbed: bool = False


def score_held_out(data: Data) -> Data:
    """Do a `HeldOutJob`, in a worker."""
    job = HeldOutJob.from_json(data)
    context = open_context(Path(job.run))
    [key] = job.artifacts.values()
    run = run_over(context.store.folder(key) / "artifact", context.data.held_out, context.device.threads)
    return HeldOutResult(run.logits, run.depths.tolist()).to_json()


SCORING = Work(f"{__name__}:SCORING", score_held_out, needs=artifact_needs)


def candidates(
    scale: LossScale, best: Sequence[TrialRecord], most: int, seconds: float, rows: int, workers: int
) -> list[TrialRecord]:
    """As many of the best records as can be scored and written in some seconds, at least one if there is any.

    Args:
        best: those that nothing dominates.
        rows: of the held-out split, on which the workers score.
    """
    while most > 1:
        chosen = scale.spread(best, most)
        scoring_s = sum(r.measurements[TIME].value for r in chosen) / 1e3 * rows / workers
        needed = START_S + scoring_s + MEMBER_S * len(chosen)
        if needed <= seconds or len(chosen) <= 1:
            return chosen
        most = min(most, len(chosen)) - 1
    return scale.spread(best, 1)


def score_and_time(
    context: StudyContext,
    run: Path,
    chosen: Sequence[TrialRecord],
    pool: WorkerPool,
    timing_s: float = TIMING_S,
    left_s: Callable[[], float] = lambda: math.inf,
    warn: Callable[[str], object] = lambda text: None,
) -> dict[str, Scored]:
    """Score the chosen on the held-out split in the workers, then time all of them and the landmarks at the device.

    Args:
        left_s: seconds of the budget; a disturbed timing is repeated where they suffice.
        warn: called with a sentence on each that could not be scored and is left out.

    Raises:
        EnvironmentFailure: the machine failed, not a file.
    """
    artifacts = keys_of(chosen)
    with pool.executor(SCORING, len(chosen)) as executor:
        scored = dict(_scored(run, artifacts, executor, warn))
    artifacts = {name: key for name, key in artifacts.items() if name in scored}
    repeats_s = max(0.0, left_s() - timing_s - MEMBER_S * len(artifacts))
    where, repeats_s = place(context.device, pool), min(repeats_s, ATTEMPTS * timing_s)
    job = TimingJob("front", str(run), artifacts, "held_out", timing_s, where, repeats_s)
    timed = Timings.from_json(pool.at_device(TIMING, job.to_json()))
    every = [context.teacher.encoder.shape.depth] * len(context.data.held_out)
    scored |= {name: HeldOutResult(logits, every) for name, logits in held_out_logits(context).items()}
    return {
        name: Scored(
            folder=folder,
            logits=scored[name].logits,
            times=timed.times[name],
            where=where,
            tokens=tuple(timed.tokens.get(name, ())),
            depths=tuple(scored[name].depths),
            disturbed=is_disturbed(timed.times, name),
        )
        for name, folder in folders_of(context, artifacts).items()
    }


def _scored(
    run: Path, artifacts: Mapping[str, str], executor: Executor, warn: Callable[[str], object]
) -> Iterator[tuple[str, HeldOutResult]]:
    """The results of all files that could be scored, as they come."""
    waiting = [HeldOutJob(name, str(run), {name: key}).to_json() for name, key in artifacts.items()]
    while waiting or executor.running:
        while waiting and executor.free > 0:
            executor.submit(waiting.pop(0))
        for job, result, failure in executor.collect(1.0):
            if failure and failure.is_environment:
                raise EnvironmentFailure(f"the front could not be scored on the held-out split: {failure}")
            if result is None:
                warn(f"candidate {job['id']} is left out of the front, as it could not be scored: {failure}")
            else:
                yield job["id"], HeldOutResult.from_json(result)


def members(
    context: StudyContext, scale: LossScale, chosen: Sequence[TrialRecord], scored: Mapping[str, Scored]
) -> list[Member]:
    """The chosen that stay non-dominated with their final latency, smallest first, with figures on the held-out split.

    The held-out split chooses nothing: its figures are only reported.
    """
    shape = context.teacher.encoder.shape
    timed = [_timed_again(context, r, scored[r.id]) for r in chosen if r.id in scored]
    stays = pareto.is_non_dominated(scale.of(timed)).tolist() if timed else []
    kept = [
        with_figures(member(r, describe(r.plan, shape)), held_out_figures(context, scored, r.id))
        for r, stay in zip(timed, stays, strict=True)
        if stay
    ]
    kept.sort(key=lambda m: (m["bytes"], m["id"]))
    return [{**m, "id": f"m{i:02d}"} for i, m in enumerate(kept, 1)]


def _timed_again(context: StudyContext, record: TrialRecord, scored: Scored) -> TrialRecord:
    """The record with the latency of the common timing."""
    timed = latency_of(context, scored.times, scored.where, scored.disturbed)
    return replace(record, measurements={**record.measurements, TIME: timed})


def held_out_figures(context: StudyContext, scored: Mapping[str, Scored], name: str) -> Figures:
    """Score, error and paired difference on the held-out split; latency from the common timing."""
    data, head = context.data, heads[context.data.kind]
    truth, classes = data.targets("held_out"), len(data.labels)
    ours, theirs = (head.answers(scored[n].logits, thresholds_of(scored[n].folder)) for n in (name, "teacher"))
    score, error = score_with_error(data.metric, truth, ours, classes, data.positive)
    difference, difference_error = paired_difference(data.metric, truth, ours, theirs, classes, data.positive)
    equal = head.equal(ours, theirs, context.teacher.encoder.shape.head.scale)
    timed = latency_of(context, scored[name].times, scored[name].where, scored[name].disturbed)
    faster = speedup(scored["teacher"].times, scored[name].times)
    return {
        "score": score,
        "score_se": error,
        "score_difference": difference,
        "score_difference_se": difference_error,
        "held_out_agreement": float(equal.mean()),
        **figures_of({TIME: timed}),
        "times_faster": faster.value,
        "times_faster_spread": faster.spread,
    }


def write_out(context: StudyContext, run: Path, front: Sequence[Member], scored: Mapping[str, Scored]) -> list[Member]:
    """Copy each member to `RUN/front/ID` with its measurements in the manifest; members with sizes of what lies there.

    The student that it was made of is kept in `RUN/students`, so that it can be exported as a checkpoint.

    A file in which the runtime would run no int8 product although it stores them is left out.
    """
    teacher_bytes = artifact_bytes(scored["teacher"].folder)
    done = []
    for one in front:
        source, folder = scored[one["record"]].folder, run / "front" / one["id"]
        copy_artifact(source, folder)
        if not runs_as_stored(folder):
            shutil.rmtree(folder)
            continue
        figures = {k: one[k] for k in ("score", "score_se", "latency_ms", "latency_p95_ms", "times_faster")}
        figures |= {key: True for key in ("latency_predicted", "latency_disturbed") if one[key]}
        measured = {**figures, "device": context.device.name, "machine": context.machine}
        manifest = update_manifest(folder, measurements=measured)
        size = artifact_bytes(folder)
        student = keep(context.store.folder(context.store.inputs(source.parent.name)["student"]), run)
        one = {**one, "student_agreement": manifest["student_agreement"], "student": student}
        final = {} if one["latency_predicted"] else figures_of(final_measurements(folder))
        one = with_figures(one, {"bytes": size, "times_smaller": teacher_bytes / size, **final})
        one["path"] = f"front/{one['id']}"
        done.append(one)
    return done


def copy_artifact(source: Path, target: Path) -> None:
    """Copy an artifact's folder; `target` appears only when it is complete."""
    for left in target.parent.glob(f".{target.name}.*"):  # by a study that was killed
        shutil.rmtree(left)
    with atomic_folder(target, replace=True) as new:
        shutil.copytree(source, new)


def runs_as_stored(folder: Path) -> bool:
    """Whether the runtime runs int8 products where the file stores them, on weights that it unpacked at load."""
    try:
        check_session(folder / MODEL)
    except ExportMismatch:
        return False
    return True


def rank_agreement(front: Sequence[Member]) -> RankAgreement:
    """How far the held-out split ranks the members as the search split did."""
    search = [m["search_score"] for m in front if m["search_score"] is not None]
    held_out = [m["score"] for m in front if m["score"] is not None]
    return {"search_vs_held_out": rank_correlation(search, held_out), "members": len(front)}

"""An artifact run over real inputs: its answers, its times beside the teacher, and what depends on the device.

What a job measures goes by its place: here, at the device by a job of its own, or predicted of a device that is away.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.artifact.files import MODEL, read_manifest, update_manifest
from autocomp.artifact.loader import Predictor, load
from autocomp.devices.predicting import as_latency, is_this_machine, predicted_ms, table_of
from autocomp.errors import raise_if_environment
from autocomp.executors import Data, FollowUp, Work
from autocomp.heads import heads
from autocomp.measures import TIME, Subject, measures, on_device
from autocomp.measures.latency import is_disturbed, latency, time_steadily
from autocomp.pipeline.context import LANDMARKS, open_context, texts_of
from autocomp.pipeline.job_io import MeasuringJob, MeasuringResult, TimingJob, Timings, artifact_needs
from autocomp.timing import CLOCK, Clock, once, time_interleaved

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.measurement import Measurement
    from autocomp.pipeline.context import StudyContext
    from autocomp.record import RecordJson
    from autocomp.spec import DeviceProfile
    from autocomp.tasks import Example, TaskData

HERE, AT_DEVICE, PREDICTED = "here", "at device", "predicted"
"""Where a job's figures that depend on the device come from."""
TEACHER_TEXTS = 48
"""Texts on which the teacher's latency is known; as many teacher runs are spread over each scoring run."""
TEXTS = 100
LEAST_ROUNDS, MOST_ROUNDS = 5, 40
Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Run:
    """`logits` `[n, C]`, `times_ms` `[n]`, `depths` `[n]` of one pass, and the time to open the file."""

    logits: np.ndarray
    times_ms: np.ndarray
    depths: np.ndarray
    load_ms: float


def opened(folder: Path, threads: int) -> tuple[Predictor, float]:
    """A predictor and the milliseconds it took to open."""
    return once(load, folder, threads)


def run_over(folder: Path, examples: Sequence[Example], threads: int, beside: TeacherClock | None = None) -> Run:
    """One pass over the examples at batch 1; tokenisation is not timed. `beside` runs the teacher in between."""
    predictor, load_ms = opened(folder, threads)
    inputs = predictor.batches(texts_of(examples))
    for warm in inputs[:3]:
        predictor.run(warm)
    logits, times, depths = [], np.zeros(len(inputs)), np.zeros(len(inputs), np.int64)
    for i, given in enumerate(inputs):
        if beside:
            beside.tick(i, len(inputs))
        (row, depth), times[i] = once(predictor.run, given)
        logits.append(row[0])
        depths[i] = depth
    return Run(np.stack(logits), times, depths, load_ms)


def time_teacher(
    folder: Path,
    examples: Sequence[Example],
    threads: int,
    rounds: int = 5,
    clock: Clock = CLOCK,
) -> tuple[np.ndarray, bool]:
    """How long the teacher takes for the first texts, timed again while something disturbs it.

    Returns:
        Milliseconds, median of the rounds, `[TEACHER_TEXTS]`; and whether all attempts were disturbed.
    """
    predictor, _ = opened(folder, threads)
    inputs = predictor.batches(texts_of(examples[:TEACHER_TEXTS]))
    runs: dict[str, Callable[[int], object]] = {"teacher": lambda index: predictor.run(inputs[index])}
    times = time_steadily(lambda: time_interleaved(runs, rounds, inputs=len(inputs), clock=clock))
    return np.median(times["teacher"], axis=0), is_disturbed(times, "teacher")


class TeacherClock:
    """Runs the teacher now and then, to see how much slower than alone the machine is just now."""

    def __init__(self, predictor: Predictor, examples: Sequence[Example], alone_ms: np.ndarray) -> None:
        self._predictor = predictor
        self._inputs = predictor.batches(texts_of(examples[: len(alone_ms)]))
        self._alone, self._slower = alone_ms, list[float]()

    def tick(self, index: int, total: int) -> None:
        """Before input `index` of `total`: run the teacher if its turn has come."""
        every = max(1, total // len(self._inputs))
        if index % every:
            return
        which = (index // every) % len(self._inputs)
        self._slower.append(once(self._predictor.run, self._inputs[which])[1] / self._alone[which])

    def slowdown(self) -> float:
        """Median of teacher's time now over its time alone since the last call."""
        value = float(np.median(self._slower)) if self._slower else 1.0
        self._slower.clear()
        return value


def measure_artifact(
    context: StudyContext, folder: Path, clock: TeacherClock | None, names: Sequence[str]
) -> dict[str, Measurement]:
    """The named measures of an artifact on the search split; without a clock nothing that depends on time."""
    run = run_over(folder, context.data.search, context.device.threads, clock)
    times_ms = run.times_ms[None] / (clock.slowdown() if clock else 1.0)
    subject = subject_of(context, folder, run.logits, times_ms, run.depths, run.load_ms)
    return {name: measures[name](subject) for name in names}


def subject_of(
    context: StudyContext,
    folder: Path,
    logits: np.ndarray,
    times_ms: np.ndarray,
    depths: np.ndarray,
    load_ms: float,
    disturbed: bool = False,
) -> Subject:
    """An artifact that ran over the search split, as measures look at it beside the teacher."""
    return Subject(
        folder=folder,
        metric=context.data.metric,
        positive=context.data.positive,
        targets=context.data.targets("search"),
        logits=logits,
        teacher=context.knowledge.search_logits,
        times_ms=times_ms,
        depths=depths,
        load_ms=load_ms,
        device=context.machine,
        disturbed=disturbed,
        kind=context.data.kind,
        unit=context.teacher.encoder.shape.head.scale,
        thresholds=thresholds_of(folder),
        teacher_thresholds=thresholds_of(context.teacher_artifact),
    )


def decide(folder: Path, data: TaskData, logits: np.ndarray) -> None:
    """Write the thresholds by which an artifact decides into its manifest, where its head has any.

    Args:
        logits: of the artifact on the search split, on which they are chosen.
    """
    head = heads[data.kind]
    if head.has_thresholds:
        chosen = head.thresholds(logits, data.targets("search"), data.metric)
        update_manifest(folder, thresholds=list(chosen))


def thresholds_of(folder: Path) -> tuple[float, ...]:
    """By which an artifact decides, where its head has any."""
    return tuple(read_manifest(folder).get("thresholds") or ())


def time_folders(
    folders: Mapping[str, Path], examples: Sequence[Example], threads: int, seconds: float, repeats_s: float = math.inf
) -> tuple[dict[str, np.ndarray], dict[str, list[int]]]:
    """Time artifacts over the same real texts, as many rounds as the time allows.

    The texts are spread evenly over the split's lengths, so that short and long ones count as they occur. What
    something else disturbs is timed again, where that fits into `repeats_s`.

    Args:
        repeats_s: seconds that all repetitions may take.

    Returns:
        By artifact: milliseconds `[rounds, texts]`, and how many tokens it makes of each text.
    """
    chosen = _by_length(examples, TEXTS)
    predictors = {name: opened(folder, threads)[0] for name, folder in folders.items()}
    inputs = {name: p.batches(texts_of(chosen)) for name, p in predictors.items()}
    runs = {name: _runner(p, inputs[name]) for name, p in predictors.items()}
    probe = time_interleaved(runs, rounds=1, warmup=1, inputs=len(chosen))
    per_round = sum(float(t.sum()) for t in probe.values()) / 1e3
    rounds = int(np.clip(seconds / max(per_round, 1e-6), LEAST_ROUNDS, MOST_ROUNDS))
    until = time.monotonic() + rounds * per_round + repeats_s
    times = time_steadily(
        lambda: time_interleaved(runs, rounds=rounds, warmup=0, inputs=len(chosen)),
        lambda: time.monotonic() + rounds * per_round <= until,
    )
    return times, {name: tokens_of(given) for name, given in inputs.items()}


def tokens_of(inputs: Sequence[Inputs]) -> list[int]:
    """Tokens of prepared inputs of one text each."""
    return [int(given["input_ids"].shape[1]) for given in inputs]


def _runner(predictor: Predictor, inputs: Sequence[Inputs]) -> Callable[[int], object]:
    return lambda index: predictor.run(inputs[index])


def _by_length(examples: Sequence[Example], most: int) -> list[Example]:
    order = sorted(examples, key=lambda e: (len(e.text) + len(e.pair or ""), e.text))
    picks = np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int)
    return [order[i] for i in picks]


def place(device: DeviceProfile, pool: WorkerPool) -> str:
    """Where a study's latencies come from: predicted if neither a node of the pool nor this machine is the device."""
    if pool.has_device:
        return AT_DEVICE
    return HERE if is_this_machine(device) else PREDICTED


def latency_of(context: StudyContext, times: np.ndarray, where: str, disturbed: bool = False) -> Measurement:
    """The latency that times `[rounds, texts]` say, marked if they were predicted, or disturbed."""
    if where != PREDICTED:
        return latency(times, context.machine, disturbed)
    return as_latency(times[0], table_of(context.device), context.device.name)


def predict_artifact(context: StudyContext, folder: Path) -> dict[str, Measurement]:
    """What can be predicted of an artifact on the search split: its latency."""
    return {TIME: latency_of(context, _predicted_times(context, folder, context.data.search)[0], PREDICTED)}


def _predicted_times(context: StudyContext, folder: Path, examples: Sequence[Example]) -> tuple[np.ndarray, list[int]]:
    """Predicted milliseconds `[1, texts]`, and the tokens of each text."""
    inputs = opened(folder, context.device.threads)[0].batches(texts_of(examples))
    return predicted_ms(folder / MODEL, inputs, table_of(context.device))[None], tokens_of(inputs)


def measured_by(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The measures that a job takes itself."""
    return tuple(name for name in names if where == HERE or not on_device(name))


@lru_cache(maxsize=1)
def teacher_clock(run: Path) -> TeacherClock:
    """The teacher, opened once per process, to see how busy the machine is."""
    context = open_context(run)
    predictor, _ = opened(context.teacher_artifact, context.device.threads)
    return TeacherClock(predictor, context.data.search, np.array(context.speed.alone_ms))


def measuring_job(trial: Data, result: Data) -> Data | None:
    """What is left to measure at the device after a trial's job; None where nothing is."""
    artifacts = {r["id"]: r["artifact"] for r in result["records"] if r["status"] == "complete"}
    if trial["measured"] != AT_DEVICE or not artifacts:
        return None
    names = [name for name in trial["measures"] if on_device(name)]
    return MeasuringJob(trial["id"], trial["run"], artifacts, names).to_json()


def measure_artifacts(data: Data) -> Data:
    """Do a `MeasuringJob`, one file after the other; one that cannot be measured has a reason instead."""
    job, started = MeasuringJob.from_json(data), time.time()
    context, clock = open_context(Path(job.run)), teacher_clock(Path(job.run))
    measured, errors = {}, {}
    for name, key in job.artifacts.items():
        try:
            measured[name] = measure_artifact(context, context.store.folder(key) / "artifact", clock, job.measures)
        except Exception as error:  # the others may be good
            raise_if_environment(error)
            errors[name] = f"{type(error).__name__}: {error}"
    return MeasuringResult(measured, errors, time.time() - started).to_json()


def with_measured(result: Data, measured: Data | str) -> Data:
    """A trial's result with what was measured at the device; what could not be measured has failed.

    Args:
        measured: a `MeasuringResult`, or the reason why there is none.
    """
    if isinstance(measured, str):
        reason = f"MeasurementError: not measured at the device: {measured}"
        paid = {"charged_s": result["seconds"], "at_gpu_s": 0.0}
        return {**result, "records": [_with_reason(r, reason) for r in result["records"]], **paid}
    at_device = MeasuringResult.from_json(measured)
    records = [_with_measurements(r, at_device) for r in result["records"]]
    spent = {"seconds": result["seconds"] + at_device.seconds, "charged_s": result["seconds"], "at_gpu_s": 0.0}
    return {**result, "records": records, **spent}


def _with_measurements(record: RecordJson, at_device: MeasuringResult) -> RecordJson:
    if record["id"] in at_device.errors:
        return _with_reason(record, at_device.errors[record["id"]])
    more = {name: one.to_json() for name, one in at_device.measured.get(record["id"], {}).items()}
    return {**record, "measurements": {**record["measurements"], **more}}


def _with_reason(record: RecordJson, reason: str) -> RecordJson:
    return {**record, "status": "failed", "error": reason} if record["status"] == "complete" else record


def time_artifacts(data: Data) -> Data:
    """Do a `TimingJob` with nothing beside it; times of a device that is away are predicted, over all texts."""
    job = TimingJob.from_json(data)
    context = open_context(Path(job.run))
    folders, threads = folders_of(context, job.artifacts), context.device.threads
    examples = getattr(context.data, job.split)
    if job.measured == PREDICTED:
        predicted = {name: _predicted_times(context, folder, examples) for name, folder in folders.items()}
        tokens = {name: counts for name, (_, counts) in predicted.items()}
        return Timings({name: times for name, (times, _) in predicted.items()}, tokens).to_json()
    times, tokens = time_folders(folders, examples, threads, job.seconds, job.repeats_s)
    return Timings(times, tokens, {name: opened(folder, threads)[1] for name, folder in folders.items()}).to_json()


def folders_of(context: StudyContext, artifacts: Mapping[str, str]) -> dict[str, Path]:
    """Where the landmarks and the artifacts of some stages lie."""
    landmarks = {name: context.teacher_artifact.parent / name for name in LANDMARKS}
    return {**landmarks, **{name: context.store.folder(key) / "artifact" for name, key in artifacts.items()}}


MEASURING = Work(f"{__name__}:MEASURING", measure_artifacts, needs=artifact_needs)
TIMING = Work(f"{__name__}:TIMING", time_artifacts, needs=artifact_needs)
THEN_MEASURE = FollowUp(MEASURING, measuring_job, with_measured, at_device=True)

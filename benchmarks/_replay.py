"""Results of plans that were never run, from recorded ones, and an executor whose workers replay them."""

from __future__ import annotations

import gzip
import heapq
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autocomp.journal import read_lines
from autocomp.measurement import Measurement
from autocomp.pipeline.jobs import Job
from autocomp.pipeline.plans import is_cheap
from autocomp.plan import CompressionPlan
from autocomp.record import TrialRecord
from autocomp.space import SearchSpace
from autocomp.study.proposals import identity

RECORDED = Path(__file__).parent / "data" / "recorded.json.gz"
OBJECTIVES = ("artifact_size", "latency", "task_score", "agreement")
SIZES = ("vocabulary.pieces", "depth.layers", "attention_heads.kept", "feed_forward.kept", "hidden_size.kept")
DIED = "its worker process died (killed by the system, most often for memory)"
LOSS = 0.004
"""Added to a lost score before its logarithm is taken: what 2,000 texts cannot tell from nothing."""

Outcome = tuple[Mapping[str, Any], dict[str, Any] | None, str | None]


def record_from(runs: Sequence[Path]) -> None:
    """Keep the complete records of real runs, each once, by job."""
    jobs: dict[str, list[dict[str, Any]]] = {}
    seen: set[str] = set()
    for run in runs:
        teacher = next(read_lines(run / "journal.jsonl", "teacher"))["members"]["teacher"]
        for event in read_lines(run / "journal.jsonl", "record"):
            record = event["record"]
            measured = {k: {**m, "value": float(f"{m['value']:.7g}")} for k, m in record["measurements"].items()}
            if record["status"] == "complete" and json.dumps(measured) not in seen:
                seen.add(json.dumps(measured))
                kept = {**record, "measurements": measured}
                jobs.setdefault(f"{run}:{record['id'].split('-')[0]}", []).append(kept)
    names = {"artifact_size": "bytes", "latency": "latency_ms", "task_score": "search_score"}
    values = {name: teacher[key] for name, key in names.items()} | {"agreement": 1.0}
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_bytes(gzip.compress(json.dumps({"teacher": values, "jobs": list(jobs.values())}).encode(), mtime=0))
    print(f"{len(seen)} records of {len(jobs)} jobs in {RECORDED.stat().st_size:,} bytes")


class Replay:
    """What a worker would have answered: a power law fitted to the recorded results, what the nearest recorded plan is
    off by, and seeded noise. It depends on seed, job and plan alone, not on the order of jobs.
    """

    def __init__(self, seed: int) -> None:
        data = json.loads(gzip.decompress(RECORDED.read_bytes()))
        self.seed, self.teacher = seed, data["teacher"]
        self.jobs = [[TrialRecord.from_json(r) for r in job] for job in data["jobs"]]
        self.records = [r for job in self.jobs for r in job]
        self._best = max(r.measurements["task_score"].value for r in self.records)
        self._points = np.array([features(r.point, r.fidelity.steps) for r in self.records])
        self._heads = np.array([features(job[0].point, job[0].fidelity.steps)[:6] for job in self.jobs])
        self._scale = self._points.std(0) + 1e-9
        targets = np.array([self._targets(r) for r in self.records])
        ridge = 0.3 * np.eye(self._points.shape[1])
        self._law = np.linalg.solve(self._points.T @ self._points + ridge, self._points.T @ targets)
        self._off = targets - self._points @ self._law

    def outcome(self, data: Mapping[str, Any], space: SearchSpace) -> tuple[float, Outcome]:
        """A job's seconds, and job, result and reason as an executor hands them back; 3 % fail, 2 % take 10 times as
        long.
        """
        job = Job.from_json(dict(data))
        rng = np.random.default_rng([self.seed, int(job.id[1:])])
        like = self._like(_flat(job.plan), job.fidelity.steps)
        slow, fate = 10 if rng.random() < 0.02 else 1, rng.random()
        seconds = sum(r.seconds for r in like) * rng.lognormal(0, 0.3) * slow
        if fate < 0.01:
            return seconds, (data, None, DIED)
        if fate < 0.03:
            error = "TrainingDiverged: the loss became NaN at step 17"
            records = [_failed(job, 0, job.plan, space.nearest(_flat(job.plan)), error)]
        else:
            error, records = None, list(self._records(job, space, like, rng))
        written = [{**r.to_json(), "seconds": round(seconds / len(records), 3)} for r in records]
        facts = {"student": f"student-{identity(job.plan)}", "was_cached": False, "plan": job.plan.to_json()}
        return seconds, (
            data,
            {"job": job.id, "records": written, "seconds": seconds, "facts": facts, "error": error},
            None,
        )

    def _like(self, point: Mapping[str, Any], steps: int) -> list[TrialRecord]:
        """The recorded job whose student is most like this one."""
        gaps = np.abs(self._heads - features(point, steps)[:6]) / self._scale[:6]
        return self.jobs[int(np.argmin(gaps.sum(1)))]

    def _records(
        self, job: Job, space: SearchSpace, like: Sequence[TrialRecord], rng: np.random.Generator
    ) -> Iterator[TrialRecord]:
        """The plan asked for, then the cheap steps that the recorded job's sweep chose."""
        cheap = [[s for s in r.plan.steps if is_cheap(s)] for r in like[1 : job.sweep + 1]]
        for i, plan in enumerate([job.plan, *(job.plan.replacing(steps) for steps in cheap)]):
            point = space.nearest(_flat(plan))
            if rng.random() < 0.01:
                yield _failed(job, i, plan, point, "ExportMismatch: the file's logits differ by 0.2")
                continue
            measured = self.measured(point, job.fidelity.steps, rng)
            artifact = f"artifact-{plan.fingerprint}"
            name = f"{job.id}-{i}"
            yield TrialRecord(
                name, plan, point, job.fidelity, measurements=measured, artifact=artifact, source=job.source
            )

    def measured(self, point: Mapping[str, Any], steps: int, rng: np.random.Generator) -> dict[str, Measurement]:
        """Measurements of a plan after so many steps."""
        here = features(point, steps)
        nearest = int(np.argmin((np.abs(here - self._points) / self._scale).sum(1)))
        size, latency, lost, disagreed = here @ self._law + self._off[nearest]
        values = {
            "artifact_size": float(round(math.exp(size))),
            "compressed_size": float(round(0.95 * math.exp(size))),
            "latency": math.exp(latency + rng.normal(0, 0.05)),
            "task_score": float(np.clip(self._best - _unlog(lost) + rng.normal(0, 0.002), 0.4, 1)),
            "agreement": float(np.clip(1 - _unlog(disagreed) + rng.normal(0, 0.001), 0.4, 1)),
        }
        like = self.records[nearest].measurements
        return {name: Measurement(**{**m.to_json(), "value": values.get(name, m.value)}) for name, m in like.items()}

    def _targets(self, record: TrialRecord) -> list[float]:
        size, latency, score, agreement = (record.measurements[name].value for name in OBJECTIVES)
        return [math.log(size), math.log(latency), math.log(self._best - score + LOSS), math.log(1 - agreement + LOSS)]


def features(point: Mapping[str, Any], steps: int) -> np.ndarray:
    """Logarithms of what is kept and of the steps, then bits, sparsity and exits: the first six are the student's."""
    sizes = [math.log(float(point.get(name, 1))) for name in SIZES]
    bits = [math.log(min(16.0, float(point[f"{part}_bits.bits"]))) for part in ("embedding", "linear")]
    rest = [float(point["sparsity.fraction"]), float(point["exits.threshold"] < 1), 1.0]
    return np.array([*sizes, math.log(steps + 100), *bits, *rest])


def _unlog(value: float) -> float:
    return float(np.clip(math.exp(value) - LOSS, 0.0, 0.5))


def _flat(plan: CompressionPlan) -> dict[str, Any]:
    return {f"{s.technique}.{o}": v for s in plan.steps for o, v in s.options.items()}


def _failed(job: Job, index: int, plan: CompressionPlan, point: Mapping[str, Any], error: str) -> TrialRecord:
    return TrialRecord(f"{job.id}-{index}", plan, point, job.fidelity, "failed", source=job.source, error=error)


@dataclass
class SimulatedExecutor:
    """As an executor of a study, but results are replayed and the workers' clock is simulated.

    Attributes:
        on_end: called after each job's end.
        clock_s: the workers' clock.
        own_s, own_cpu_s: what the simulation itself took, to be taken off.
    """

    replay: Replay
    space: SearchSpace
    workers: int
    on_end: Callable[[SimulatedExecutor], None]
    threads: int = 1
    gpu_share: float = 0.0
    clock_s: float = 0.0
    own_s: float = 0.0
    own_cpu_s: float = 0.0
    ended: int = 0
    _ends: list[tuple[float, str]] = field(default_factory=list)
    _at_work: dict[str, Outcome] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """How many more jobs could start now."""
        return self.workers - len(self._at_work)

    @property
    def running(self) -> list[Mapping[str, Any]]:
        """Jobs that have not ended."""
        return [outcome[0] for outcome in self._at_work.values()]

    def submit(self, job: Mapping[str, Any], expected_s: float = 0.0) -> None:
        """Start a job."""
        began = time.perf_counter(), time.process_time()
        seconds, self._at_work[job["id"]] = self.replay.outcome(job, self.space)
        heapq.heappush(self._ends, (self.clock_s + seconds, job["id"]))
        self._take_off(began)

    def collect(self, timeout_s: float) -> list[Outcome]:
        """The job that ends next."""
        began = time.perf_counter(), time.process_time()
        self.clock_s, name = heapq.heappop(self._ends)
        self.ended += 1
        self.on_end(self)
        self._take_off(began)
        return [self._at_work.pop(name)]

    def news(self) -> list[dict[str, Any]]:
        """No nodes, no news."""
        return []

    def lost(self) -> list[Any]:
        """No attempts: a simulated job that dies is not tried again."""
        return []

    def parts(self) -> list[Any]:
        """None: a simulated job has one part."""
        return []

    def _take_off(self, began: tuple[float, float]) -> None:
        self.own_s += time.perf_counter() - began[0]
        self.own_cpu_s += time.process_time() - began[1]

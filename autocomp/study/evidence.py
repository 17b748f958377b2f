"""`RUN/evidence.json`: what the final front saw of each member, row by row and text by text, and what it was made of.

Figures are in the journal; this is what is behind them, for the pages (`report/cards/` reads it). It holds texts of the
held-out split on which models differ, so it is as private as the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocomp import strict_json
from autocomp.exit_rules._softmax import softmax
from autocomp.journal import read_events
from autocomp.journal.events import ResourcesCharged, TrialRecorded
from autocomp.pipeline.context import context_keys
from autocomp.pipeline.evaluate import PREDICTED
from autocomp.pipeline.plans import structural
from autocomp.plan import CompressionPlan, fingerprint
from autocomp.storage import write_atomically

if TYPE_CHECKING:
    from autocomp.pipeline.context import StudyContext
    from autocomp.result_cache import ResultCache
    from autocomp.study.front import Seen
    from autocomp.tasks import Example

FILE, VERSION = "evidence.json", 1
MOST_TEXTS, MOST_LETTERS = 400, 300
"""Texts that are kept of the rows on which a model and the teacher differ, and letters of each."""
MOST_TIMES = 400
"""Texts whose times are kept; percentiles are of all of them."""
LANDMARKS = ("teacher", "plain_int8")


def write_evidence(
    run: Path, context: StudyContext, found: Sequence[Mapping[str, Any]], seen: Mapping[str, Seen]
) -> dict[str, str]:
    """Write the file; it is whole or not there, and replaces an older one.

    Args:
        found: the final members: their `id` names them in the file, their `record` in `seen`.
        seen: what was scored and timed, landmarks too.

    Returns:
        Name of the file in the run folder and its SHA-256, for the journal.
    """
    data = strict_json.dumps(gather(run, context, found, seen), separators=strict_json.COMPACT).encode()
    write_atomically(run / FILE, data)
    return {"file": FILE, "sha256": hashlib.sha256(data).hexdigest()}


def gather(
    run: Path, context: StudyContext, found: Sequence[Mapping[str, Any]], seen: Mapping[str, Seen]
) -> dict[str, Any]:
    """The file's content, as docs/command-line.md describes it."""
    named = {m["id"]: m["record"] for m in found} | {name: name for name in LANDMARKS if name in seen}
    models = {name: _model(seen[record]) for name, record in named.items()}
    stages, lineage = _lineage(run, context.store, found, seen)
    rows = context.data.held_out
    differing, shown = rows_to_show({n: _sureness(seen[record].logits) for n, record in named.items()})
    return {
        "version": VERSION,
        "split": "held_out",
        "labels": list(context.data.labels),
        "truth": [int(e.label) for e in rows],
        "teacher_shape": asdict(context.teacher.encoder.shape),
        "models": models,
        "differing": differing,
        "texts": [_text(i, rows[i]) for i in shown],
        "stages": stages,
        "lineage": lineage,
    }


def _text(row: int, example: Example) -> dict[str, Any]:
    return {"row": row, "text": cut(example.text), "pair": None if example.pair is None else cut(example.pair)}


def _model(seen: Seen) -> dict[str, Any]:
    answers, confidence = _sureness(seen.logits)
    return {
        "answers": answers.tolist(),
        "confidence": np.round(confidence, 3).tolist(),
        "depths": list(seen.depths) or None,
        "latency": _latency(seen),
    }


def _sureness(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The label of each row, and its probability."""
    return logits.argmax(-1), softmax(logits.astype(float)).max(-1)


def _latency(seen: Seen) -> dict[str, Any]:
    """Each text's median over rounds, texts as they were timed, and percentiles over texts as `measures/latency.py`."""
    each = np.median(seen.times, axis=0)
    picks = np.unique(np.linspace(0, len(each) - 1, min(MOST_TIMES, len(each))).round().astype(int)).tolist()
    p50, p95, p99 = np.percentile(each, [50, 95, 99])
    return {
        "mean": float(each.mean()),
        "p50": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "rounds": len(seen.times),
        "texts": len(each),
        "ms": [round(float(each[i]), 4) for i in picks],
        "tokens": [seen.tokens[i] for i in picks] if len(seen.tokens) == len(each) else None,
        "predicted": seen.where == PREDICTED,
        "disturbed": seen.disturbed,
    }


def rows_to_show(sure: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[int, list[int]]:
    """On how many rows a model and the teacher differ, and the rows whose texts are kept, ascending.

    Those come first of which both are surest, each model in turn, so that no model's are crowded out.
    """
    if "teacher" not in sure:
        return 0, []
    theirs, their_confidence = sure["teacher"]
    lists = []
    for answers, confidence in sure.values():
        rows = np.flatnonzero(answers != theirs)
        lists.append(rows[np.argsort(-np.minimum(confidence, their_confidence)[rows], kind="stable")].tolist())
    turns = (one[i] for i in range(max(map(len, lists))) for one in lists if i < len(one))
    in_turn = list(dict.fromkeys(turns))
    return len(in_turn), sorted(in_turn[:MOST_TEXTS])


def cut(text: str) -> str:
    """At most so many letters."""
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def _lineage(
    run: Path, store: ResultCache, found: Sequence[Mapping[str, Any]], seen: Mapping[str, Seen]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Every stage once by key, and for each member the keys of what it was made of, oldest first."""
    keys, jobs, spent = context_keys(run), *_jobs(run)
    common = [keys.data, keys.teacher]
    stages = {key: _stage(store, key, []) for key in common}
    stages[keys.teacher]["parents"] = [keys.data]
    stages[keys.knowledge] = _stage(store, keys.knowledge, [keys.teacher])
    stages[keys.baseline] = _stage(store, keys.baseline, [keys.teacher])
    lineage = {"teacher": common, "plain_int8": [*common, keys.baseline]}
    for one in found:
        artifact = seen[one["record"]].folder.parent.name
        chain = [*common, keys.knowledge]
        for key in _students(store, store.inputs(artifact)["student"]):
            stages[key] = _stage(store, key, chain[1:] if chain[-1] == keys.knowledge else chain[-1:], jobs)
            chain.append(key)
        own = one["record"].rpartition("-")[0]
        stages[artifact] = {**_stage(store, artifact, chain[-1:]), "job": own}
        lineage[one["id"]] = [*chain, artifact]
    for stage in stages.values():
        stage["cpu_s"] = spent.get(stage["job"])
    return stages, lineage


def _students(store: ResultCache, last: str) -> Iterable[str]:
    """Keys of a student after each of its rungs; a rung that was cut short is named only where it is the last."""
    inputs = {k: v for k, v in store.inputs(last).items() if k != "stopped_after"}
    rungs = inputs.get("rungs") or []
    yield from (store.key("student", {**inputs, "rungs": rungs[:i]}) for i in range(1, len(rungs)))
    yield last


def _stage(
    store: ResultCache, key: str, parents: Sequence[str], jobs: Mapping[tuple[str, int], str] | None = None
) -> dict[str, Any]:
    """What is told of a stage; of one that lies elsewhere (a worker's cache) only that it was."""
    stage: dict[str, Any] = {"kind": key.partition("-")[0], "seconds": None, "parents": list(parents), "job": None}
    result = store.find(key)
    if result is None:
        return stage
    stage["seconds"] = round(store.seconds(key), 1)
    if stage["kind"] != "student":
        return stage
    inputs, facts = store.inputs(key), result.facts
    rungs = inputs.get("rungs") or []
    rung = int(rungs[-1]["rung"]) if rungs else -1
    stage["seconds"] = round(store.seconds(key) + float(facts.get("train_s", 0.0)), 1)  # trained before it is built
    stage["job"] = (jobs or {}).get((fingerprint(inputs["plan"]), rung))
    return {**stage, "rung": rung, "steps": facts.get("steps"), "stopped_after": inputs.get("stopped_after")}


def _jobs(run: Path) -> tuple[dict[tuple[str, int], str], dict[str, float]]:
    """The job that first made a student, by its structural plan and rung; and what each job held of the cores."""
    made: dict[tuple[str, int], str] = {}
    seen: set[str] = set()
    for event in read_events(run / "journal.jsonl", TrialRecorded):
        record, job = event.record, event.job
        if job in seen:  # one student a job
            continue
        seen.add(job)
        plan = structural(CompressionPlan.from_json(record["plan"]))
        name = (fingerprint(plan.to_json()), int(record["fidelity"]["rung"]))
        made.setdefault(name, job)
    charged = read_events(run / "journal.jsonl", ResourcesCharged)
    return made, {e.job: e.charge.cost.cpu_s for e in charged if e.job}

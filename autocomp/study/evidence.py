"""`RUN/evidence.json`: what the final front saw of each member, row by row and text by text, and what it was made of.

Figures are in the journal; this is what is behind them, for the pages (`report/cards/` reads it). It holds texts of the
held-out split on which models differ, so it is as private as the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

from autocomp import strict_json
from autocomp.exit_rules import softmax
from autocomp.journal import read_events
from autocomp.journal.events import ResourcesCharged, TrialRecorded
from autocomp.pipeline.context import LANDMARKS, context_keys
from autocomp.pipeline.evaluate import PREDICTED
from autocomp.pipeline.plans import structural
from autocomp.plan import CompressionPlan, fingerprint
from autocomp.storage import write_atomically
from autocomp.strict_json import JsonView

if TYPE_CHECKING:
    from autocomp.journal.member import EvidenceFile, Member
    from autocomp.pipeline.context import StudyContext
    from autocomp.result_cache import ResultCache
    from autocomp.study.front import Scored
    from autocomp.tasks import Example

FILE, VERSION = "evidence.json", 1
MOST_TEXTS, MOST_LETTERS = 400, 300
"""Texts that are kept of the rows on which a model and the teacher differ, and letters of each."""
MOST_TIMES = 400
"""Texts whose times are kept; percentiles are of all of them."""
Sureness = tuple[np.ndarray, np.ndarray]
"""The label of each row, and its probability, `[rows]` each."""


class LatencyEvidence(TypedDict):
    """Times of one file: percentiles over texts, and the times and tokens of some texts."""

    mean: float
    p50: float
    p95: float
    p99: float
    rounds: int
    texts: int
    ms: list[float]
    tokens: list[int] | None
    predicted: bool
    disturbed: bool


class ModelEvidence(TypedDict):
    """Answers of one file on each row of the held-out split, and its times."""

    answers: list[int]
    confidence: list[float]
    depths: list[int] | None
    latency: LatencyEvidence


class TextEvidence(TypedDict):
    """A text on which a model and the teacher differ."""

    row: int
    text: str
    pair: str | None


class StageEvidence(TypedDict):
    """A stage that a member was made of; the last three keys are those of a student."""

    kind: str
    seconds: float | None
    parents: list[str]
    job: str | None
    cpu_s: NotRequired[float | None]
    rung: NotRequired[int]
    steps: NotRequired[int | None]
    stopped_after: NotRequired[int | None]


class EvidenceJson(TypedDict):
    """The file's content, as docs/command-line.md describes it."""

    version: int
    split: str
    labels: list[str]
    truth: list[int]
    teacher_shape: JsonView
    models: dict[str, ModelEvidence]
    differing: int
    texts: list[TextEvidence]
    stages: dict[str, StageEvidence]
    lineage: dict[str, list[str]]


def write_evidence(
    run: Path, context: StudyContext, members: Sequence[Member], scored: Mapping[str, Scored]
) -> EvidenceFile:
    """Write the file; it is whole or not there, and replaces an older one.

    Args:
        members: of the final front: their `id` names them in the file, their `record` in `scored`.
        scored: what was scored and timed, landmarks too.

    Returns:
        Name of the file in the run folder and its SHA-256, for the journal.
    """
    data = strict_json.dumps(gather(run, context, members, scored), separators=strict_json.COMPACT).encode()
    write_atomically(run / FILE, data)
    return {"file": FILE, "sha256": hashlib.sha256(data).hexdigest()}


def gather(run: Path, context: StudyContext, members: Sequence[Member], scored: Mapping[str, Scored]) -> EvidenceJson:
    """The file's content."""
    named = {m["id"]: m["record"] for m in members} | {name: name for name in LANDMARKS if name in scored}
    models = {name: _model(scored[record]) for name, record in named.items()}
    stages, lineage = _lineage(run, context.store, members, scored)
    rows = context.data.held_out
    differing, kept = rows_to_show({n: _sureness(scored[record].logits) for n, record in named.items()})
    return {
        "version": VERSION,
        "split": "held_out",
        "labels": list(context.data.labels),
        "truth": context.data.targets("held_out").tolist(),
        "teacher_shape": asdict(context.teacher.encoder.shape),
        "models": models,
        "differing": differing,
        "texts": [_text(i, rows[i]) for i in kept],
        "stages": stages,
        "lineage": lineage,
    }


def _text(row: int, example: Example) -> TextEvidence:
    return {"row": row, "text": cut(example.text), "pair": None if example.pair is None else cut(example.pair)}


def _model(scored: Scored) -> ModelEvidence:
    answers, confidence = _sureness(scored.logits)
    return {
        "answers": answers.tolist(),
        "confidence": np.round(confidence, 3).tolist(),
        "depths": list(scored.depths) or None,
        "latency": _latency(scored),
    }


def _sureness(logits: np.ndarray) -> Sureness:
    return logits.argmax(-1), softmax(logits.astype(float)).max(-1)


def _latency(scored: Scored) -> LatencyEvidence:
    """Each text's median over rounds, texts as they were timed, and percentiles over texts as `measures/latency.py`."""
    each = np.median(scored.times, axis=0)
    picks = np.unique(np.linspace(0, len(each) - 1, min(MOST_TIMES, len(each))).round().astype(int)).tolist()
    p50, p95, p99 = np.percentile(each, [50, 95, 99])
    return {
        "mean": float(each.mean()),
        "p50": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "rounds": len(scored.times),
        "texts": len(each),
        "ms": [round(float(each[i]), 4) for i in picks],
        "tokens": [scored.tokens[i] for i in picks] if len(scored.tokens) == len(each) else None,
        "predicted": scored.where == PREDICTED,
        "disturbed": scored.disturbed,
    }


def rows_to_show(sure: Mapping[str, Sureness]) -> tuple[int, list[int]]:
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
    """The beginning of a text, with an ellipsis where something is left out."""
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def _lineage(
    run: Path, store: ResultCache, members: Sequence[Member], scored: Mapping[str, Scored]
) -> tuple[dict[str, StageEvidence], dict[str, list[str]]]:
    """Every stage once by key, and for each member the keys of what it was made of, oldest first."""
    keys, jobs, spent = context_keys(run), *_jobs(run)
    common = [keys.data, keys.teacher]
    stages = {key: _stage(store, key, []) for key in common}
    stages[keys.teacher]["parents"] = [keys.data]
    stages[keys.knowledge] = _stage(store, keys.knowledge, [keys.teacher])
    stages[keys.baseline] = _stage(store, keys.baseline, [keys.teacher])
    lineage = {"teacher": common, "plain_int8": [*common, keys.baseline]}
    for member in members:
        artifact = scored[member["record"]].folder.parent.name
        chain = [*common, keys.knowledge]
        for key in _students(store, store.inputs(artifact)["student"]):
            stages[key] = _stage(store, key, chain[1:] if chain[-1] == keys.knowledge else chain[-1:], jobs)
            chain.append(key)
        own = member["record"].rpartition("-")[0]
        stages[artifact] = {**_stage(store, artifact, chain[-1:]), "job": own}
        lineage[member["id"]] = [*chain, artifact]
    for stage in stages.values():
        stage["cpu_s"] = spent.get(stage["job"]) if stage["job"] else None
    return stages, lineage


def _students(store: ResultCache, last: str) -> Iterable[str]:
    """Keys of a student after each of its rungs; a rung that was cut short is named only where it is the last."""
    inputs = {k: v for k, v in store.inputs(last).items() if k != "stopped_after"}
    rungs = inputs.get("rungs") or []
    yield from (store.key("student", {**inputs, "rungs": rungs[:i]}) for i in range(1, len(rungs)))
    yield last


def _stage(
    store: ResultCache, key: str, parents: Sequence[str], jobs: Mapping[tuple[str, int], str] | None = None
) -> StageEvidence:
    """What is known of a stage; of one that lies elsewhere (a worker's cache) only that it was."""
    stage: StageEvidence = {"kind": key.partition("-")[0], "seconds": None, "parents": list(parents), "job": None}
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
    jobs: set[str] = set()
    for event in read_events(run / "journal.jsonl", TrialRecorded):
        record, job = event.record, event.job
        if job in jobs:  # one student a job
            continue
        jobs.add(job)
        plan = structural(CompressionPlan.from_json(record["plan"]))
        name = (fingerprint(plan.to_json()), int(record["fidelity"]["rung"]))
        made.setdefault(name, job)
    charged = read_events(run / "journal.jsonl", ResourcesCharged)
    return made, {e.job: e.charge.cost.cpu_s for e in charged if e.job}

"""What is kept of the final front: rows, texts, times."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from autocomp.pipeline.context import ContextKeys
from autocomp.report.cards import read_evidence
from autocomp.result_cache import ResultCache
from autocomp.study import evidence
from autocomp.study.front import Scored
from autocomp.tasks import Example
from autocomp.testing.models import tiny_shape

ROWS, TEXTS = 2000, 100
PLAN = {"steps": [{"technique": "depth", "options": {"layers": 1}}]}
RUNGS = [{"rung": 0, "steps": 20, "batch": 8}, {"rung": 1, "steps": 60, "batch": 8}]


def seen(folder, rows=ROWS, seed=0, where="here"):
    rng = np.random.default_rng(seed)
    times = rng.uniform(1, 2, (9, TEXTS))
    tokens = tuple(range(3, 3 + TEXTS))
    return Scored(folder, rng.normal(size=(rows, 2)).astype(np.float32), times, where, tokens, (2,) * rows)


@pytest.fixture
def study(tmp_path):
    """`run, context, store` of a study whose stages are there and whose student passed two rungs."""
    run, store = tmp_path / "run", ResultCache(tmp_path / "store")
    run.mkdir()
    names = ("data", "teacher", "knowledge", "baseline")
    made = {name: store.make(name, {"of": name}, lambda folder: {}).key for name in names}
    ContextKeys(str(store.root), made["data"], made["teacher"], made["knowledge"], made["baseline"], {}, "m", 0).write(
        run
    )
    rows = [Example(f"text {i} " + "x" * 400, "pair" if i % 2 else None, i % 2) for i in range(ROWS)]
    truth = np.array([row.target for row in rows])
    data = SimpleNamespace(held_out=rows, labels=("no", "yes"), targets=lambda _: truth)
    teacher = SimpleNamespace(encoder=SimpleNamespace(shape=tiny_shape()))
    return run, SimpleNamespace(store=store, data=data, teacher=teacher), store


def artifact(store, passed=2, **more):
    """An artifact stage of a student after its first rungs, each of them a stage."""
    for count in range(1, passed + 1):
        inputs = {"teacher": "t", "plan": PLAN, "seed": 0, "rungs": RUNGS[:count], **(more if count == passed else {})}
        facts = {"steps": RUNGS[count - 1]["steps"], "train_s": 100.0 * count}
        student = store.make("student", inputs, lambda folder, facts=facts: facts)
    return store.make("artifact", {"student": student.key, "plan": {}}, lambda folder: {}).folder / "artifact"


def journal(run, *events):
    (run / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def record(name, rung):
    fidelity = {"rung": rung, "steps": 20, "batch": 8}
    return {"event": "record", "at": 1.0, "record": {"id": name, "plan": PLAN, "fidelity": fidelity}}


def charge(job, cpu_s):
    return {"event": "charge", "at": 1.0, "job": job, "charge": {"what": "recovery", "cpu_s": cpu_s}}


def test_two_thousand_rows_and_sixteen_members_take_less_than_a_megabyte(study, tmp_path):
    run, context, store = study
    journal(run)
    folder = artifact(store)
    found = [{"id": f"m{i:02d}", "record": f"t0001-{i}"} for i in range(16)]
    every = {m["record"]: seen(folder, seed=i) for i, m in enumerate(found)}
    every |= {name: seen(tmp_path, seed=50) for name in ("teacher", "plain_int8")}
    proof = evidence.write_evidence(run, context, found, every)
    written = (run / "evidence.json").read_bytes()
    assert len(written) < 1_000_000
    assert proof == {"file": "evidence.json", "sha256": hashlib.sha256(written).hexdigest()}
    assert [p.name for p in run.iterdir() if p.name.startswith(".")] == []
    read = read_evidence(run, proof)
    assert read.notes == () and set(read.models) == {"teacher", "plain_int8", *(m["id"] for m in found)}
    assert read.teacher_shape == tiny_shape() and read.truth.tolist() == [0, 1] * (ROWS // 2)
    for one in found:
        own, kept = every[one["record"]], read.models[one["id"]]
        assert kept.answers.tolist() == own.logits.argmax(-1).tolist() and kept.depths.tolist() == [2] * ROWS
        assert kept.confidence.min() >= 0.5 and kept.latency["rounds"] == 9
        assert kept.latency["mean"] == pytest.approx(np.median(own.times, axis=0).mean())
        assert kept.latency["ms"] == pytest.approx(np.median(own.times, axis=0).tolist(), abs=1e-4)
        assert kept.latency["tokens"] == list(own.tokens)
    data = json.loads(written)
    assert len(data["texts"]) == evidence.MOST_TEXTS < data["differing"]
    assert {len(t["text"]) for t in data["texts"]} == {evidence.MOST_LETTERS}


def test_every_member_s_surest_differences_are_kept(monkeypatch):
    monkeypatch.setattr(evidence, "MOST_TEXTS", 4)
    sure = np.array([0.6, 0.9, 0.8, 0.7, 0.95, 0.5])
    answers = {"teacher": [0] * 6, "a": [1, 1, 1, 1, 0, 0], "b": [0, 0, 0, 0, 1, 1], "c": [0] * 6}
    count, rows = evidence.rows_to_show({name: (np.array(given), sure) for name, given in answers.items()})
    assert (count, rows) == (6, [1, 2, 4, 5])


def test_nothing_is_shown_where_all_agree_or_there_is_no_teacher():
    one = (np.array([0, 1]), np.array([0.9, 0.9]))
    assert evidence.rows_to_show({"teacher": one, "m01": one}) == (0, [])
    assert evidence.rows_to_show({"m01": one}) == (0, [])


def test_a_student_is_told_rung_by_rung_with_the_jobs_that_made_it(study, tmp_path):
    run, context, store = study
    events = [record("t0001-0", 0), charge("t0001", 40.0), record("t0004-0", 1), charge("t0004", 90.0)]
    journal(run, *events, record("t0009-0", 1))
    every = {"t0004-2": seen(artifact(store)), "teacher": seen(tmp_path)}
    data = evidence.gather(run, context, [{"id": "m01", "record": "t0004-2"}], every)
    chain = [data["stages"][key] for key in data["lineage"]["m01"]]
    assert [s["kind"] for s in chain] == ["data", "teacher", "knowledge", "student", "student", "artifact"]
    assert [s["job"] for s in chain[3:]] == ["t0001", "t0004", "t0004"]
    assert [s["cpu_s"] for s in chain[3:]] == [40.0, 90.0, 90.0]
    assert [s["seconds"] for s in chain[3:5]] == [pytest.approx(100, abs=1), pytest.approx(200, abs=1)]
    keys = data["lineage"]["m01"]
    assert [s["parents"] for s in chain] == [[], keys[:1], keys[1:2], keys[1:3], keys[3:4], keys[4:5]]


def test_a_rung_that_lies_elsewhere_or_was_cut_short_is_still_told(study, tmp_path):
    run, context, store = study
    journal(run)
    folder = artifact(store, stopped_after=7)
    first = store.key("student", {"teacher": "t", "plan": PLAN, "seed": 0, "rungs": RUNGS[:1]})
    (store.folder(first) / "stage.json").unlink()
    data = evidence.gather(run, context, [{"id": "m01", "record": "t0001-0"}], {"t0001-0": seen(folder)})
    chain = [data["stages"][key] for key in data["lineage"]["m01"]]
    assert chain[3]["kind"] == "student" and chain[3]["seconds"] is None
    assert chain[4]["stopped_after"] == 7 and chain[4]["steps"] == 60


def test_times_of_many_texts_are_thinned_and_percentiles_are_not(study, tmp_path):
    run, context, _ = study
    journal(run)
    times = np.arange(1.0, 2001.0)[None]
    one = Scored(tmp_path, np.zeros((ROWS, 2), np.float32), times, "predicted", tuple(range(2000)))
    latency = evidence.gather(run, context, [], {"teacher": one})["models"]["teacher"]["latency"]
    assert len(latency["ms"]) == len(latency["tokens"]) == evidence.MOST_TIMES
    assert latency["p99"] == np.percentile(times, 99) and latency["texts"] == 2000 and latency["predicted"]
    assert all(ms == tokens + 1 for ms, tokens in zip(latency["ms"], latency["tokens"], strict=True))


def test_figures_nobody_noted_are_null(study, tmp_path):
    run, context, _ = study
    journal(run)
    one = Scored(tmp_path, np.zeros((ROWS, 2), np.float32), np.ones((5, 10)))
    told = evidence.gather(run, context, [], {"teacher": one})["models"]["teacher"]
    assert told["depths"] is None and told["latency"]["tokens"] is None

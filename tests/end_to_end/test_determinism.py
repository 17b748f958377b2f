"""The same seed gives the same study."""

import hashlib

from autocomp.record import read_events, read_records
from autocomp.search import front
from autocomp.search.stages import default_store
from autocomp.testing.studies import SPACE


def run_of(autocomp, study, out, *flags):
    said = autocomp("search", study, "--out", out, "--quiet", *flags)
    assert said.status == 0, said.err
    jobs = [
        {k: e[k] for k in ("job", "kind", "plan", "describe", "fidelity", "rungs", "source")}
        for e in read_events(out / "journal.jsonl", "started")
    ]
    first = next(r for r in read_records(out / "journal.jsonl") if r.id == "t0001-0")
    model = default_store() / first.artifact / "artifact" / "model.onnx"
    return jobs, first.artifact, hashlib.sha256(model.read_bytes()).hexdigest()


def test_the_same_seed_gives_the_same_plans_and_the_same_bytes(autocomp, tiny, tmp_path, inline, monkeypatch):
    monkeypatch.setattr(front, "TIMING_S", 0.0)
    study = tiny(teacher_epochs=3.0, budget="2trials", space={**SPACE, "start": SPACE["start"][1:]})
    found = []
    for name in "ab":
        monkeypatch.setenv("AUTOCOMP_CACHE", str(tmp_path / name))
        found.append(run_of(autocomp, study, tmp_path / f"run-{name}", "--seed", 7))
    assert found[0] == found[1]
    assert [job["source"] for job in found[0][0]] == ["start", "tpe"]

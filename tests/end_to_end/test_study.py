"""One tiny real study through every verb, and what its files are worth elsewhere."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import autocomp as autocomp_package
from autocomp.api import Run
from autocomp.artifact.loader import load
from autocomp.journal import read_lines, read_records
from autocomp.models.loading import load_teacher
from autocomp.pipeline.checkpoint_export import converted
from autocomp.pipeline.export import write_artifact
from autocomp.report.cards import card, evidence_of, parts
from autocomp.report.page import page_data
from autocomp.report.summary import read_state
from autocomp.spec import read_objective
from autocomp.study.losses import LossScale
from autocomp.tasks import Example
from autocomp.testing.studies import WORDS
from autocomp.training.batches import encode
from autocomp.training.predictions import predict

ROOT = Path(__file__).parents[2]
TEXTS = ["the film was great", "with his this boring bad"]


def documented(heading):
    """Keys of a table in docs/command-line.md under a heading or sentence."""
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8").split(heading, 1)[1]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", text.split("\n\n|", 1)[1].split("\n\n")[0], re.MULTILINE)
    assert rows
    return {key for row in rows for key in re.findall(r"`(\w+)`", row[0])}


def show(autocomp, run):
    said = autocomp("show", run, "--json")
    assert said.status == 0, said.err
    return json.loads(said.out)


def test_search_ends_with_the_summary_that_show_prints(finished, autocomp):
    assert finished.summary == show(autocomp, finished.run)
    assert (finished.summary["status"], finished.summary["reason"]) == ("finished", "all trials done")
    assert finished.summary["final"] is True and finished.err == ""


def test_show_has_the_documented_keys(finished):
    keys = documented("## `show --json`")
    assert len(keys) >= 12 and keys <= set(finished.summary)
    member = documented("are described alike")
    assert len(member) >= 15
    for one in finished.summary["members"]:
        assert member - set(one) == set()
        assert [k for k in member if one[k] is None] == []
    for landmark in ("teacher", "plain_int8"):
        assert member - set(finished.summary[landmark]) <= {"plan", "dominates_plain_int8", "student_agreement"}
        assert finished.summary[landmark]["score"] is not None


def test_the_study_did_what_it_was_told(finished):
    jobs = list(read_lines(finished.run / "journal.jsonl", "started"))
    assert [j["job"] for j in jobs] == ["t0001", "t0002", "t0003"]
    assert [(j["kind"], j["source"]) for j in jobs] == [
        ("post_training", "start"),
        ("recovery", "start"),
        ("recovery", "tpe"),
    ]
    assert [j["fidelity"]["steps"] for j in jobs] == [0, 20, 20]
    records = read_records(finished.run / "journal.jsonl")
    assert {r.status for r in records} == {"complete"}
    assert {r.id.split("-")[0] for r in records} == {j["job"] for j in jobs}
    first = next(r for r in records if r.id == "t0002-0")
    assert (first.plan.options("depth")["layers"], first.plan.options("embedding_bits")["bits"]) == (1, 4)


def test_the_students_learnt_the_task(finished):
    assert finished.summary["teacher"]["score"] > 0.95
    assert max(m["score"] for m in finished.summary["members"]) > 0.9


def test_files_are_exactly_as_large_as_shown(finished):
    shown = [finished.summary["teacher"], finished.summary["plain_int8"], *finished.summary["members"]]
    for one in shown:
        files = [f for f in Path(one["path"]).rglob("*") if f.is_file()]
        assert sum(f.stat().st_size for f in files) == one["bytes"]
    sizes = [m["bytes"] for m in finished.summary["members"]]
    assert sizes == sorted(sizes) and max(sizes) < finished.summary["teacher"]["bytes"]


def test_every_member_is_there_and_nothing_else(finished):
    front = finished.run / "front"
    assert {p.name for p in front.iterdir()} == {m["id"] for m in finished.summary["members"]}
    assert not (finished.run / "work").exists()
    assert list(finished.run.rglob(".*")) == []


def test_the_ledger_covers_the_time_at_work(finished, books):
    books(finished.run, trials=3)
    events = list(read_lines(finished.run / "journal.jsonl"))
    elapsed = next(e["at"] for e in events if e["event"] == "front") - events[0]["at"]
    spent = finished.summary["budget"]["spent"]
    assert spent["wall_s"] == pytest.approx(elapsed, abs=1.0)
    assert spent["trials"] == 3 and finished.summary["trials"]["jobs"] == 3
    parts = finished.summary["budget"]["by_purpose"].values()
    assert sum(p["wall_s"] for p in parts) == pytest.approx(spent["wall_s"], abs=0.01)


ELSEWHERE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "optuna", "datasets", "pydantic", "yaml", "sklearn", "onnx"}:
            raise ImportError(f"{name} is not here")
sys.meta_path.insert(0, Refuse())
import autocomp, json
for folder in sys.argv[2:]:
    print(json.dumps([p.label for p in autocomp.load(folder).predict(json.loads(sys.argv[1]))]))
"""


def test_artifacts_need_only_the_runtime(finished):
    folders = [m["path"] for m in (finished.summary["teacher"], *finished.summary["members"])]
    command = [sys.executable, "-c", ELSEWHERE, json.dumps(TEXTS), *folders]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(folders) and answers[0] == ["positive", "negative"]


def test_export_predict_benchmark_report(finished, autocomp, tmp_path):
    out = tmp_path / "guard"
    said = autocomp("export", finished.run, "--pick", "best", "--out", out, "--json")
    member = json.loads(said.out)
    original = finished.run / "front" / member["id"]
    digests = [{f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in d.iterdir()} for d in (out, original)]
    assert digests[0] == digests[1] and {"model.onnx", "manifest.json"} <= set(digests[0])
    assert autocomp("export", finished.run, "--out", out).status == 2

    lines = [json.loads(line) for line in autocomp("predict", out, "--json", *TEXTS).out.splitlines()]
    assert [line["text"] for line in lines] == TEXTS
    assert all(set(line["scores"]) == set(WORDS) and abs(sum(line["scores"].values()) - 1) < 1e-3 for line in lines)

    timed = json.loads(autocomp("benchmark", finished.run / "teacher", out, "--tokens", "8", "--json").out)
    assert [Path(t["artifact"]).name for t in timed] == ["teacher", "guard"]
    assert timed[1]["bytes"] == member["bytes"] and timed[1]["times_smaller"] > 1

    page = tmp_path / "front.html"
    assert autocomp("report", finished.run, "--out", page).status == 0
    assert all(m["id"] in page.read_text(encoding="utf-8") for m in finished.summary["members"])
    assert (finished.run / "report.html").stat().st_size > 1000


def test_the_page_of_a_real_study(finished):
    [run] = page_data([finished.run])["runs"]
    assert documented("Of each run:") <= set(run) and set(run["cards"]) >= {m["id"] for m in run["summary"]["members"]}
    assert all(documented("Of each card,") == set(card) for card in run["cards"].values())
    complete = [r for r in read_records(finished.run / "journal.jsonl") if r.status == "complete"]
    trials = run["trials"]
    assert trials["id"] == [r.id for r in complete]
    assert {o["key"] for o in run["objectives"]} <= set(trials["values"])
    assert all(key in member for member in run["summary"]["members"] for key in trials["values"])
    spec = finished.summary["run"] + "/study.json"
    objectives = tuple(
        read_objective(name) for name in json.loads(Path(spec).read_text(encoding="utf-8"))["objectives"]
    )
    told = next(read_lines(finished.run / "journal.jsonl", "teacher"))["values"]
    judge = LossScale(objectives, tuple(told[o.name] for o in objectives))
    volume = judge.hypervolume([r for r in complete if judge.is_feasible(r)])
    assert run["progress"]["hypervolume"][-1] == pytest.approx(volume, rel=1e-4)
    spent = finished.summary["budget"]["spent"][run["progress"]["unit"]]
    assert run["progress"]["spent"][-1] == pytest.approx(spent, rel=1e-4)


def test_a_member_s_manifest_tells_its_story(finished):
    for member in finished.summary["members"]:
        manifest = json.loads((Path(member["path"]) / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["labels"] == list(WORDS) and manifest["measurements"]["score"] == member["score"]
        assert manifest["plan"] == member["plan"]


def test_evidence_agrees_with_the_summary_and_every_member_has_a_whole_card(finished):
    state = read_state(finished.run)
    evidence = evidence_of(finished.run, state)
    stated = hashlib.sha256((finished.run / "evidence.json").read_bytes()).hexdigest()
    assert state.front.evidence == {"file": "evidence.json", "sha256": stated} and evidence.notes == ()
    for member in [finished.summary["teacher"], finished.summary["plain_int8"], *finished.summary["members"]]:
        made = card(finished.run, member, evidence)
        assert made["notes"] == [] and [name for name in parts if made[name] is None] == []
        right = sum(row[i] for i, row in enumerate(made["answers"]["confusion"]))
        assert right / made["answers"]["n"] == member["score"]
        assert made["latency"]["mean"] == member["latency_ms"] and made["latency"]["p95"] == member["latency_p95_ms"]
        assert len(made["latency"]["ms"]) == len(made["latency"]["tokens"]) == len(made["latency"]["teacher_ms"]) == 80
        assert made["sizes"]["total"] == member["bytes"] == sum(p["bytes"] for p in made["sizes"]["parts"])
        assert made["differences"]["count"] == round((1 - member["held_out_agreement"]) * made["answers"]["n"])
        assert sum(made["exits_used"]["fractions"]) == pytest.approx(1)
        assert made["exits_used"]["depths"][-1] <= len(made["layers"]["rows"])


def test_a_member_s_lineage_names_the_jobs_that_made_it(finished):
    evidence = evidence_of(finished.run, read_state(finished.run))
    for member in finished.summary["members"]:
        lineage = card(finished.run, member, evidence)["lineage"]
        assert [s["kind"] for s in lineage] == ["data", "teacher", "knowledge", "student", "artifact"]
        assert lineage[-1]["job"] == member["record"].split("-")[0] and lineage[-1]["cpu_s"] > 0
        assert lineage[-2]["job"] in {"t0001", "t0002", "t0003"} and all(s["seconds"] >= 0 for s in lineage)
        assert Path(member["student"]).name == lineage[-2]["key"]


def test_weights_of_every_member_are_kept_and_make_its_file_again(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOCOMP_CACHE", str(tmp_path / "emptied"))
    for member in finished.summary["members"]:
        write_artifact(converted(member), tmp_path / member["id"])
        assert (tmp_path / member["id"] / "model.onnx").read_bytes() == Path(member["path"], "model.onnx").read_bytes()
    kept = {member["student"] for member in finished.summary["members"]} | {finished.summary["teacher"]["student"]}
    assert {str(p) for p in (finished.run / "students").iterdir()} == kept


def test_checkpoints_answer_as_the_files_do(finished, tmp_path, autocomp):
    texts = [f"the film was {word} with his this" for words in WORDS.values() for word in words]
    for member in (finished.summary["teacher"], *finished.summary["members"]):
        out = tmp_path / member["id"]
        said = autocomp("export", finished.run, "--pick", member["id"], "--as", "checkpoint", "--out", out, "--json")
        assert said.status == 0, said.err
        is_regular = json.loads(said.out)["form"] == "hugging_face"
        student = load_teacher(str(out), max_length=24).student if is_regular else autocomp_package.load(out)
        has_exits = bool(load(member["path"]).session.get_overridable_initializers())
        predictor = load(member["path"], exit_threshold="never" if has_exits else None)
        expected = np.concatenate([predictor.run(inputs)[0] for inputs in predictor.batches(texts)])
        found = predict(student, encode(student, [Example(t, None, 0) for t in texts])).logits
        assert np.abs(found - expected).max() < 0.1 * expected.std(), member["describe"]
        card = (out / "README.md").read_text(encoding="utf-8")
        assert member["describe"] in card and f"{member['score']:.4f}" in card


def test_a_checkpoint_is_refused_where_no_weights_are(finished, tmp_path, autocomp):
    said = autocomp("export", finished.run, "--pick", "plain_int8", "--as", "checkpoint", "--out", tmp_path / "x")
    assert said.status == 2 and "no trainable weights of plain_int8" in said.err
    assert Run(finished.run).export("best", tmp_path / "there", form="checkpoint") == tmp_path / "there"
    said = autocomp("export", finished.run, "--as", "checkpoint", "--out", tmp_path / "there")
    assert said.status == 2 and "not overwritten" in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["there"] and (tmp_path / "there" / "README.md").is_file()


def test_resume_of_a_finished_run_only_shows_it(finished, autocomp):
    before = (finished.run / "journal.jsonl").read_bytes()
    said = autocomp("resume", finished.run, "--quiet", "--json")
    assert said.status == 0 and json.loads(said.out) == finished.summary
    assert (finished.run / "journal.jsonl").read_bytes() == before

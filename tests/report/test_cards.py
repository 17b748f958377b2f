"""A member's card, part by part, from made-up runs and from files of a real writer."""

import json
import shlex
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from autocomp.artifact.files import artifact_bytes, update_manifest
from autocomp.models.student import save_student
from autocomp.pipeline.export import write_artifact
from autocomp.pipeline.plans import convert
from autocomp.plan import CompressionPlan, Step
from autocomp.report.cards import _stored as stored_module
from autocomp.report.cards import card, evidence_of, parts, read_evidence
from autocomp.report.run_view import RunView
from autocomp.report.summary import read_state, summarise
from autocomp.techniques import Context
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.runs import TEXTS, evidence, front, journal, put_evidence, write_run

PLAN = CompressionPlan((
    Step("linear_bits", {"bits": 4.0}),
    Step("embedding_bits", {"bits": 3}),
    Step("exits", {"rule": "probability", "threshold": 0.9}),
))  # fmt: skip


@pytest.fixture
def run(tmp_path):
    run = write_run(tmp_path / "demo")
    put_evidence(run)
    return run


def opened(run):
    state = read_state(run)
    return summarise(state, run)["members"], evidence_of(run, state)


@pytest.fixture(scope="module")
def filed(tmp_path_factory):
    """A finished run whose member m01 has a real student and real files."""
    run = tmp_path_factory.mktemp("filed") / "demo"
    plan, events = PLAN, journal()
    student = random_student(tiny_shape(exits=(1, 2)))
    student, plan = convert(student, plan, Context())
    last = next(e for e in events if e["event"] == "front")
    last["members"][0] |= {"plan": plan.to_json(), "student": "students/student-0"}
    write_run(run, events)
    teacher = random_student(tiny_shape(exits=()))
    save_student(teacher, run / "students" / "teacher-0" / "x")
    for file in (run / "students" / "teacher-0" / "x").iterdir():
        shutil.move(file, run / "students" / "teacher-0" / file.name)
    save_student(student, run / "students" / "student-0")
    shutil.rmtree(run / "front" / "m01")
    write_artifact(student, run / "front" / "m01", {"plan": plan.to_json()})
    return run


def test_every_part_is_one_file_and_a_card_has_the_keys_of_the_page(run):
    expected = "answers commands differences exits_used latency layers lineage plan_yaml sizes words"
    assert parts.names() == expected.split()
    members, found = opened(run)
    made = card(run, members[0], found)
    assert set(made) == {"id", "describe", "notes", *parts.names()}
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_answers_are_counted_as_one_counts_by_hand(run):
    data = evidence(["m01"], rows=6)
    data["truth"] = [0, 0, 0, 1, 1, 1]
    data["models"]["m01"]["answers"] = [0, 0, 1, 1, 1, 0]
    data["models"]["teacher"]["answers"] = [0, 0, 0, 1, 1, 0]
    data["texts"] = [{"row": 2, "text": "x" * 999, "pair": "y"}]
    put_evidence(run, data)
    members, found = opened(run)
    made = card(run, members[0], found)
    answers = made["answers"]
    assert answers["confusion"] == [[2, 1], [1, 2]] and answers["teacher_confusion"] == [[3, 0], [1, 2]]
    assert [(c["label"], c["n"]) for c in answers["classes"]] == [("benign", 3), ("injection", 3)]
    assert answers["classes"][0]["precision"] == answers["classes"][0]["f1"] == pytest.approx(2 / 3)
    assert answers["classes"][1]["teacher_f1"] == pytest.approx(0.8)
    [shown] = made["differences"]["shown"]
    assert (shown["truth"], shown["teacher"], shown["member"]) == ("benign", "benign", "injection")
    assert len(shown["text"]) == 300 and shown["text"].endswith("…") and shown["pair"] == "y"


def test_a_label_that_nobody_gives_has_zeros_and_no_warning(run, recwarn):
    data = evidence(["m01"], rows=4)
    data |= {"labels": ["a", "b", "c"], "truth": [0, 0, 1, 1], "texts": []}
    data["models"]["m01"]["answers"] = [0, 0, 0, 0]
    put_evidence(run, data)
    members, found = opened(run)
    classes = card(run, members[0], found)["answers"]["classes"]
    assert [c["f1"] for c in classes[1:]] == [0, 0] and classes[2]["n"] == 0 and not recwarn.list


def test_differences_come_surest_first_and_at_most_twelve(run):
    members, found = opened(run)
    made = card(run, members[0], found)["differences"]
    sure = [min(one["teacher_confidence"], one["member_confidence"]) for one in made["shown"]]
    assert made["count"] > len(sure) == 12 and sure == sorted(sure, reverse=True)
    assert all(one["teacher"] != one["member"] and one["text"].startswith(TEXTS) for one in made["shown"])


def test_without_texts_only_the_count_is_told(run):
    members, found = opened(run)
    made = card(run, members[0], found, texts=False)
    assert made["differences"]["shown"] == [] and made["differences"]["count"] > 12
    assert "row " not in json.dumps(made)


def test_latency_exits_and_lineage_are_those_of_the_evidence(run):
    members, found = opened(run)
    made, data = card(run, members[1], found), evidence([m["id"] for m in members])
    told = data["models"]["m02"]
    assert made["latency"]["ms"] == told["latency"]["ms"] and made["latency"]["p99"] == told["latency"]["p99"]
    assert made["latency"]["teacher_ms"] == data["models"]["teacher"]["latency"]["ms"]
    share = told["depths"].count(1) / 200
    assert made["exits_used"] == {"depths": [1, 2], "fractions": [share, 1 - share]}
    assert [s["kind"] for s in made["lineage"]] == ["data", "teacher", "knowledge", "student", "artifact"]
    assert made["lineage"][3]["text"] == "the student at rung 0: 200 steps of training in all"
    assert made["words"][-1].startswith(f"Of the held-out texts {100 * share:.0f} % after layer 1 were answered")


def test_texts_timed_elsewhere_are_not_set_beside_the_teacher_s(run):
    data = evidence(["m01"])
    data["models"]["teacher"]["latency"] |= {"ms": [1.0], "tokens": [3]}
    put_evidence(run, data)
    members, found = opened(run)
    assert card(run, members[0], found)["latency"]["teacher_ms"] == []


def test_sizes_and_layers_are_read_from_the_files(filed):
    members, _ = opened(filed)
    made = card(filed, members[0], None)
    assert made["notes"] == []
    sizes = {p["part"]: p["bytes"] for p in made["sizes"]["parts"]}
    assert sum(sizes.values()) == made["sizes"]["total"] == artifact_bytes(filed / "front" / "m01")
    assert min(sizes.values()) > 0 and {"embeddings", "attention", "feed_forward", "norms", "exits"} <= set(sizes)
    layers, shape = made["layers"], tiny_shape()
    assert len(layers["rows"]) == shape.depth and layers["teacher"]["layers"] == shape.depth
    assert [r["attention"]["bits"] for r in layers["rows"]] == [[4] * 4] * shape.depth
    assert layers["embeddings"]["bits"] == 3
    assert [r["exit"] and r["exit"]["threshold"] for r in layers["rows"]] == [0.9, 0.9, None]
    assert sum(r["attention"]["bytes"] for r in layers["rows"]) == sizes["attention"]
    assert layers["rows"][0]["feed_forward"]["width"] == shape.blocks[0].feed_forward


def test_a_candidate_without_files_has_its_layers_from_the_plan(filed):
    steps = [
        Step("depth", {"layers": 2, "placement": "even", "kept": [0, 2]}),
        Step("attention_heads", {"kept": 0.5, "per_layer": [2, 1]}),
        Step("feed_forward", {"kept": 0.5, "per_layer": [32, 16]}),
        Step("vocabulary", {"pieces": 300}),
        Step("linear_bits", {"bits": 2.5, "per_group": {"blocks.0.attention": 2, "blocks.0.feed_forward": 3,
                                                        "blocks.1.attention": 4, "blocks.1.feed_forward": 2}}),
        Step("sparsity", {"fraction": 0.5, "per_group": {"blocks.0.attention": 0.25}}),
        Step("exits", {"threshold": 0.9}),
    ]  # fmt: skip
    candidate = {"id": "t0007-1", "describe": "2 of 3 layers", "plan": CompressionPlan(tuple(steps)).to_json()}
    made = card(filed, candidate, None)
    assert made["notes"] == [] and made["sizes"] is None and made["commands"] is None and made["answers"] is None
    layers = made["layers"]
    assert layers["vocabulary"] == 300
    assert [r["teacher_layer"] for r in layers["rows"]] == [1, 3]
    assert [(r["attention"]["heads"], r["feed_forward"]["width"]) for r in layers["rows"]] == [(2, 32), (1, 16)]
    assert [(r["attention"]["bits"], r["feed_forward"]["bits"]) for r in layers["rows"]] == [(2, 3), (4, 2)]
    assert [r["attention"]["sparsity"] for r in layers["rows"]] == [0.25, 0.5]
    assert [r["exit"] for r in layers["rows"]] == [{"rule": "probability", "threshold": 0.9}, None]
    assert made["words"][0] == "Keeps 2 of the teacher's 3 layers: numbers 1 and 3 from below."
    assert "Weights of the linear layers take 2 bits each instead of 32; 3 in feed-forward of layer 1" in " ".join(
        made["words"]
    )


def test_sizes_that_the_journal_has_are_asked_of_no_technique(filed):
    shape = replace(tiny_shape(exits=(1,)), order=(0, 1), hidden=12, tokens=(1.0, 0.5))
    facts = json.loads(json.dumps({"shape": shape.to_json(), "origin": [2, 0]}))
    plan = CompressionPlan((Step("of_a_plug_in", {"size": 12}), Step("depth", {"layers": 1, "kept": [1]})))
    layers = card(filed, {"id": "t0001-0", "plan": plan.to_json()}, None, student=facts)["layers"]
    assert layers["hidden"] == 12 and [row["teacher_layer"] for row in layers["rows"]] == [3, 1]
    assert len(card(filed, {"id": "t0001-0", "plan": plan.to_json()}, None)["layers"]["rows"]) == 1  # an older journal


def test_a_card_has_its_sizes_from_where_its_job_was_started(filed, tmp_path):
    events = journal(finished=False)
    facts = {"shape": replace(tiny_shape(exits=()), hidden=20).to_json(), "origin": [0, 1, 2]}
    for event in events:
        if event["event"] == "started" and event["job"] == "t0004":
            event["student"] = facts
    names = ["t0004-1", "t0007-1"]
    members = [{**one, "id": name, "record": name, "path": None} for one, name in zip(front(2), names, strict=True)]
    run = write_run(tmp_path / "going_on", [*events, {"event": "candidates", "at": 2e9, "members": members}])
    shutil.copytree(filed / "students" / "teacher-0", run / "students" / "teacher-0")
    followed = RunView(run)
    hidden = [followed.card(name)["layers"]["hidden"] for name in names]
    assert hidden == [20, tiny_shape().hidden] and hidden[1] != 20


def test_layers_that_share_a_block_count_its_bytes_once(filed):
    plan = CompressionPlan((Step("layer_sharing", {"layers": 3, "runs": [3]}),))
    rows = card(filed, {"id": "t0001-0", "plan": plan.to_json()}, None)["layers"]["rows"]
    assert [r["block"] for r in rows] == [0, 0, 0]


def test_a_moved_run_still_shows_everything(filed, tmp_path):
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(filed, moved)
    before = card(filed, opened(filed)[0][0], None)
    after = card(moved, opened(moved)[0][0], None)
    assert str(moved) in after["commands"]["export"]
    assert {**before, "commands": None} == {**after, "commands": None} and after["layers"] and after["sizes"]


def test_files_outside_the_run_are_not_looked_at(filed, tmp_path):
    other = write_run(tmp_path / "other")
    member = {**opened(other)[0][0], "path": str(filed / "front" / "m01"), "student": "../../filed0/demo/students"}
    made = card(other, member, None)
    assert made["sizes"] is None and made["commands"] is None and made["layers"] is None


def test_damaged_files_leave_the_other_parts_and_a_note(filed, tmp_path):
    run = tmp_path / "demo"
    shutil.copytree(filed, run)
    with (run / "front" / "m01" / "model.onnx").open("ab") as file:
        file.write(b"more")
    made = card(run, opened(run)[0][0], None)
    assert made["sizes"] is None and made["layers"] is None and made["words"] and made["plan_yaml"]
    assert len(made["notes"]) == 2 and all("damaged" in note for note in made["notes"])


def test_a_file_is_read_once_and_again_when_it_changed(filed, monkeypatch):
    read, weights = [], stored_module._weights
    monkeypatch.setattr(stored_module, "_weights", lambda folder: read.append(folder) or weights(folder))
    monkeypatch.setattr(stored_module, "_BY_CHECKSUM", {})
    stored_module._stored.cache_clear()
    member = opened(filed)[0][0]
    first = card(filed, member, None)["sizes"]["total"]
    assert card(filed, member, None)["sizes"]["total"] == first and len(read) == 1
    update_manifest(filed / "front" / "m01", measurements={"score": 0.5})
    assert card(filed, member, None)["sizes"]["total"] > first and len(read) == 1


def test_commands_are_what_a_shell_takes(filed, tmp_path):
    run = tmp_path / "it's a run"
    shutil.copytree(filed, run)
    commands = card(run, opened(run)[0][0], None)["commands"]
    words = shlex.split(commands["export"])
    assert words[-6:] == ["export", str(run), "--pick", "m01", "--out", "m01"]
    assert shlex.split(commands["benchmark"])[-2:] == [str(run / "teacher"), "m01"]
    assert words[:-6] in (["autocomp"], [sys.executable, "-m", "autocomp"])


def test_the_plan_is_yaml_without_what_is_unset(filed):
    import yaml

    made = card(filed, opened(filed)[0][0], None)
    told = yaml.safe_load(made["plan_yaml"])
    assert list(told) == ["linear_bits", "embedding_bits", "exits"] and told["exits"]["threshold"] == 0.9
    assert card(filed, {"id": "teacher"}, None)["plan_yaml"] == ""


def test_a_technique_that_is_not_installed_is_said_to_be(filed):
    plan = {"steps": [{"technique": "folding", "options": {"x": 1}}]}
    words = card(filed, {"id": "m09", "plan": plan}, None)["words"]
    assert words == ["Uses the technique folding, which is not installed here."]


def test_an_older_run_has_no_evidence_and_no_notes(tmp_path):
    run = write_run(tmp_path / "old")
    members, found = opened(run)
    made = card(run, {**members[0], "path": None}, found)
    assert found is None and made["notes"] == [] and made["answers"] is None and made["lineage"] is None
    assert made["words"] == ["1 of 6 layers.", "4,000 pieces.", "3 bits."]


DAMAGE = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[1, 2]",
    "deep": lambda text: "[" * 100_000,
    "another version": lambda text: text.replace('"version": 1', '"version": 2', 1),
    "NaN": lambda text: text.replace('"p99": ', '"p99": NaN, "x": ', 1),
    "infinite": lambda text: text.replace('"p99": ', '"p99": 1e999, "x": ', 1),
    "a label beyond": lambda text: text.replace('"truth": [', '"truth": [7, ', 1),
    "rows missing": lambda text: text.replace('"answers": [', '"answers": [0, ', 1),
    "text of another type": lambda text: text.replace('"pair": null', '"pair": {"a": 1}', 1),
    "shape of another type": lambda text: text.replace('"vocabulary": 30522', '"x": 1', 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_evidence_is_a_note_and_never_an_exception(run, damage):
    file = run / "evidence.json"
    text = DAMAGE[damage](file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    members, found = opened(run)
    assert "is not the one that the journal names" in found.notes[0]
    found = read_evidence(run)
    assert found.models == {} and "damaged" in found.notes[0]
    made = card(run, members[0], found)
    assert made["answers"] is None and made["latency"] is None and made["notes"] and made["words"]


def test_evidence_that_is_gone_is_a_note(run):
    (run / "evidence.json").unlink()
    _, found = opened(run)
    assert found.models == {} and "cannot be read" in found.notes[0]


def test_a_part_that_fails_leaves_the_others(run, monkeypatch):
    def broken(subject):
        raise RuntimeError("on purpose")

    monkeypatch.setitem(parts._loaded, "words", broken)
    members, found = opened(run)
    made = card(run, members[0], found)
    assert made["words"] is None and "words cannot be shown: on purpose" in made["notes"] and made["answers"]


def test_front_members_all_have_evidence(run):
    _, found = opened(run)
    assert {m["id"] for m in front()} < set(found.models) and np.isin(found.truth, [0, 1]).all()

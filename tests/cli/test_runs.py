"""The verbs that read a run: show, export, report."""

import json
import re
import shlex
from pathlib import Path

import pytest

from autocomp.cli import build_parser
from autocomp.testing.runs import journal, write_run


def commands(text):
    """The autocomp commands that a text shows after a colon and two spaces."""
    lines = [line.split(":  ", 1)[1] for line in text.splitlines() if ":  " in line and "autocomp" in line]
    return [shlex.split(line) for line in lines]


def test_show(autocomp, finished):
    status, out, err = autocomp("show", finished)
    assert (status, err) == (0, "")
    assert "plain int8" in out and "0.9305 ± 0.0031" in out and "×218" in out
    assert [line.split()[0] for line in out.splitlines() if " * " in line] == ["m07", "m08", "m09"]


def test_the_positive_label_stands_where_the_score_is_shown(autocomp, finished, tmp_path):
    assert "accuracy" in autocomp("show", finished)[1] and "accuracy of" not in autocomp("show", finished)[1]
    events = journal()
    events[0]["data"] |= {"metric": "f1", "positive": "injection"}
    run = write_run(tmp_path / "f1", events)
    assert "f1 of injection" in autocomp("show", run)[1]
    assert json.loads(autocomp("show", run, "--json")[1])["positive"] == "injection"
    assert "f1 of injection" in autocomp("export", run, "--pick", "f1>=0.1", "--out", tmp_path / "out")[1]
    events[0]["data"]["positive"] = "a\nlong label " * 9
    assert f"f1 of {'a long label ' * 9}"[:46] in autocomp("show", write_run(tmp_path / "long", events))[1]


def test_show_tells_what_was_decided_while_data_and_model_were_read(autocomp, finished):
    (note,) = json.loads(autocomp("show", finished, "--json")[1])["notes"]
    assert note == "112 rows of train also in held_out: removed from train"
    assert f"data: {note}" in autocomp("show", finished)[1].splitlines()


@pytest.fixture
def predicted(tmp_path):
    """A run for a device that is away: members' latencies are predicted, the landmarks' are not."""
    events = journal()
    front = next(e for e in events if e["event"] == "front")
    front["members"] = [{**m, "latency_predicted": True} for m in front["members"]]
    return write_run(tmp_path / "predicted", events)


def test_disturbed_latencies_say_so_wherever_they_are_shown(autocomp, finished, tmp_path):
    events = journal()
    front = next(e for e in events if e["event"] == "front")
    front["members"] = [{**m, "latency_disturbed": m["id"] == "m01"} for m in front["members"]]
    run = write_run(tmp_path / "disturbed", events)
    shown = autocomp("show", run)[1]
    assert len(re.findall(r"ms ! disturbed +×[\d.]+ !", shown)) == 1 and "do not trust it" in shown
    marks = [m["latency_disturbed"] for m in json.loads(autocomp("show", run, "--json")[1])["members"]]
    assert sum(marks) == 1
    assert "ms ! disturbed" in autocomp("export", run, "--pick", "m01", "--out", tmp_path / "guard")[1]
    assert "! disturbed" not in autocomp("show", finished)[1]


def test_predicted_latencies_say_so_wherever_they_are_shown(autocomp, predicted, finished, tmp_path):
    lines = autocomp("show", predicted)[1].splitlines()
    members = [line for line in lines if re.match(r"m\d\d", line)]
    assert len(members) == 9 and all(re.search(r"~[\d.]+ ms predicted +~×", line) for line in members)
    assert next(line for line in lines if line.startswith("teacher")).count("~") == 0
    assert "~ predicted from what was recorded of the device" in "\n".join(lines)
    assert re.search(r"~[\d.]+ ms predicted", autocomp("export", predicted, "--out", tmp_path / "guard")[1])
    assert "ms predicted" not in autocomp("show", finished)[1]


def test_show_json(autocomp, finished):
    status, out, err = autocomp("show", finished, "--json")
    found = json.loads(out)
    assert (status, err, found["run"]) == (0, "", str(finished))
    assert {"teacher", "plain_int8", "members", "budget", "trials", "status", "task", "metric", "run"} <= set(found)


def test_show_takes_twelve_unless_all(autocomp, tmp_path):
    events = journal()
    few = events[-3]["members"]
    events[-3]["members"] = [{**few[0], "id": f"x{i:02d}", "bytes": 1000 * (i + 1), "path": None} for i in range(20)]
    run = write_run(tmp_path / "many", [e for e in events if e["event"] != "front"] + [events[-3]])
    assert autocomp("show", run)[1].count("\nx") == 12
    assert "8 more members: --all" in autocomp("show", run)[1]
    assert autocomp("show", run, "--all")[1].count("\nx") == 20


@pytest.mark.parametrize(("done", "verb"), [(True, "export"), (False, "resume")])
def test_the_next_command_works(autocomp, tmp_path, done, verb):
    run = write_run(tmp_path / "a run with 'spaces'", journal(finished=done))
    (shown,) = commands(autocomp("show", run)[1])
    words = shown[shown.index(verb) :]
    assert build_parser().parse_args(words).run_folder == run


def test_export(autocomp, finished, tmp_path):
    status, out, _ = autocomp("export", finished, "--pick", "accuracy>=0.97", "--out", tmp_path / "guard")
    assert status == 0 and "m09" in out
    assert (tmp_path / "guard" / "model.onnx").read_text() == "front/m09/model.onnx"
    status, out, err = autocomp("export", finished, "--out", tmp_path / "guard")
    assert (status, out) == (2, "") and "not overwritten" in err


def test_export_json(autocomp, finished, tmp_path):
    out = autocomp("export", finished, "--pick", "smallest", "--out", tmp_path / "guard", "--json")[1]
    assert json.loads(out)["id"] == "m01" and json.loads(out)["path"] == str(tmp_path / "guard")


def test_export_needs_an_out(autocomp, finished):
    assert autocomp("export", finished)[0] == 2


def test_report(autocomp, finished, tmp_path):
    status, out, _ = autocomp("report", finished, "--out", tmp_path / "x.html")
    assert (status, out.strip()) == (0, str(tmp_path / "x.html"))
    assert autocomp("report", finished)[0] == 0 and (finished / "report.html").exists()


def test_a_report_of_several_runs_as_json(autocomp, finished, tmp_path):
    other, page = write_run(tmp_path / "other", journal(finished=False)), tmp_path / "x.html"
    status, out, err = autocomp("report", finished, other, "--out", page, "--no-texts", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "") and found["report"] == str(page) and found["bytes"] == page.stat().st_size
    assert found["texts"] is False
    first, second = found["runs"]
    assert (first["name"], first["status"], first["members"], first["candidates"]) == ("run", "finished", 9, 39)
    assert first["knee"] == json.loads(autocomp("export", finished, "--out", tmp_path / "e", "--json")[1])["id"]
    assert (second["run"], second["status"]) == (str(other), "interrupted")


def test_a_report_that_takes_long_says_what_it_does(autocomp, finished, monkeypatch):
    clock = iter(range(0, 100_000, 2))
    monkeypatch.setattr("autocomp.cli._say.monotonic", lambda: next(clock))
    status, out, err = autocomp("report", finished)
    assert status == 0 and "candidates read …" in err and "which knobs matter …" in err and "…" not in out


@pytest.mark.parametrize("words", [["show"], ["report"], ["resume"], ["export", "--out", "x"]])
def test_a_folder_that_is_no_run(autocomp, study, tmp_path, words):
    status, out, err = autocomp(words[0], tmp_path, *words[1:])
    assert (status, out) == (2, "") and "not a run directory" in err and "Traceback" not in err


def test_the_documented_keys_are_those_of_the_summary(autocomp, finished):
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    section = page.split("## `show --json`")[1].split("\n## ")[0]
    whole, member = section.split("A member, the teacher")
    cells = [re.findall(r"^\| (`[^|]+) \|", part, re.M) for part in (whole, member)]
    named = [set(re.findall(r"`(\w+)`", " ".join(part))) for part in cells]
    found = json.loads(autocomp("show", finished, "--json")[1])
    assert named[0] == set(found)
    # Kinds of latency stand in the description of the first; `record` is the journal's own key.
    extra = {"latency_p50_ms", "latency_p95_ms", "latency_spread_ms", "record"}
    assert named[1] | extra == set(found["members"][0])

import json

import pytest

from autocomp.errors import RunFolderError, UnknownName
from autocomp.report.lock import Lock
from autocomp.report.run_view import RunView
from autocomp.testing.runs import journal, landmarks, write_run

PARTS = ("summary", "knee", "now", "failures", "retried", "rungs", "progress", "proxies", "seconds")


class Growing:
    """A run whose journal is written bit by bit."""

    def __init__(self, folder, events):
        self.run = write_run(folder, events[:1])
        self.file = self.run / "journal.jsonl"
        self.text = "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in events[1:])

    def more(self, characters):
        with self.file.open("a", encoding="utf-8") as out:
            out.write(self.text[:characters])
        self.text = self.text[characters:]


def plain(data):
    return json.loads(json.dumps(data, default=str))


def test_a_page_that_takes_all_updates_is_as_one_that_is_opened_at_the_end(tmp_path):
    growing = Growing(tmp_path / "run", journal())
    followed = RunView(growing.run)
    page = plain(followed.run_data())
    assert page["trials"]["count"] == 0 and page["summary"]["members"] == [] and page["knee"] is None
    rows = []
    while growing.text:
        growing.more(700)  # now and then in the middle of a line
        update = plain(followed.new())
        for part in (update or {}).get("run", {}).items():
            page[part[0]] = part[1]
        rows += update["rows"] if update else []
    fresh = RunView(growing.run)
    done = plain(fresh.run_data())
    assert [row["id"] for row in rows] == done["trials"]["id"]
    assert {k: page[k] for k in PARTS} == {k: done[k] for k in PARTS}
    assert plain(followed.run_data()) == done
    assert rows[0]["job"]["kind"] == "post_training" and rows[0]["knobs"] == {"depth.layers": 2}
    assert done["summary"]["status"] == "finished" and done["knee"] in {m["id"] for m in done["summary"]["members"]}


def test_nothing_new_is_none(tmp_path):
    growing = Growing(tmp_path / "run", journal(finished=False))
    followed = RunView(growing.run)
    assert followed.new() is None
    growing.more(len(growing.text) // 2)
    followed.new()
    assert followed.new() is None
    growing.more(20)  # a line that is not whole yet
    assert followed.new() is None


def test_run_data_is_the_run_as_the_updates_left_it(tmp_path):
    growing = Growing(tmp_path / "run", journal(finished=False))
    followed = RunView(growing.run)
    growing.more(len(growing.text))
    assert followed.run_data()["trials"]["count"] == 0
    assert len(followed.new()["rows"]) == followed.run_data()["trials"]["count"] == 39


def test_a_page_that_missed_updates_can_ask_for_them(tmp_path):
    growing = Growing(tmp_path / "run", journal(finished=False))
    followed = RunView(growing.run)
    growing.more(len(growing.text))
    followed.new()
    update = followed.since(30)
    assert [row["id"] for row in update["rows"]] == followed.columns.ids[30:]
    assert set(PARTS) <= set(update["run"]) and update["member"]


def test_only_parts_that_changed_are_told(tmp_path):
    growing = Growing(tmp_path / "run", journal())
    followed = RunView(growing.run)
    while '"event": "record"' not in growing.text[:50]:
        growing.more(growing.text.index("\n") + 1)
    followed.new()
    growing.more(growing.text.index("\n") + 1)
    update = followed.new()
    assert len(update["rows"]) == 1
    assert {"progress", "summary"} <= set(update["run"]) and not {"failures", "rungs", "retried"} & set(update["run"])


def test_what_runs_now_is_told_but_passing_time_only_now_and_then(tmp_path, monkeypatch):
    events = journal(finished=False)
    last = next(i for i, e in enumerate(events) if e["event"] == "charge" and e.get("job") == "t0003")
    run = write_run(tmp_path / "run", events[: last - 1])
    clock = [1000.0]
    monkeypatch.setattr("autocomp.report.run_view.monotonic", lambda: clock[0])
    with Lock(run):
        followed = RunView(run)
        [job] = followed.run_data()["now"]
        assert job["job"] == "t0003" and job["kind"] == "post_training" and job["running_s"] > 0
        assert followed.run_data()["nodes"][0]["jobs"] == ["t0003"]
        monkeypatch.setattr("autocomp.report.run_view.time.time", lambda: 1_800_000_000.0)
        clock[0] += 1
        assert followed.new() is None
        clock[0] += 10
        assert set(followed.new()["run"]) == {"now", "seconds"}


def test_a_resumed_study_is_judged_by_its_new_landmarks(tmp_path):
    events = journal(finished=False)
    run = write_run(tmp_path / "run", events)
    followed = RunView(run)
    before = followed.run_data()["progress"]["hypervolume"][-1]
    slower = landmarks()
    slower["teacher"]["latency_ms"] *= 2
    with (run / "journal.jsonl").open("a") as out:
        out.write('{"event": "resumed", "at": 1760000900.0}\n')
        out.write(json.dumps({"event": "teacher", "at": 1760000905.0, "members": slower}) + "\n")
    assert followed.new()["run"]["progress"]["hypervolume"][-1] > before
    assert plain(followed.run_data()) == plain(RunView(run).run_data())


def test_records_as_the_journal_has_them(tmp_path):
    events = journal()
    followed = RunView(write_run(tmp_path / "run", events))
    for record in (e["record"] for e in events if e["event"] == "record"):
        assert followed.trial(record["id"]) == record
    with pytest.raises(UnknownName, match="t9999-0"):
        followed.trial("t9999-0")


def test_members_by_id(tmp_path):
    members = RunView(write_run(tmp_path / "run")).members()
    assert {"teacher", "plain_int8", "m01", "m09"} <= set(members) and members["m03"]["path"].endswith("front/m03")


def test_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="journal"):
        RunView(tmp_path)
    (tmp_path / "journal.jsonl").write_text("")
    assert RunView(tmp_path).run_data()["trials"]["count"] == 0


def test_the_card_of_a_candidate_has_the_plan_of_its_record(tmp_path):
    events = journal(finished=False)
    last = next(e for e in reversed(events) if e["event"] == "candidates")
    for member in last["members"]:
        del member["plan"]
        member["id"] = member["record"] = "t0007-2"
    followed = RunView(write_run(tmp_path / "run", events))
    record = followed.trial("t0007-2")
    assert "depth" in followed.card("t0007-2")["plan_yaml"] and record["plan"]["steps"][0]["technique"] == "depth"
    with pytest.raises(UnknownName, match="m99"):
        followed.card("m99")


def test_evidence_is_read_once_for_each_front(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("autocomp.report.run_view.evidence_of", lambda run, state: read.append(state.final))
    events = journal()
    events[-3]["evidence"] = {"sha256": "of the file"}
    growing = Growing(tmp_path / "run", events)
    followed = RunView(growing.run)
    growing.more(growing.text.index(json.dumps(events[-3], ensure_ascii=False)))
    followed.new()
    followed.card("teacher")
    growing.more(len(growing.text))
    followed.new()
    followed.card("m01"), followed.card("m02")
    assert read == [False, True]

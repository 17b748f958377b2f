import json
import subprocess
import sys

import pytest

from autocomp.errors import RunFolderError
from autocomp.report.lock import Lock, is_held
from autocomp.report.summary import summary
from autocomp.testing.runs import journal, write_run

PROMISED = {"id", "bytes", "latency_ms", "score", "score_se", "times_smaller", "times_faster", "path"}


@pytest.fixture
def finished(tmp_path):
    return write_run(tmp_path / "run")


@pytest.fixture
def cut_off(tmp_path):
    return write_run(tmp_path / "half", journal(finished=False))


def test_a_finished_run(finished):
    found = summary(finished)
    assert (found["status"], found["final"], found["reason"]) == ("finished", True, "budget spent")
    assert all(set(m) >= PROMISED for m in [found["teacher"], found["plain_int8"], *found["members"]])
    assert [m["bytes"] for m in found["members"]] == sorted(m["bytes"] for m in found["members"])
    assert found["trials"] == {"complete": 39, "failed": 1, "jobs": 8, "retried": 0}
    assert json.loads(json.dumps(found)) == found


def test_the_ledger_adds_up(finished):
    budget = summary(finished)["budget"]
    assert budget["given"]["wall_s"] == 540
    assert budget["spent"]["wall_s"] == 95 + 8 * 45 + 40
    assert budget["left"] == {"wall_s": 45.0}
    assert sum(part["wall_s"] for part in budget["by_purpose"].values()) == budget["spent"]["wall_s"]


def test_paths_are_absolute_and_there(finished, monkeypatch):
    monkeypatch.chdir(finished.parent)
    found = summary(finished.relative_to(finished.parent))
    assert all((finished / "front" / m["id"]).samefile(m["path"]) for m in found["members"])


def test_only_members_that_dominate_plain_int8_are_marked(finished):
    found = summary(finished)
    plain = found["plain_int8"]
    for m in found["members"]:
        no_worse = (
            m["bytes"] <= plain["bytes"] and m["latency_ms"] <= plain["latency_ms"] and m["score"] >= plain["score"]
        )
        assert m["dominates_plain_int8"] is no_worse
    assert 0 < sum(m["dominates_plain_int8"] for m in found["members"]) < len(found["members"])


def test_without_a_front_the_last_candidates_are_shown_on_one_split(cut_off):
    found = summary(cut_off)
    assert (found["status"], found["final"], len(found["members"])) == ("interrupted", False, 9)
    everyone = [found["teacher"], found["plain_int8"], *found["members"]]
    assert all(m["score"] is None and m["search_score"] is not None for m in everyone)
    assert found["teacher"]["times_score"] == 1.0


def test_a_run_cut_off_after_its_first_line(tmp_path):
    found = summary(write_run(tmp_path / "run", journal()[:1]))
    assert (found["teacher"], found["members"], found["trials"]["complete"]) == (None, [], 0)


def test_a_torn_last_line_is_passed_over(cut_off):
    before = summary(cut_off)
    with (cut_off / "journal.jsonl").open("a") as out:
        out.write('{"event": "fin')
    assert summary(cut_off) == before


def test_a_running_run_is_seen_from_another_process_until_it_dies(cut_off):
    code = (
        f"from autocomp.report.lock import Lock; from pathlib import Path\nwith Lock(Path({str(cut_off)!r})): input()"
    )
    other = subprocess.Popen([sys.executable, "-c", f"{code}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        while not is_held(cut_off) and other.poll() is None:
            pass
        assert summary(cut_off)["status"] == "running"
        with pytest.raises(RunFolderError, match="another process"), Lock(cut_off):
            pass
    finally:
        other.kill()
        other.communicate()
    assert summary(cut_off)["status"] == "interrupted"


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="not a run directory"):
        summary(tmp_path)

import json
import shutil

import pytest

from autocomp.budget import Charge, Cost
from autocomp.errors import RunFolderError
from autocomp.journal import Journal
from autocomp.journal.events import StudyResumed, event_of
from autocomp.report.lock import Lock, is_held
from autocomp.report.state import RunState
from autocomp.report.status import Look, run_status, status_of
from autocomp.testing.runs import journal, write_run

RETRIED = {"event": "retried", "job": "t0008", "attempt": 1, "error": "its worker died", "lost_s": 12.5, "node": "bb"}
LOST = {"event": "charge", "job": "t0008", "charge": Charge("lost", Cost(cpu_s=25.0)).to_json()}


def at_work():
    """The events of a study up to the start of its eighth job."""
    events = journal()
    last = max(i for i, e in enumerate(events) if e["event"] == "started")
    return events[: last + 1]


def later(events, *more):
    return [*events, *({"at": events[-1]["at"] + 1 + i, **event} for i, event in enumerate(more))]


def say(run, job, text="recovery", fraction=0.4, at=2e9):
    (run / "work").mkdir(exist_ok=True)
    (run / "work" / f"{job}.json").write_text(json.dumps({"job": job, "text": text, "fraction": fraction, "at": at}))


def write_nodes(run, at=2e9):
    node = {"alive": True, "resources": {"CPU": 4.0, "GPU": 1.0}, "device": None}
    nodes = [
        {**node, "node": "aa", "host": "one", "used": {"CPU": 1.0}, "jobs": []},
        {**node, "node": "bb", "host": "two", "used": {"CPU": 2.0, "GPU": 0.5}, "jobs": ["t0007", "t0008"]},
        {**node, "node": "cc", "host": "three", "alive": False, "used": {"CPU": 4.0}, "jobs": []},
    ]
    (run / "work").mkdir(exist_ok=True)
    (run / "work" / "nodes.json").write_text(json.dumps({"at": at, "address": "10.0.0.1:6379", "nodes": nodes}))


@pytest.fixture
def run(tmp_path):
    """A run at work, as long as the test lasts."""
    folder = write_run(tmp_path / "run", at_work())
    with Lock(folder):
        yield folder


def test_a_run_at_work_on_this_machine(run):
    say(run, "t0008")
    say(run, "teacher", "fine-tuning the teacher", 1.0)  # left there when the teacher was done
    found = run_status(run)
    assert (found["status"], found["final"], found["seconds"] > 0) == ("running", False, True)
    (job,) = found["jobs"]
    assert (job["job"], job["kind"], job["text"], job["fraction"]) == ("t0008", "recovery", "recovery", 0.4)
    assert (job["node"], job["attempt"]) == ("local", 1)
    (node,) = found["nodes"]
    assert (node["resources"], node["used"], node["jobs"]) == ({"CPU": 2.0}, {"CPU": 1.0}, ["t0008"])
    assert (node["device"], found["held"], found["address"]) == ("cpu_1_thread", {"CPU": 1.0, "GPU": 0.0}, None)
    assert found["failures"] == [{"id": "t0006-0", "error": "TrainingDiverged: the loss became NaN at step 17"}]
    assert found["trials"] == {"complete": 34, "failed": 1, "jobs": 8, "retried": 0} and len(found["members"]) == 8
    assert json.loads(json.dumps(found)) == found


def test_time_left_goes_down_with_the_clock_and_with_the_job(run):
    state = Look(run)
    state.now()
    began = state.state.jobs["t0008"].at
    say(run, "t0008", fraction=0.5)
    found = status_of(state.state, run, began + 20)
    assert found["jobs"][0]["left_s"] == found["jobs"][0]["running_s"] == 20.0
    charged = state.state.charged_at
    assert status_of(state.state, run, charged + 30)["budget"]["left"]["wall_s"] == found["budget"]["given"][
        "wall_s"
    ] - (found["budget"]["spent"]["wall_s"] + 30)


def test_a_cluster(run):
    write_nodes(run)
    found = run_status(run)
    assert [n["host"] for n in found["nodes"]] == ["one", "two", "three"]
    assert found["held"] == {"CPU": 3.0, "GPU": 0.5}, "a node that is not alive holds nothing"
    assert found["nodes"][1]["jobs"] == ["t0008"], "t0007 has ended since"
    assert (found["jobs"][0]["node"], found["address"]) == ("bb", "10.0.0.1:6379")


def test_nodes_of_an_earlier_process_are_not_taken_for_present_ones(run):
    write_nodes(run, at=at_work()[-1]["at"] + 0.5)
    assert len(run_status(run)["nodes"]) == 3
    Journal(run / "journal.jsonl").append(StudyResumed())
    assert [n["node"] for n in run_status(run)["nodes"]] == ["local"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": "t0008"}'])
def test_a_file_that_is_being_written_is_passed_over(run, text):
    for name in ("t0008.json", "nodes.json"):
        (run / "work").mkdir(exist_ok=True)
        (run / "work" / name).write_text(text)
    if text != '{"job": "t0008"}':
        assert run_status(run)["nodes"][0]["node"] == "local"
    (run / "work" / "nodes.json").unlink()
    assert run_status(run)["jobs"][0]["fraction"] is None


def test_the_teacher_and_the_final_front_are_work_too(tmp_path):
    folder = write_run(tmp_path / "run", journal()[:1])
    with Lock(folder):
        say(folder, "teacher", "fine-tuning the teacher", 0.2)
        found = run_status(folder)
        assert [(j["job"], j["text"]) for j in found["jobs"]] == [("teacher", "fine-tuning the teacher")]
        assert found["held"]["CPU"] == 2.0
    half = write_run(tmp_path / "half", journal(finished=False))
    with Lock(half):
        say(half, "teacher")
        say(half, "front", "scoring and timing the final front", 0.0)
        assert [j["job"] for j in run_status(half)["jobs"]] == ["front"]


def test_a_killed_run_is_interrupted_and_names_what_was_cut_off(run, tmp_path):
    write_nodes(run)
    say(run, "t0008")
    dead = shutil.copytree(run, tmp_path / "dead")
    found = run_status(dead)
    assert (found["status"], found["nodes"], found["held"]) == ("interrupted", [], {"CPU": 0, "GPU": 0})
    assert [(j["job"], j["left_s"], j["node"]) for j in found["jobs"]] == [("t0008", None, None)]
    assert found["budget"]["left"]["wall_s"] == 540 - (95 + 7 * 45), "no clock runs while nobody is at work"


def test_a_finished_run(tmp_path):
    folder = write_run(tmp_path / "run")
    found = run_status(folder)
    assert (found["status"], found["reason"], found["final"]) == ("finished", "budget spent", True)
    assert (found["jobs"], found["nodes"], found["seconds"]) == ([], [], 10.0 * (len(journal()) - 1))


def test_an_attempt_that_died_runs_again_and_is_paid_for_once(tmp_path):
    for events in ([RETRIED, LOST], [LOST, RETRIED]):
        state = RunState()
        for event in later(at_work(), *events):
            state.add(event_of(event))
        assert (list(state.jobs), state.jobs["t0008"].attempt) == (["t0008"], 2)
        assert (state.charges["lost"].cpu_s, state.ledger.cpu_s) == (25.0, 2 * (95 + 7 * 45) + 25.0)
    folder = write_run(tmp_path / "run", later(at_work(), RETRIED, LOST))
    with Lock(folder):
        again = state.jobs["t0008"].at
        say(folder, "t0008", fraction=0.9, at=again - 5)
        found = run_status(folder)
        assert (found["jobs"][0]["attempt"], found["jobs"][0]["fraction"]) == (2, None), "that was the dead attempt's"
        say(folder, "t0008", fraction=0.1, at=again + 5)
        assert run_status(folder)["jobs"][0]["fraction"] == 0.1
    assert (found["trials"]["retried"], found["lost_s"], found["retried"][0]["node"]) == (1, 12.5, "bb")


def test_nodes_that_left(tmp_path):
    nodes = [{"event": "node", "node": name, "host": "h", "state": s} for name, s in [("a", "joined"), ("b", "joined")]]
    events = later(at_work(), *nodes, {"event": "node", "node": "b", "host": "h", "state": "lost"})
    folder = write_run(tmp_path / "run", events)
    assert [n["node"] for n in run_status(folder)["lost_nodes"]] == ["b"]


def test_a_look_reads_only_what_the_journal_gained(run, monkeypatch):
    look = Look(run)
    before = look.now()
    seen = []
    original = RunState.add
    monkeypatch.setattr(RunState, "add", lambda state, event: (seen.append(event.event), original(state, event)))
    with (run / "journal.jsonl").open("a") as out:
        out.write(json.dumps(LOST) + "\n" + '{"event": "fin')
    found = look.now()
    assert seen == ["charge"]
    assert found["budget"]["spent"]["cpu_s"] == before["budget"]["spent"]["cpu_s"] + 25.0
    with (run / "journal.jsonl").open("a") as out:
        out.write('ished", "reason": "enough"}\n')
    assert (look.now()["status"], look.now()["reason"], seen) == ("finished", "enough", ["charge", "finished"])
    with (run / "journal.jsonl").open("a") as out:
        out.write("{}\n")
    lines = (run / "journal.jsonl").read_bytes().count(b"\n")
    with pytest.raises(RunFolderError, match=f"line {lines} is damaged"):
        look.now()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="not a run directory"):
        run_status(tmp_path)


def test_who_asks_does_not_keep_a_run_from_being_resumed(run, tmp_path):
    """`is_held` holds the lock for an instant: taking it then waits that instant."""
    import fcntl
    import threading

    other = write_run(tmp_path / "other", at_work())
    (other / "lock").touch()
    with (other / "lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.05, lambda: fcntl.flock(asking, fcntl.LOCK_UN)).start()
        with Lock(other):
            assert is_held(other)

import numpy as np
import pytest

from autocomp.measurement import rank_correlation
from autocomp.report.run_view import RunView
from autocomp.testing.large_runs import write_large_run
from autocomp.testing.runs import journal, write_run


def found(run):
    return {p["name"]: p for p in RunView(run).run_data()["proxies"]}


def test_what_the_search_saw_against_what_came_out(tmp_path):
    run = write_large_run(tmp_path / "run", records=400)
    data = RunView(run).run_data()
    scores, times, rungs = data["proxies"]
    members = {m["id"]: m for m in data["summary"]["members"]}
    assert scores["ids"] == times["ids"] and set(scores["ids"]) == set(members)
    assert scores["x"] == pytest.approx([members[i]["search_score"] for i in scores["ids"]], rel=1e-4)
    assert scores["y"] == pytest.approx([members[i]["score"] for i in scores["ids"]], rel=1e-4)
    latency = dict(zip(data["trials"]["id"], data["trials"]["values"]["latency_ms"], strict=True))
    assert times["x"] == [latency[members[i]["record"]] for i in times["ids"]]
    assert times["rank_correlation"] == pytest.approx(rank_correlation(times["x"], times["y"]), rel=1e-4)
    rung = dict(zip(data["trials"]["id"], data["trials"]["rung"], strict=True))
    assert len(rungs["ids"]) >= 3 and all(rung[i] > 0 and i.endswith("-0") for i in rungs["ids"])


def test_a_promoted_student_is_known_by_its_plan(tmp_path):
    events = journal(finished=False)
    for number, e in enumerate(e for e in events if e["event"] == "started"):
        e["plan"], e["fidelity"] = {"steps": [number % 4]}, {"rung": number // 4, "steps": 1}
    [rungs] = found(write_run(tmp_path / "run", events)).values()
    assert rungs["ids"] == ["t0005-0", "t0007-0", "t0008-0"], "t0006 failed"
    firsts = [
        next(e["record"] for e in events if e["event"] == "record" and e["record"]["id"] == f"t000{i}-0")
        for i in (1, 3, 4)
    ]
    assert rungs["x"] == pytest.approx([r["measurements"]["task_score"]["value"] for r in firsts], rel=1e-4)
    assert rungs["x_label"] == "score after the first rung"


def test_too_few_pairs_are_left_out(tmp_path):
    events = journal()
    front = next(e for e in events if e["event"] == "front")
    front["members"] = front["members"][:2]
    assert found(write_run(tmp_path / "two", events)) == {}
    assert found(write_run(tmp_path / "half", journal(finished=False))) == {}


def test_rank_correlation():
    assert rank_correlation([1, 2, 3, 9], [2, 4, 6, 7]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(
        np.corrcoef([0.5, 0.5, 2, 3], [0, 1, 2, 3])[0, 1]
    )
    assert rank_correlation([1, 2], [1, 2]) is None and rank_correlation([1, 1, 1], [1, 2, 3]) is None

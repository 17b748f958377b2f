import json
import math

import pytest

from autocomp.journal import read_records
from autocomp.report.run_view import RunView
from autocomp.spec import read_objective
from autocomp.study.losses import LossScale
from autocomp.testing.large_runs import write_large_run
from autocomp.testing.runs import journal, landmarks, write_run

NAMES = ("artifact_size", "latency", "task_score", "agreement")


def judge(**limits):
    teacher = landmarks()["teacher"]
    keys = ("bytes", "latency_ms", "search_score", "agreement")
    objectives = [read_objective(n).model_copy(update={"limit": limits.get(n)}) for n in NAMES]
    return LossScale(tuple(objectives), tuple(float(teacher[k]) for k in keys))


def test_hypervolume_is_judged_as_the_study_judges(tmp_path):
    run = write_large_run(tmp_path / "run", records=300)
    line = RunView(run).run_data()["progress"]
    complete = [r for r in read_records(run / "journal.jsonl") if r.status == "complete"]
    assert line["records"][-1] == len(complete) and len(line["at_s"]) <= 200
    for i in range(0, len(line["at_s"]), 12):
        assert line["hypervolume"][i] == pytest.approx(judge().hypervolume(complete[: line["records"][i]]), rel=1e-4)
    assert line["hypervolume"][-1] > 0


def test_what_breaks_a_limit_counts_nothing(tmp_path):
    run = write_large_run(tmp_path / "run", records=100)
    events = (run / "journal.jsonl").read_text().splitlines()
    told = [o.model_dump(mode="json") for o in judge(latency=1.0).objectives]
    first = json.loads(events[0]) | {"objectives": told}
    (run / "journal.jsonl").write_text("\n".join([json.dumps(first), *events[1:]]) + "\n")
    followed = RunView(run)
    complete = [r for r in read_records(run / "journal.jsonl") if r.status == "complete"]
    within = [r for r in complete if judge(latency=1.0).is_feasible(r)]
    assert 0 < len(within) < len(complete)
    line = followed.run_data()["progress"]
    assert line["hypervolume"][-1] == pytest.approx(judge().hypervolume(within), rel=1e-4)
    assert followed.run_data()["objectives"][1] == {
        "name": "latency",
        "measure": "latency",
        "key": "latency_ms",
        "direction": "minimize",
        "limit": 1.0,
    }


def test_lines_rise_and_end_at_what_was_spent(tmp_path):
    line = RunView(write_run(tmp_path / "run")).run_data()["progress"]
    for name in ("at_s", "records", "spent"):
        assert line[name] == sorted(line[name]), name
    assert (line["unit"], line["given"], line["spent"][0]) == ("wall_s", 540.0, 0)
    assert line["spent"][-1] == pytest.approx(95 + 8 * 45 + 40) and line["records"][-1] == 39


@pytest.mark.parametrize("names", [["artifact_size", "gone"], ["compressed_size_of_mine"], []])
def test_what_cannot_be_judged_is_none(tmp_path, names):
    events = journal()
    events[0]["spec"]["objectives"] = names
    line = RunView(write_run(tmp_path / "run", events)).run_data()["progress"]
    assert set(line["hypervolume"]) == {None} and line["records"][-1] == 39


@pytest.mark.parametrize(("budget", "unit"), [("20trials", "trials"), ("3cpu-hours,5trials", "cpu_s")])
def test_the_unit_is_the_budgets(tmp_path, budget, unit):
    events = journal()
    events[0]["spec"]["budget"] = budget
    line = RunView(write_run(tmp_path / "run", events)).run_data()["progress"]
    assert line["unit"] == unit and line["spent"][-1] == (8 if unit == "trials" else 990)


def test_an_objective_of_ones_own_is_judged_beside_the_value_in_the_journal(tmp_path):
    events = journal()
    own = {"name": "warmth", "measure": "joules", "options": {"statistic": "p95"}}
    events[0]["objectives"], events[0]["spec"]["objectives"] = [own], ["my/warmth.yaml"]
    events[1]["values"] = {"warmth": 8.0}
    for i, record in enumerate(e["record"] for e in events if e["event"] == "record"):
        record["measurements"]["joules"] = {"value": 9.0, "unit": "J", "details": {"p95": 8.0 / (1 + i)}}
    data = RunView(write_run(tmp_path / "run", events)).run_data()
    assert data["progress"]["hypervolume"][-1] == pytest.approx(math.log(1.1 * 40), rel=1e-4)
    assert data["objectives"][0]["key"] == "joules_p95" and data["trials"]["values"]["joules_p95"][0] == 8

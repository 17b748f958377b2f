import json

import pytest

from autocomp.journal import read_lines
from autocomp.report.columns import Columns, rounded
from autocomp.report.run_view import RunView
from autocomp.testing.large_runs import write_large_run
from autocomp.testing.runs import journal, write_run


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_large_run(tmp_path_factory.mktemp("large") / "run", records=400)


def complete(run):
    records = (e["record"] for e in read_lines(run / "journal.jsonl", "record"))
    return [r for r in records if r["status"] == "complete"]


def test_every_complete_record_is_a_row(large):
    data, records = RunView(large).run_data(), complete(large)
    trials, failed = data["trials"], data["summary"]["trials"]["failed"]
    assert trials["count"] + failed == 400 and failed > 0
    assert trials["id"] == [r["id"] for r in records]
    assert trials["rung"] == [r["fidelity"]["rung"] for r in records]
    assert [trials["jobs"][j]["id"] for j in trials["job"]] == [r["id"].split("-")[0] for r in records]
    assert {j["kind"] for j in trials["jobs"]} == {"post_training", "recovery"}
    for key, measure in {"bytes": "artifact_size", "score": "task_score", "latency_ms": "latency"}.items():
        wanted = [r["measurements"][measure]["value"] for r in records]
        assert trials["values"][key] == pytest.approx(wanted, rel=5e-5)
    p95 = [r["measurements"]["latency"]["details"]["p95"] for r in records]
    assert trials["values"]["latency_p95_ms"] == pytest.approx(p95, rel=5e-5)
    assert trials["predicted"] is None and trials["at_s"] == sorted(trials["at_s"])


def test_knobs_are_codes_of_sorted_values(large):
    knobs, records = RunView(large).run_data()["trials"]["knobs"], complete(large)
    assert set(knobs) == set(records[0]["point"])
    for name, knob in knobs.items():
        assert knob["values"] == sorted(knob["values"])
        assert [knob["values"][code] for code in knob["codes"]] == [r["point"][name] for r in records]


def test_rows_and_columns_agree(large):
    followed = RunView(large)
    trials, rows = followed.run_data()["trials"], followed.since(0)["rows"]
    assert len(rows) == trials["count"]
    for i in (0, 7, len(rows) - 1):
        assert rows[i]["values"] == {key: column[i] for key, column in trials["values"].items()}
        assert rows[i]["knobs"] == {k: v["values"][v["codes"][i]] for k, v in trials["knobs"].items()}
        assert rows[i]["job"] == trials["jobs"][trials["job"][i]]
    members = {row["id"]: row["member"] for row in rows if row["member"]}
    assert members == trials["member"] and sorted(members.values())[0] == "m01"


def test_what_only_some_records_have_is_none_for_the_others(tmp_path):
    events = journal()
    some = [e["record"] for e in events if e["event"] == "record"]
    some[2]["measurements"]["load_time"] = {"value": 40.0, "unit": "ms"}
    some[3]["point"]["exits.threshold"] = 0.9
    some[4]["point"]["exits.threshold"] = "never"
    del some[1]["point"]["depth.layers"], some[1]["measurements"]["latency"]
    trials = RunView(write_run(tmp_path / "run", events)).run_data()["trials"]
    assert trials["values"]["load_ms"] == [None, None, 40, *[None] * 36]
    assert trials["values"]["latency_ms"][1] is None and len(trials["values"]["latency_ms"]) == 39
    assert trials["knobs"]["exits.threshold"] == {
        "values": [0.9, "never"],
        "codes": [-1, -1, -1, 0, 1, *[-1] * 34],
    }
    assert trials["knobs"]["depth.layers"]["codes"][:3] == [0, -1, 0]


def test_numbers_are_short():
    assert [rounded(v) for v in (5269120.0, 0.35395952, 91.0, float("nan"), None)] == [5269100, 0.35396, 91, None, None]
    assert json.dumps(rounded(1e6 + 0.2)) == "1000000"


def test_a_row_takes_little_room(large):
    text = json.dumps(RunView(large).run_data()["trials"], separators=(",", ":"))
    assert len(text) / 400 < 150, "20,000 candidates fit in 3 MB"


def test_no_rows():
    empty = Columns().to_json({}, {})
    assert empty["count"] == 0 and empty["id"] == [] and empty["values"] == {}

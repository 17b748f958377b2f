"""A study for a device that is away: its latencies are predicted from what was recorded there, and say so."""

import json
from types import SimpleNamespace

import pytest

from autocomp.artifact.loader import load
from autocomp.errors import InputError
from autocomp.journal import read_lines, read_records
from autocomp.pipeline.evaluate import AT_DEVICE, HERE, PREDICTED, place
from autocomp.report.cards import card, evidence_of
from autocomp.report.summary import read_state
from autocomp.spec import DeviceProfile, write_device
from autocomp.study.workers import check_place
from autocomp.testing.studies import AWAY, recorded_device

#: A device on which a run costs 2 ms and each value of a layer norm 10 us.
COSTS = {"runs": 2.0, "normed": 0.01}


@pytest.fixture
def away(tmp_path):
    file = tmp_path / "pi4.yaml"
    write_device(recorded_device("pi4", **COSTS), file)
    return str(file)


def test_all_latencies_are_predicted_and_marked(autocomp, inline, tiny, away, tmp_path):
    run = tmp_path / "run"
    said = autocomp("search", tiny(budget="1trials", device=away), "--out", run, "--quiet", "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    records = [r for r in read_records(run / "journal.jsonl") if r.status == "complete"]
    assert found["final"] and found["members"] and records
    for record in records:
        timed = record.measurements["latency"]
        assert timed.predicted and timed.device == "pi4" and "load_time" not in record.measurements
        assert timed.spread == pytest.approx(0.1 * timed.value)
    for one in [found["teacher"], found["plain_int8"], *found["members"]]:
        assert one["latency_predicted"] is True and one["load_ms"] is None and one["resident_mb"] is None
        assert one["latency_ms"] > 2.0 and one["score"] is not None
    assert found["teacher"]["latency_ms"] == pytest.approx(found["plain_int8"]["latency_ms"]), "the same norms run"
    table = autocomp("show", run).out
    rows = [line for line in table.splitlines() if line.startswith(("teacher", "plain", "m0"))]
    assert len(rows) == 2 + len(found["members"]) and all("ms predicted" in line for line in rows)
    kept = load(run / found["members"][0]["path"]).manifest["measurements"]
    assert kept["latency_predicted"] is True and kept["device"] == "pi4"
    assert '"latency_predicted": true' in json.dumps(list(read_lines(run / "journal.jsonl", "front")))
    shown = card(run, found["members"][0], evidence_of(run, read_state(run)))["latency"]
    assert shown["predicted"] is True and shown["rounds"] == 1 and shown["mean"] == found["members"][0]["latency_ms"]
    assert len(shown["ms"]) == len(shown["tokens"]) == len(shown["teacher_ms"]) == 80, "every held-out text"


@pytest.mark.parametrize(
    ("device", "flags", "said"),
    [
        ({"work": ("runs", "steps")}, [], "counts other work; run `autocomp device probe --name pi4`"),
        ({}, ["--objective", "latency", "--objective", "load_time"], "only latency can be predicted"),
    ],
)
def test_what_nobody_can_measure_is_refused(autocomp, tiny, tmp_path, device, flags, said):
    (tmp_path / "mine" / "objectives").mkdir(parents=True)
    (tmp_path / "mine" / "objectives" / "load_time.yaml").write_text("measure: load_time\ndirection: minimize\n")
    write_device(recorded_device(**device), tmp_path / "pi4.yaml")
    flags = [*flags, "--include", tmp_path / "mine"]
    found = autocomp("search", tiny(), "--device", tmp_path / "pi4.yaml", "--out", tmp_path / "run", "--quiet", *flags)
    assert (found.status, found.out) == (2, "") and said in found.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("cpu", "has_device", "where"), [(None, False, HERE), (AWAY, False, PREDICTED), (AWAY, True, AT_DEVICE)]
)
def test_what_can_be_measured_is_not_predicted(cpu, has_device, where):
    assert place(recorded_device(cpu=cpu), SimpleNamespace(has_device=has_device)) == where


def test_trials_are_not_timed_on_several_machines():
    pool = SimpleNamespace(has_device=False, machines=["a", "b"])
    with pytest.raises(InputError, match=r"several machines \(a, b\).*autocomp device join"):
        check_place(DeviceProfile(name="cpu_1_thread"), ["latency"], pool)
    check_place(DeviceProfile(name="cpu_1_thread"), ["latency"], SimpleNamespace(has_device=True, machines=["a", "b"]))
    check_place(DeviceProfile(name="cpu_1_thread"), ["latency"], SimpleNamespace(has_device=False, machines=["a"]))

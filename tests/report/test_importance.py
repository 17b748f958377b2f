import pytest

from autocomp.report.importance import TRAINED
from autocomp.report.run_view import RunView
from autocomp.testing.large_runs import write_large_run
from autocomp.testing.runs import journal, write_run


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    return RunView(write_large_run(tmp_path_factory.mktemp("large") / "run", records=450))


def test_knobs_that_made_the_numbers_are_found(followed):
    found = followed.importance()
    assert set(found["objectives"]) == {"bytes", "latency_ms", "score", "agreement"}
    for one in found["objectives"].values():
        assert sum(one["knobs"].values()) == pytest.approx(1, abs=1e-3) and min(one["knobs"].values()) >= 0
        assert one["explained"] > 0.3
    size, latency, score = (found["objectives"][key]["knobs"] for key in ("bytes", "latency_ms", "score"))
    assert max(score, key=score.get) == "linear_bits.bits"
    assert max(latency, key=latency.get) == "depth.layers"
    idle = ("distillation.learning_rate", "depth.placement", "distillation.hidden")
    assert all(knobs[name] < 0.05 for knobs in (size, latency, score) for name in idle)
    assert size["exits.threshold"] < 0.05 < latency["exits.threshold"]


def test_it_is_repeatable(followed):
    assert followed.importance() == followed.importance()


def test_a_point_counts_once(followed):
    distinct = followed.importance()["rows"]
    assert distinct < len(followed.columns), "promotions repeat points"
    rows = range(len(followed.columns))
    codes = [followed.columns.knob(name)[1] for name in followed.columns.knobs]
    assert distinct == len({tuple(column[row] for column in codes) for row in rows})


def test_knobs_of_one_value_and_constant_objectives_are_left_out(tmp_path):
    events = journal()
    for i, record in enumerate(e["record"] for e in events if e["event"] == "record"):
        record["point"] = {"depth.layers": 1 + i % 6, "linear_bits.bits": 2 + i % 7, "hidden_size.kept": 1.0}
        for name, value in {"artifact_size": 1000.0 * (1 + i % 6), "latency": 2.0}.items():
            if name in record["measurements"]:
                record["measurements"][name]["value"] = value
    events[0]["spec"]["objectives"] = ["artifact_size", "latency", "compressed_size"]
    found = RunView(write_run(tmp_path / "run", events)).importance()
    assert set(found["objectives"]) == {"bytes"}
    knobs = found["objectives"]["bytes"]["knobs"]
    assert set(knobs) == {"depth.layers", "linear_bits.bits", TRAINED} and knobs["depth.layers"] > 0.9
    assert found["objectives"]["bytes"]["explained"] > 0.5


def test_too_few_rows_say_nothing(tmp_path):
    assert RunView(write_run(tmp_path / "few", journal())).importance() is None, "8 distinct points"
    assert RunView(write_run(tmp_path / "none", journal()[:1])).importance() is None

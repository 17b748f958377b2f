"""A measure is one file: what it declares is what JSON, limits, pages and other tools say of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autocomp.cli import main
from autocomp.errors import InputError
from autocomp.measurement import Measurement
from autocomp.measures import USUAL, Figure, all_figures, figure_of, figures_of, measures
from autocomp.pipeline.baselines import figures
from autocomp.publishing._run import read_run
from autocomp.report.page import page_data
from autocomp.report.pick import pick
from autocomp.report.summary import summary
from autocomp.testing.runs import SOURCE, events_with_energy, write_plug_in, write_run

ROOT = Path(__file__).parents[2]


def install(site, monkeypatch, source=SOURCE):
    """The plug-in, where a new process finds it."""
    monkeypatch.syspath_prepend(str(write_plug_in(site, source)))
    forget(monkeypatch)


def forget(monkeypatch):
    """Measures as a new process finds them."""
    monkeypatch.delitem(sys.modules, "wattmeter", raising=False)
    for name, value in {"_entry_points": None, "_figures": {}, "_loaded": {}}.items():
        monkeypatch.setattr(measures, name, value)


@pytest.fixture
def run(tmp_path, monkeypatch):
    install(tmp_path / "site", monkeypatch)
    return write_run(tmp_path / "run", events_with_energy())


def test_the_keys_of_members_are_those_that_scripts_rely_on():
    assert set(figures({})) == {
        "bytes", "gzip_bytes", "latency_ms", "latency_p50_ms", "latency_p95_ms", "latency_spread_ms",
        "latency_predicted", "latency_disturbed", "search_score", "search_score_se", "agreement", "load_ms",
        "parameters", "survey_size_pct", "survey_size_without_embeddings_pct", "resident_mb",
    }  # fmt: skip


def test_whole_numbers_spreads_and_marks():
    timed = Measurement(2.0, "ms", 0.5, 9, "here", {"p50": 1.5, "p95": 3.0}, disturbed=True)
    found = figures_of({"artifact_size": Measurement(7.0, "bytes"), "latency": timed})
    assert found["bytes"] == 7 and isinstance(found["bytes"], int)
    assert [found[f"latency_{key}ms"] for key in ("", "p50_", "p95_", "spread_")] == [2.0, 1.5, 3.0, 0.5]
    assert found["latency_disturbed"] is True and found["latency_predicted"] is False


def test_a_number_of_two_splits_is_that_of_the_held_out_split():
    score = figure_of("task_score")
    both = {"score": 0.9, "score_se": 0.01, "search_score": 0.8, "search_score_se": 0.02}
    assert (score.read(both), score.error(both)) == (0.9, 0.01)
    search = {**both, "score": None}
    assert (score.read(search), score.error(search)) == (0.8, 0.02)
    assert score.read({}) is None and score.error({}) is None


def test_no_two_figures_have_one_key():
    keys = [figure.key for name in measures for figure in measures.figures(name)]
    assert len(keys) == len(set(keys)) and {f.key for f in all_figures()} <= set(keys)
    assert all(figure.label and figure.unit for name in USUAL for figure in measures.figures(name))


def test_a_measure_that_says_nothing_has_its_own_name():
    assert figures_of({"gone": Measurement(3.0, "J")}) == {"gone": 3.0}
    assert measures.figures("gone") == (Figure("gone", ""),)
    assert figure_of("gone", "p95").key == "gone_p95"


def test_a_new_measure_is_shown_and_can_be_picked_by(run, capsys):
    assert main(["show", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["members"][0]["energy_mj"] == found["members"][0]["latency_ms"]
    assert "energy_spread_mj" in found["members"][0]
    told = {f["key"]: f for f in found["figures"]}
    assert told["energy_mj"]["label"] == "energy of a request" and told["energy_mj"]["better"] == "less"
    fitting = [m for m in found["members"] if m["energy_mj"] <= 1 and m["energy_peak_w"] <= 0.4]
    assert 0 < len(fitting) < len(found["members"])
    chosen = pick(summary(run), "energy_mj<=1,energy_peak_w<=0.4")
    assert chosen["id"] == max(fitting, key=lambda m: m["score"])["id"]
    with pytest.raises(InputError, match="energy_mj"):
        pick(summary(run), "speed>=2")


def test_a_new_measure_is_an_axis_of_the_page(run):
    [told] = page_data([run], cards=False)["runs"]
    assert len([v for v in told["trials"]["values"]["energy_mj"] if v is not None]) == told["trials"]["count"]
    assert {"energy_mj", "energy_peak_w"} <= {f["key"] for f in told["summary"]["figures"] if f["is_drawn"]}


def test_a_new_measure_is_published(run, capsys):
    complete = [row for row in read_run(run).rows if row.figures]
    assert complete and all(row.figures["energy_mj"] > 0 and row.figures["energy_peak_w"] > 0 for row in complete)
    pytest.importorskip("tensorboardX")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert main(["publish", str(run), "--to", "tensorboard", "--json"]) == 0
    events = EventAccumulator(str(next((run / "tensorboard" / "run").glob("m01*"))))
    events.Reload()
    assert {"member/energy_mj", "member/energy_peak_w"} <= set(events.Tags()["scalars"])


def test_an_objective_names_what_a_measure_does_not(tmp_path, monkeypatch):
    install(tmp_path / "site", monkeypatch, SOURCE.replace("FIGURES", "NOTHING"))
    made = events_with_energy()
    made[0]["objectives"] = [{"name": "joy", "measure": "energy", "direction": "maximize"}]
    told = {f["key"]: f for f in summary(write_run(tmp_path / "run", made))["figures"]}
    assert told["energy"]["label"] == "joy" and told["energy"]["better"] == "more"


def test_a_run_whose_plug_in_is_gone_opens(tmp_path, monkeypatch):
    forget(monkeypatch)
    made = events_with_energy()  # without the plug-in the figures have plain names
    found = summary(write_run(tmp_path / "run", made))
    assert found["members"][0]["energy"] > 0 and "energy" in {f["key"] for f in found["figures"]}


#: Where measures are named outside their own files: which of them every record has, the objectives of a study that
#: names none, and made-up runs.
POLICY = ("autocomp/measures/__init__.py", "autocomp/spec.py", "autocomp/testing/")


@pytest.mark.parametrize("name", sorted(set(USUAL) - {"agreement", "latency", "parameters"}))
def test_a_measure_is_named_in_its_own_file_only(name):
    """In quotes, as one names a measure; of the three left out the name is also a word of other things."""
    own = f"autocomp/measures/{name}.py"
    listed = subprocess.run(["git", "ls-files", "autocomp"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [f for f in listed.stdout.split() if f.endswith(".py") and not f.startswith((*POLICY, own))]
    assert [f for f in files if f'"{name}"' in (ROOT / f).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("name", ["compressed_size", "survey_size"])
def test_what_a_figure_is_called_stands_in_its_own_file_only(name):
    listed = subprocess.run(["git", "ls-files", "autocomp", "dashboards"], cwd=ROOT, capture_output=True, text=True)
    files = [f for f in listed.stdout.split() if not f.startswith(("autocomp/testing/", "autocomp/measures/"))]
    keys = [figure.key for figure in measures.figures(name)]
    found = [f for f in files if any(f'"{key}"' in (ROOT / f).read_text(encoding="utf-8") for key in keys)]
    assert files and set(found) <= {"autocomp/cli/inspect.py", "autocomp/report/cards/sizes.py"}

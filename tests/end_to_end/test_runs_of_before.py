"""A run that the first release made (`tests/runs_of_before/tiny`) opens in everything that came after it."""

import json
import shutil
from pathlib import Path

import pytest

import autocomp
from autocomp.report.run_view import RunView

MADE = Path(__file__).parents[1] / "runs_of_before" / "tiny"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A copy: what looks at a run may leave a lock there."""
    folder = tmp_path_factory.mktemp("before") / "tiny"
    shutil.copytree(MADE, folder)
    return folder


@pytest.fixture(scope="module")
def found(run):
    return autocomp.open_run(run).summary


def test_its_front_is_what_its_journal_says(found):
    front = [json.loads(line) for line in (MADE / "journal.jsonl").read_text().splitlines()][-2]
    assert front["event"] == "front" and (found["status"], found["reason"]) == ("finished", "all trials done")
    assert {m["id"] for m in found["members"]} == {m["id"] for m in front["members"]} and found["members"]
    for member in [*front["members"], front["teacher"], front["plain_int8"]]:
        same = {
            **{m["id"]: m for m in found["members"]},
            "teacher": found["teacher"],
            "plain_int8": found["plain_int8"],
        }
        shown = same[member["id"]]
        assert {key: shown[key] for key in member if key not in ("path", "student")} == {
            key: member[key] for key in member if key not in ("path", "student")
        }
    assert found["warnings"] == [] and found["trials"]["failed"] == 0


@pytest.mark.parametrize("words", [["show"], ["status"], ["show", "--json"], ["resume", "--quiet", "--json"]])
def test_every_verb_that_looks_at_runs_opens_it(call, run, words):
    said = call(words[0], run, *words[1:])
    assert said.status == 0, said.err
    assert "m01" in said.out or words == ["status"]


def test_its_page_has_every_member_and_card(run, found, tmp_path):
    followed = RunView(run)
    data = followed.run_data()
    assert len(data["trials"]["id"]) == found["trials"]["complete"] > 0
    for member in found["members"]:
        card = followed.card(member["id"])
        assert card["layers"] and card["answers"] and not card["notes"], card["notes"]
    assert autocomp.open_run(run).report(tmp_path / "page.html").stat().st_size > 1e5


def test_its_members_are_exported_loaded_and_trained_further(call, run, found, tmp_path):
    said = call("export", run, "--pick", "best", "--out", tmp_path / "files")
    assert said.status == 0, said.err
    answer = autocomp.load(tmp_path / "files").predict("a great good film")[0]
    assert answer.label == "positive" and answer.scores["positive"] > 0.5
    said = call("export", run, "--pick", "best", "--as", "checkpoint", "--out", tmp_path / "weights")
    assert said.status == 0, said.err
    assert any((tmp_path / "weights").glob("*.safetensors"))

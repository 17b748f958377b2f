"""What is wrong with a study as a whole is said wherever somebody may look."""

import csv
import json
from dataclasses import replace

import pytest

from autocomp.journal import read_lines
from autocomp.study import front
from autocomp.testing.studies import write_texts


@pytest.fixture
def texts_without_sense(tmp_path):
    """Texts whose labels are drawn with a coin, so that nothing can be learnt."""
    folder = write_texts(tmp_path / "texts")
    for split in sorted(folder.glob("*.csv")):
        with split.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        rows = [[text, ("negative", "positive")[len(text) * 7919 % 1009 % 2]] for text, _ in rows]
        with split.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return folder


def test_a_teacher_that_is_no_good_is_told_everywhere(
    tiny, autocomp, inline, monkeypatch, tmp_path, texts_without_sense
):
    monkeypatch.setattr(front, "TIMING_S", 0.0)
    run = tmp_path / "run"
    study = tiny(texts=str(texts_without_sense), teacher_epochs=1.0, space={"techniques": {"linear_bits": {}}})
    said = autocomp("search", study, "--budget", "1trials", "--out", run, "--quiet", "--json")
    assert said.status == 0, said.err
    [text] = json.loads(said.out)["warnings"]
    assert text.startswith("the teacher is no better than always answering")
    assert f"warning: {text}" in said.err.splitlines()
    assert f"warning: {text}" in autocomp("show", run).out.splitlines()
    assert [e["text"] for e in read_lines(run / "journal.jsonl", "warning")] == [text]
    assert json.dumps(text, ensure_ascii=False)[1:-1] in (run / "report.html").read_text(encoding="utf-8")


def test_a_budget_that_cannot_pay_for_the_teacher_is_no_refusal(tiny, autocomp, inline, monkeypatch, tmp_path):
    monkeypatch.setattr(front, "TIMING_S", 0.0)
    run = tmp_path / "run"
    said = autocomp("search", tiny(teacher_epochs=50.0), "--budget", "4s", "--out", run, "--quiet", "--json")
    assert said.out, said.err
    found = json.loads(said.out)
    assert any("all that half of the budget 4s had room for" in text for text in found["warnings"])
    assert found["status"] == "finished" and found["teacher"]["bytes"]
    assert said.status == (0 if found["trials"]["complete"] else 1)


def test_a_good_teacher_is_no_cause_for_words(finished, autocomp):
    assert json.loads(autocomp("show", finished.run, "--json").out)["warnings"] == []
    assert "warning:" not in autocomp("show", finished.run).out


def test_a_candidate_that_cannot_be_scored_at_the_end_is_told(tiny, autocomp, inline, monkeypatch, tmp_path):
    real, run = front.SCORING.run, tmp_path / "run"

    def breaks_once(job):
        if not (tmp_path / "broken").exists():
            (tmp_path / "broken").write_text(job["id"])
            raise ValueError("this file cannot be run")
        return real(job)

    monkeypatch.setattr(front, "TIMING_S", 0.0)
    monkeypatch.setattr(front, "SCORING", replace(front.SCORING, run=breaks_once))
    said = autocomp("search", tiny(), "--budget", "1trials", "--out", run, "--quiet", "--json")
    [text] = json.loads(said.out)["warnings"]
    lost = (tmp_path / "broken").read_text()
    assert text.startswith(f"candidate {lost} is left out of the front") and "this file cannot be run" in text
    assert lost not in {m.get("record") for m in json.loads(said.out)["members"]} and said.status == 0

import json
import os

import pytest

from autocomp.budget import Charge, Cost, Fidelity
from autocomp.errors import RunFolderError
from autocomp.journal import Journal, read_lines, read_records
from autocomp.journal.events import (
    JobStarted,
    ResourcesCharged,
    StudyBegun,
    StudyResumed,
    TeacherMeasured,
    TrialRecorded,
)
from autocomp.measurement import Measurement
from autocomp.plan import CompressionPlan, Step
from autocomp.record import TrialRecord

RECORD = TrialRecord(
    id="t0007-3",
    plan=CompressionPlan((Step("depth", {"layers": 2}),)),
    point={"depth.layers": 2},
    fidelity=Fidelity(1, 400),
    measurements={"latency": Measurement(3.0, "ms", 0.1, 60, "cpu", {"p95": 4.0})},
    artifact="artifact-1",
    seconds=1.5,
    seed=3,
    source="tpe",
)
FAILED = TrialRecord("t0008-0", CompressionPlan(), {}, Fidelity(0, 0), status="failed", error="TrainingDiverged: NaN")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "run" / "journal.jsonl")


@pytest.mark.parametrize("record", [RECORD, FAILED])
def test_a_record_survives_json(record):
    assert TrialRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_records_are_read_in_order_among_other_events(journal):
    journal.append(StudyBegun(out="x"))
    journal.append(TrialRecorded(record=RECORD.to_json()))
    journal.append(ResourcesCharged(charge=Charge("front", Cost())))
    journal.append(TrialRecorded(record=FAILED.to_json()))
    assert read_records(journal.file) == [RECORD, FAILED]
    assert [e.event for e in journal.events()] == ["study", "record", "charge", "record"]
    assert [e.out for e in journal.events(StudyBegun)] == ["x"]


def test_a_line_is_on_disk_before_the_listener_hears_of_it(tmp_path, monkeypatch):
    file, synced, heard = tmp_path / "journal.jsonl", [], []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))

    def listen(event):
        assert synced == [file.stat().st_ino]
        heard.append((event, file.read_text(encoding="utf-8")))

    Journal(file, listen).append(JobStarted(job="t1", describe="2 of 6 layers · 4,000 pieces"))
    [(event, text)] = heard
    assert json.loads(text) == event.to_json()
    assert event.at > 1.7e9
    assert "·" in text


@pytest.mark.parametrize("torn", [b'{"event": "cha', '{"event": "é'.encode()[:-1], b'{"event": "charge"}', b"\x00" * 9])
def test_a_torn_last_line_is_passed_over_and_dropped_at_the_next_opening(journal, torn):
    journal.append(StudyBegun(out="x"))
    with journal.file.open("ab") as out:
        out.write(torn)
    assert [e["event"] for e in read_lines(journal.file)] == ["study"]
    again = Journal(journal.file)
    again.append(StudyResumed())
    assert [e.event for e in again.events()] == ["study", "resumed"]


def test_a_journal_of_one_torn_line_becomes_empty(tmp_path):
    file = tmp_path / "journal.jsonl"
    file.write_bytes(b'{"event": "st')
    assert list(Journal(file).events()) == []
    assert file.read_bytes() == b""


DAMAGED = [b"{not json", b"[1, 2]", b'{"no": "event"}', b"\xff\xfe", b"", b'{"event": "record", "at": 1.5, "rec']


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_line_is_refused_with_its_number_after_those_before_it(journal, damage, place):
    """The last one too, for it is whole: only a line that does not end was cut off by a crash."""
    for event in (StudyBegun(), TeacherMeasured()):
        journal.append(event)
    lines = journal.file.read_bytes().splitlines(keepends=True)
    journal.file.write_bytes(b"".join([*lines[: place - 1], damage + b"\n", *lines[place - 1 :]]))
    seen = []
    with pytest.raises(RunFolderError, match=rf"journal\.jsonl: line {place} is damaged .*delete that line"):
        for event in read_lines(journal.file):
            seen.append(event["event"])
    assert seen == ["study", "teacher"][: place - 1]
    with pytest.raises(RunFolderError, match=f"line {place} is damaged"):
        read_records(journal.file)


def test_a_folder_without_a_journal_is_no_run(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(RunFolderError, match="is not a run directory"):
            list(read_lines(folder / "journal.jsonl"))

"""Lines that a journal had before it said its version are read into types, and written again as they were."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autocomp.budget import Charge, Cost, Fidelity
from autocomp.errors import RunFolderError
from autocomp.journal import Journal, read_events, read_lines
from autocomp.journal.events import (
    KINDS,
    VERSION,
    Event,
    FidelitiesChosen,
    GpusShared,
    JobRetried,
    JobStarted,
    NodeChanged,
    ResourcesCharged,
    StudyBegun,
    StudyFinished,
    StudyResumed,
    TrialRecorded,
    UnknownEvent,
    WarningGiven,
    event_of,
)
from autocomp.journal.file import as_line
from autocomp.report.state import RunState

HEARD = Path(__file__).with_name("heard_before_versions.jsonl")
"""What `--json-events` printed of a study of three trials: the journal's lines, and some of its `progress`."""
SAMPLE = {"gpu": "H", "jobs": 4, "share": 0.25, "third_s": 0.01, "whole_s": 0.03}
OTHERS = [
    ('{"event": "resumed", "at": 1.5, "crew": {"kind": "local"}}', StudyResumed(at=1.5, crew={"kind": "local"})),
    ('{"event": "resumed", "at": 1.5}', StudyResumed(at=1.5)),
    ('{"event": "warning", "at": 1.5, "text": "a poor teacher"}', WarningGiven(at=1.5, text="a poor teacher")),
    (
        '{"event": "gpus", "at": 1.5, "gpu": "H", "jobs": 4, "share": 0.25, "third_s": 0.01, "whole_s": 0.03, "tried":'
        ' [{"jobs": 1, "steps_per_s": 10.0}], "found": 2, "held": 2.0}',
        GpusShared(at=1.5, **SAMPLE, tried=[{"jobs": 1, "steps_per_s": 10.0}], found=2, held=2.0),
    ),
    (
        '{"event": "retried", "at": 1.5, "job": "t1", "attempt": 1, "node": "", "error": "died", "lost_s": 2.5}',
        JobRetried(at=1.5, job="t1", attempt=1, node="", error="died", lost_s=2.5),
    ),
    (
        '{"event": "node", "at": 1.5, "node": "n", "host": "h", "state": "lost"}',
        NodeChanged(at=1.5, node="n", host="h", state="lost"),
    ),
]


def told_again(line):
    """A line through its type, as it was read and as this version writes it from fields alone."""
    event = event_of(json.loads(line))
    return as_line(event).rstrip("\n"), as_line(replace(event, keys=())).rstrip("\n")


def test_every_line_from_before_is_written_as_it_was():
    lines = HEARD.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 30
    for line in lines:
        read, made = told_again(line)
        new = made.replace(f'"version": {VERSION}, ', "") if '{"event": "study"' in line else made
        assert (read, new) == (line, line)


@pytest.mark.parametrize(("line", "event"), OTHERS)
def test_kinds_that_few_studies_have_keep_their_lines(line, event):
    assert event_of(json.loads(line)) == event
    assert told_again(line) == (line, line) and as_line(event) == line + "\n"


def test_every_kind_is_held_to_its_line_here():
    seen = {json.loads(line)["event"] for line in [*HEARD.read_text().splitlines(), *(line for line, _ in OTHERS)]}
    assert seen == set(KINDS)
    assert set(KINDS.values()) == set(Event.__subclasses__()) - {UnknownEvent}


def test_what_is_a_type_is_read_as_one():
    events = list(read_events(HEARD))
    charges = [e.charge for e in events if isinstance(e, ResourcesCharged)]
    assert charges[0].what == "teacher" and sum((c.cost for c in charges), Cost()).trials == 3
    [rungs] = [e.rungs for e in events if isinstance(e, FidelitiesChosen)]
    assert rungs == (Fidelity(0, 20), Fidelity(1, 60))
    started = [e for e in events if isinstance(e, JobStarted)]
    assert [e.job for e in started] == ["t0001", "t0002", "t0003"] and started[1].fidelity in rungs
    record = next(e for e in events if isinstance(e, TrialRecorded))
    assert (record.trial.id, record.job) == ("t0001-0", "t0001")


def test_a_run_from_before_adds_up():
    state = RunState()
    for event in read_events(HEARD):
        state.add(event)
    assert state.final and state.reason == "all trials done" and state.ledger.trials == 3
    assert state.front.hypervolume > 0 and state.teacher["bytes"] > state.plain_int8["bytes"]


def test_a_new_journal_says_its_version_first_and_old_keys_after_it(tmp_path):
    Journal(tmp_path / "journal.jsonl").append(StudyBegun(spec={"seed": 1}))
    assert list(next(read_lines(tmp_path / "journal.jsonl")))[:4] == ["event", "at", "version", "spec"]


@pytest.mark.parametrize("kind", [StudyFinished, StudyBegun, Event])
def test_a_journal_of_a_newer_version_is_refused_with_both_versions_and_the_way_out(tmp_path, kind):
    (tmp_path / "journal.jsonl").write_text(
        f'{{"event": "study", "at": 1.0, "version": {VERSION + 1}}}\n{{"event": "finished", "reason": "x"}}\n'
    )
    with pytest.raises(RunFolderError, match=rf"version {VERSION + 1}, .* up to {VERSION}; .*newer"):
        list(read_events(tmp_path / "journal.jsonl", kind))


def test_a_kind_that_is_not_known_changes_nothing_and_is_kept():
    line = '{"event": "moved", "at": 5.0, "to": "elsewhere"}'
    event, state = event_of(json.loads(line)), RunState()
    state.add(event)
    assert isinstance(event, UnknownEvent) and event.name == "moved"
    assert told_again(line) == (line, line)
    assert replace(state, ended_at=None) == RunState()


def test_keys_of_a_newer_version_are_kept_aside():
    line = '{"event": "finished", "energy_j": 5, "at": 1.0, "reason": "x"}'
    assert dict(event_of(json.loads(line)).more) == {"energy_j": 5}
    assert told_again(line)[0] == line


def test_keys_that_older_journals_lack_have_defaults():
    study = event_of({"event": "study", "at": 1.0, "spec": {}})
    assert (study.version, study.made_of, study.knobs, study.objectives) == (VERSION, None, None, ())
    assert event_of({"event": "teacher", "members": {}}).values == {}
    assert event_of({"event": "charge", "charge": {"what": "front", "cpu_s": 2.0}}).charge == Charge(
        "front", Cost(cpu_s=2.0)
    )


def test_a_line_without_what_it_is_about_is_damaged(tmp_path):
    (tmp_path / "journal.jsonl").write_text('{"event": "study"}\n{"event": "started", "at": 1.0}\n')
    with pytest.raises(RunFolderError, match=r"line 2 is damaged \(its event 'started' lacks job\)"):
        list(read_events(tmp_path / "journal.jsonl"))

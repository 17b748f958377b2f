"""A run whose journal holds NaN and Infinity, as older ones may: every verb says null, and shows nothing of it."""

import copy
import json
import math
import re

import pytest

from autocomp.testing.runs import journal, write_run

CLOCKS = {"at", "charge"}


def spoilt(value, word):
    """The same data with `word` for every number that is measured; what a clock or a person said stays."""
    if isinstance(value, dict):
        return {k: v if k in (*CLOCKS, "spec", "budget") else spoilt(v, word) for k, v in value.items()}
    if isinstance(value, list):
        return [spoilt(v, word) for v in value]
    return word if isinstance(value, float) else value


def paths(value, before=()):
    """Where in an event the numbers are."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from paths(inner, (*before, key))
    if isinstance(value, float) and not CLOCKS & set(before):
        yield before


def with_number(events, place, path, word):
    events = copy.deepcopy(events)
    inner = events[place]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = word
    return events


def every_kind_of_number():
    """One place in the journal of each number's kind: event and path, whatever the position in a list."""
    events, seen = journal(), {}
    for place, event in enumerate(events):
        for path in paths(event):
            seen.setdefault((event["event"], *(k for k in path if isinstance(k, str))), (place, path))
    return seen


def strictly(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def check(autocomp, run, page):
    for words in (["show", run], ["status", run], ["report", run, "--out", page], ["publish", run, "--to", "optuna"]):
        status, out, err = autocomp(*words, "--json")
        assert status == 0, err
        strictly(out)
    data = re.search(r'<script[^>]*id="run-data"[^>]*>(.*?)</script>', page.read_text(encoding="utf-8"), re.S)[1]
    assert strictly(data)["runs"][0]["summary"]["members"]
    for verb in ("show", "status"):
        status, out, err = autocomp(verb, run)
        assert status == 0, err
        assert not re.search(r"\b(nan|inf)\b", out.replace("became NaN", ""), re.I), out


@pytest.mark.parametrize("word", [math.nan, math.inf, -math.inf])
def test_a_journal_of_nothing_else(autocomp, tmp_path, word):
    run = write_run(tmp_path / "run", spoilt(journal(), word))
    assert (run / "journal.jsonl").read_text().count(json.dumps(word)) > 100
    check(autocomp, run, tmp_path / "page.html")
    assert strictly(autocomp("show", run, "--json")[1])["members"][0]["latency_ms"] is None


def test_a_number_at_a_time(autocomp, tmp_path):
    events, kinds = journal(), every_kind_of_number()
    assert len(kinds) > 60
    for number, (place, path) in enumerate(kinds.values()):
        word = (math.nan, math.inf)[number % 2]
        run = write_run(tmp_path / f"run{number}", with_number(events, place, path, word))
        status, out, err = autocomp("show", run, "--json")
        assert status == 0, (path, err)
        strictly(out)


@pytest.mark.parametrize("path", [("at",), ("charge", "wall_s"), ("charge", "cpu_s")])
def test_a_time_that_is_no_number_is_damage(autocomp, tmp_path, path):
    events = journal()
    place = next(i for i, event in enumerate(events) if event["event"] == "charge")
    run = write_run(tmp_path / "run", with_number(events, place, path, math.nan))
    status, out, err = autocomp("show", run, "--json")
    assert (status, out) == (2, "")
    assert f"line {place + 1} is damaged (a time is no number)" in err

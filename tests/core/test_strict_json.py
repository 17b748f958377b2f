import json
import math

import numpy as np
import pytest

from autocomp import strict_json
from autocomp.artifact.files import read_manifest, save_artifact, update_manifest
from autocomp.journal import Journal, read_lines
from autocomp.journal.events import FrontWritten
from autocomp.measurement import Measurement

NO_NUMBERS = [math.nan, math.inf, -math.inf, np.float64("nan")]


def strictly(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_what_json_has_no_word_for_is_null(number):
    data = {"a": [1.5, number, {"b": (number, "NaN")}], "c": 3}
    assert strictly(strict_json.dumps(data)) == {"a": [1.5, None, {"b": [None, "NaN"]}], "c": 3}


def test_what_has_to_be_converted_first_is_looked_into_as_well():
    assert strictly(strict_json.dumps({"a": {math.nan}}, default=list)) == {"a": [None]}
    assert strictly(strict_json.dumps([math.inf, {2.5}], default=list)) == [None, [2.5]]


def test_layout_and_characters():
    assert strict_json.dumps({"a": ["·", 1]}, separators=strict_json.COMPACT) == '{"a":["·",1]}'
    assert strict_json.dumps({"a": math.nan}, indent=2) == '{\n  "a": null\n}'


@pytest.mark.parametrize("data", [{"a": object()}, {"a": object(), "b": math.nan}])
def test_an_unknown_value_is_a_string_or_refused(data):
    assert strictly(strict_json.dumps(data))["a"].startswith("<object")
    with pytest.raises(TypeError, match="not JSON serializable"):
        strict_json.dumps(data, default=None)


@pytest.mark.parametrize(
    "word", ["NaN", "-Infinity", "1e999", "-1E+0999", "1" * 400 + ".5", "1" * 250 + "e99", "1e309\n"]
)
def test_what_an_older_file_says_is_read_as_null(word):
    assert strict_json.loads(f'{{"a": [{word}, 1.5, 2]}}') == {"a": [None, 1.5, 2]}


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_journal_holds_null_and_so_does_what_is_read_of_an_older_one(tmp_path, number):
    Journal(tmp_path / "new.jsonl").append(
        FrontWritten(members=(), hypervolume=number, more={"spread": {"a": [number]}})
    )
    [event] = map(strictly, (tmp_path / "new.jsonl").read_text().splitlines())
    (tmp_path / "old.jsonl").write_text(json.dumps({"event": "front", "members": [], "hypervolume": number}) + "\n")
    assert event["hypervolume"] is None and event["spread"] == {"a": [None]}
    assert next(read_lines(tmp_path / "old.jsonl"))["hypervolume"] is None


def test_a_listener_hears_what_was_said_and_events_on_stdout_are_strict(tmp_path, capsys):
    from autocomp.cli._progress import JsonEvents

    Journal(tmp_path / "journal.jsonl", JsonEvents(tmp_path).show).append(
        FrontWritten(members=(), hypervolume=math.nan)
    )
    assert strictly(capsys.readouterr().out)["hypervolume"] is None


def test_a_measurement_that_nobody_knows_stays_one():
    data = Measurement(math.nan, "ms", math.nan, details={"p50": math.inf, "p95": 2.0}).to_json()
    again = Measurement.from_json(strict_json.loads(strict_json.dumps(data)))
    assert math.isnan(again.value) and again.spread is None
    assert math.isnan(again.details["p50"]) and again.details["p95"] == 2.0


def test_a_manifest_is_strict_and_its_checksum_holds(tmp_path):
    facts = {"labels": ["a", "b"], "max_length": 24, "pairs": False, "measurements": {"latency": math.nan}}
    save_artifact(tmp_path / "a", {"model.onnx": b"model"}, "{}", facts)
    assert read_manifest(tmp_path / "a")["measurements"] == {"latency": None}
    update_manifest(tmp_path / "a", student_agreement=math.inf)
    assert strictly((tmp_path / "a" / "manifest.json").read_text())["student_agreement"] is None
    assert read_manifest(tmp_path / "a")["student_agreement"] is None

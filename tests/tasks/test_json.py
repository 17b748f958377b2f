"""JSON in the forms that pandas and people write."""

import json

import pandas
import pytest

from autocomp.errors import DataError
from autocomp.tasks._files import load_files
from autocomp.tasks._json import read_json

ROWS = [{"text": f"t {i}", "label": "ab"[i % 2]} for i in range(3)]
COLUMNS = {"text": ["t 0", "t 1", "t 2"], "label": ["a", "b", "a"]}


def read(value, dump=json.dumps):
    notes = []
    table = read_json(dump(value), "f", notes)
    return {name: table[name] for name in table.column_names}, notes


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
def test_every_orient_of_pandas_that_has_names(orient):
    found, notes = read(pandas.DataFrame(ROWS), lambda frame: frame.to_json(orient=orient))
    assert {name: found[name] for name in COLUMNS} == COLUMNS
    assert bool(notes) == (orient != "records")


def test_indices_may_be_words():
    frame = pandas.DataFrame(ROWS, index=["x", "y", "z"])
    for orient in ("columns", "index"):
        assert read(frame, lambda f, orient=orient: f.to_json(orient=orient))[0] == COLUMNS


@pytest.mark.parametrize(
    "dump",
    [
        lambda rows: "\n".join(map(json.dumps, rows)),
        lambda rows: "\n\n".join(json.dumps(row, indent=1) for row in rows),
        lambda rows: json.dumps(rows, indent=1),
        lambda rows: "".join(map(json.dumps, rows)),
    ],
)
def test_records_one_after_the_other_or_in_a_list(dump):
    assert read(ROWS, dump) == (COLUMNS, [])


def test_a_list_under_one_name_and_lists_of_columns_are_told():
    assert read({"version": 1, "data": ROWS}) == (COLUMNS, ["read as the list under 'data'"])
    assert read(COLUMNS) == (COLUMNS, ["read as a list for each column"])


def test_missing_keys_are_empty_and_dates_stay_texts():
    found, _ = read([{"text": "2020-01-01", "label": 1}, {"label": "0"}])
    assert found == {"text": ["2020-01-01", None], "label": [1, "0"]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([["a", "b"]], "row 1 is a list without names; write objects"),
        (["a"], "row 1 is 'a'"),
        (5, "row 1 is 5"),
        ([], "there are no rows"),
        ({"train": ROWS, "test": ROWS}, "several lists, train, test; give each a file of its own"),
        ({"text": ["a", "b"], "label": ["x"]}, "different lengths: text: 2, label: 1"),
        ({"columns": ["text", "label"], "data": [["a"]]}, "must have 2 values as `columns` has"),
    ],
)
def test_what_is_no_table_is_refused(value, said):
    with pytest.raises(DataError, match=said):
        read(value)


def test_broken_json_names_the_line():
    with pytest.raises(DataError, match=r"f: cannot be read as JSON: .* in line 2"):
        read_json('{"text": "a"}\n{"text": }\n', "f", [])
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read_json("[" * 200_000, "f", [])


def test_messages_never_show_a_whole_column(tmp_path):
    columns = {f"column {i}": {"x": {"y": "long " * 1000}} for i in range(500)}
    for value in (columns, {"text": [{"a": "long " * 1000}] * 500, "label": ["x"] * 500}, [{"a" * 5000: 1}]):
        (tmp_path / "a.json").write_text(json.dumps(value))
        with pytest.raises(DataError) as caught:
            load_files(tmp_path / "a.json")
        assert len(str(caught.value)) < 800 + len(str(tmp_path))

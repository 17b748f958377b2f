"""Tables of JSON files: records one a line or in a list, and the other forms in which pandas writes a table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from autocomp.errors import DataError, listed, short_repr
from autocomp.strict_json import JsonView
from autocomp.tasks._tables import PlainTable

_SPACE = re.compile(r"[\s\x00]*")


def read_json(text: str, place: str, notes: list[str]) -> PlainTable:
    """A JSON file or JSON lines as a table; a key that a record lacks is None.

    Understood are records one after the other or in one list, that list as the only one in an object, and
    `DataFrame.to_json` in every orient but `values`, which has no names.

    Raises:
        DataError: it is no JSON, or no table; says what it is.
    """
    values = _values(text, place)
    if not values:
        raise DataError(f"{place}: there are no rows")
    if len(values) > 1 or not isinstance(values[0], list | dict):
        return _of_records(values, place)
    value = values[0]
    if isinstance(value, list):
        return _of_records(value, place)
    table, form = _of_object(value, place)
    notes += [f"read as {form}"] * bool(form)
    return table


def _values(text: str, place: str) -> list[Any]:
    """All JSON values of a text, which stand one after the other."""
    decoder, values, at = json.JSONDecoder(), [], _end_of_space(text, 0)
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            at = _end_of_space(text, at)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: cannot be read as JSON: {error.msg} in line {error.lineno}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: cannot be read as JSON: {short_repr(str(error))}") from error
    return values


def _end_of_space(text: str, start: int) -> int:
    space = _SPACE.match(text, start)
    return space.end() if space else start


def _of_records(records: Sequence[Any], place: str) -> PlainTable:
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            kind = "a list without names" if isinstance(record, list) else f"{short_repr(record)}"
            raise DataError(f'{place}: row {number} is {kind}; write objects such as {{"text": "…", "label": "…"}}')
    if not records:
        raise DataError(f"{place}: there are no rows")
    names = list(dict.fromkeys(str(name) for record in records for name in record))
    return PlainTable({name: [record.get(name) for record in records] for name in names})


def _of_object(value: JsonView, place: str) -> tuple[PlainTable, str]:
    """The table in one object, and in words how it is written there (nothing for a single record)."""
    inner = list(value.values())
    if "columns" in value and isinstance(value.get("data"), list) and set(value) <= {"columns", "index", "data"}:
        return _of_split(value, place), "pandas' orient='split'"
    if inner and all(isinstance(part, dict) for part in inner):
        return _of_objects(value, place)
    if inner and all(isinstance(part, list) for part in inner) and not _holds_records(inner):
        if len({len(part) for part in inner}) > 1:
            sizes = listed(f"{name}: {len(part)}" for name, part in value.items())
            raise DataError(f"{place}: the lists have different lengths: {sizes}")
        return PlainTable({str(name): list(part) for name, part in value.items()}), "a list for each column"
    lists = {name: part for name, part in value.items() if isinstance(part, list) and _holds_records([part])}
    if len(lists) == 1:
        ((name, part),) = lists.items()
        return _of_records(part, place), f"the list under {short_repr(name)}"
    if lists:
        way_out = "give each a file of its own (train.json, validation.json, test.json)"
        raise DataError(f"{place}: it has several lists, {listed(lists)}; {way_out}")
    return _of_records([value], place), ""


def _holds_records(parts: Sequence[Sequence[Any]]) -> bool:
    return any(part and isinstance(part[0], dict) for part in parts)


def _of_split(value: JsonView, place: str) -> PlainTable:
    names, rows = [str(name) for name in value["columns"]], value["data"]
    wrong = next((row for row in rows if not isinstance(row, list) or len(row) != len(names)), None)
    if wrong is not None:
        raise DataError(
            f"{place}: a row of `data` must have {len(names)} values as `columns` has, got {short_repr(wrong)}"
        )
    return PlainTable({name: [row[i] for row in rows] for i, name in enumerate(names)})


def _of_objects(value: Mapping[str, JsonView], place: str) -> tuple[PlainTable, str]:
    """Objects in an object: columns of rows by number, or rows by number of columns."""
    rows = list(value.values())
    keys = list(dict.fromkeys(key for row in rows for key in row))
    by_row = all(key.isdecimal() for key in value) and not all(key.isdecimal() for key in keys)
    by_column = all(key.isdecimal() for key in keys) and not all(key.isdecimal() for key in value)
    if by_column or (not by_row and len(value) < len(keys)):
        columns = {name: [column.get(key) for key in keys] for name, column in value.items()}
        return PlainTable(columns), "pandas' orient='columns'"
    return _of_records(rows, place), "pandas' orient='index'"

"""Which column is what, and what its values mean: from tables of `datasets` to a task."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autocomp.errors import DataError
from autocomp.tasks._base import Example, TaskData
from autocomp.tasks._splits import finish_task

if TYPE_CHECKING:
    from datasets import Dataset

PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text1", "text2"),
    ("text", "text_pair"),
    ("text", "text2"),
)
TEXTS = ("text", "sentence", "content", "review", "tweet", "comment", "message", "question")
LABELS = ("label", "labels", "sentiment", "class", "category", "target", "gold_label", "intent")

Value = str | int | None
Row = tuple[str, str | None, Value]


@dataclass(frozen=True)
class Reading:
    """What the user said about the data; None is found out.

    Attributes:
        text, pair, label: column names.
        label_names: names of integer labels by value, or the order of named labels.
        metric: name of the score.
        max_length: longest input in tokens; None follows from the texts.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    label_names: tuple[str, ...] | None = None
    metric: str | None = None
    max_length: int | None = None


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are read; `pair` is None for single texts."""

    text: str
    pair: str | None
    label: str


def read_tables(name: str, tables: Mapping[str, Dataset], reading: Reading, notes: Sequence[str] = ()) -> TaskData:
    """Make a task of tables called `train`, `search`, `held_out` (the last two may be missing).

    Raises:
        DataError: for a missing column, no usable row, labels of unequal types or unknown to train, and whatever
            `finish_task` refuses.
    """
    said = list(notes)
    columns = find_columns(name, tables["train"].column_names, reading)
    read = ", ".join(f"{role} = {column!r}" for role, column in vars(columns).items() if column)
    said.append(f"columns: {read}")
    rows = {split: _rows(f"{name}, {split}", table, columns, split, said) for split, table in tables.items()}
    rows = _labelled(name, columns.label, rows, said)
    _check_kinds(name, rows, columns.label)
    known = sorted({value for _, _, value in rows["train"]})  # type: ignore[type-var]
    index, labels = _numbering(name, known, _class_names(tables["train"], columns.label), reading.label_names)
    examples = {split: _encode(f"{name}, {split}", found, index, columns.label) for split, found in rows.items()}
    return finish_task(name, labels, reading.metric or "accuracy", examples, said, reading.max_length)


def find_columns(name: str, available: Sequence[str], reading: Reading) -> Columns:
    """Settle the columns: those the user named, or else those with a usual name (case does not matter).

    A named text column is taken as a single text unless a pair column is named too.

    Raises:
        DataError: if a named column does not exist or none has a usual name; lists the columns there are.
    """
    for role, column in (("text", reading.text), ("pair", reading.pair), ("label", reading.label)):
        if column is not None and column not in available:
            raise DataError(f"{name}: no column {column!r} for {role}; the columns are {', '.join(available)}")
    lower = {column.lower(): column for column in reversed(available)}
    label = reading.label or next((lower[c] for c in LABELS if c in lower), None)
    text, pair = _text_columns(lower, reading)
    if text is None or label is None:
        role = "text" if text is None else "label"
        raise DataError(
            f"{name}: cannot tell which column is the {role}; the columns are {', '.join(available)}; "
            f"name one ({role}=…; if these are no column names, the file lacks a header line)"
        )
    if len({text, pair, label}) < 3:
        raise DataError(f"{name}: text {text!r}, pair {pair!r} and label {label!r} must be different columns")
    return Columns(text, pair, label)


def _text_columns(lower: Mapping[str, str], reading: Reading) -> tuple[str | None, str | None]:
    if reading.text is not None:
        return reading.text, reading.pair
    for first, second in PAIRS:
        if first in lower and second in lower and reading.pair in (None, lower[second]):
            return lower[first], lower[second]
    return next((lower[c] for c in TEXTS if c in lower and lower[c] != reading.pair), None), reading.pair


def _rows(place: str, table: Dataset, columns: Columns, split: str, said: list[str]) -> list[Row]:
    """Rows of one table; those without text or label are dropped, which is noted in `said`."""
    for column in (columns.text, columns.pair, columns.label):
        if column is not None and column not in table.column_names:
            raise DataError(f"{place}: no column {column!r}; the columns are {', '.join(table.column_names)}")
    if not len(table):
        raise DataError(f"{place}: there are no rows")
    texts = _texts(place, columns.text, table)
    seconds = _texts(place, columns.pair, table) if columns.pair else [None] * len(texts)
    values = label_values(place, columns.label, table[columns.label][:], _class_names(table, columns.label))
    full = [bool(text) and (columns.pair is None or bool(second)) for text, second in zip(texts, seconds, strict=True)]
    empty = full.count(False)
    if empty == len(full):
        raise DataError(f"{place}: every text is empty in column {columns.text!r}; name the right one with text=…")
    said += [f"{split}: {empty} rows without text dropped"] * bool(empty)
    every = zip(texts, seconds, values, full, strict=True)
    return [(text, second, value) for text, second, value, whole in every if text and whole]


def _texts(place: str, column: str, table: Dataset) -> list[str | None]:
    values = table[column][:]
    wrong = next((value for value in values if not isinstance(value, str | None)), None)
    if wrong is not None:
        raise DataError(f"{place}: column {column!r} must hold text, got {wrong!r} ({type(wrong).__name__})")
    return [value if value and value.strip() else None for value in values]


def label_values(place: str, column: str, values: Sequence[object], class_names: tuple[str, ...] | None) -> list[Value]:
    """Labels as whole numbers or as names; None where there is none.

    Names that are all whole numbers are numbers ("0" in a CSV file, "1.0" too); booleans are `false` and `true`.

    Raises:
        DataError: for values of several types, fractions, lists.
    """
    kinds = {type(value) for value in values if value is not None and value == value}
    if kinds == {int, float}:
        kinds = {float}
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{place}: labels in column {column!r} must be of one type, got {names}")
    kind = next(iter(kinds), str)
    if kind not in _READERS:
        raise DataError(f"{place}: labels in column {column!r} must be names or whole numbers, got {kind.__name__}")
    if class_names is not None and kind is int:
        return [class_names[v] if isinstance(v, int) and 0 <= v < len(class_names) else None for v in values]
    read = [None if value is None or value != value else _READERS[kind](value) for value in values]
    if kind is str and all(value is None or _NUMBER.fullmatch(str(value)) for value in read):
        return [None if value is None else _whole(place, column, float(value)) for value in read]
    return [_whole(place, column, value) if isinstance(value, float) else value for value in read]


def _whole(place: str, column: str, value: float) -> int:
    if not value.is_integer():
        raise DataError(
            f"{place}: labels in column {column!r} must be names or whole numbers, got {value} "
            "(a score? autocomp does classification only)"
        )
    return int(value)


_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_READERS: Mapping[type, Callable[[Any], Any]] = {
    str: lambda value: value.strip() or None,
    bool: lambda value: str(value).lower(),
    int: int,
    float: float,
}


def _class_names(table: Dataset, column: str) -> tuple[str, ...] | None:
    names = getattr(table.features[column], "names", None)
    return tuple(names) if names else None


def _labelled(name: str, column: str, rows: dict[str, list[Row]], said: list[str]) -> dict[str, list[Row]]:
    """Rows that have a label; a split without any (the tests of GLUE hold -1) counts as missing."""
    known = {value for _, _, value in rows["train"]}
    kept: dict[str, list[Row]] = {}
    for split, found in rows.items():
        values = {value for _, _, value in found}
        if split != "train" and (values == {None} or (values == {-1} and -1 not in known)):
            said.append(f"{split}: ignored, its {len(found)} rows have no labels")
            continue
        kept[split] = [row for row in found if row[2] is not None]
        dropped = len(found) - len(kept[split])
        said += [f"{split}: {dropped} rows without label dropped"] * bool(dropped)
    if not kept["train"]:
        raise DataError(f"{name}: no row of train has a label in column {column!r}; name the right one with label=…")
    return kept


def _check_kinds(name: str, rows: Mapping[str, Sequence[Row]], column: str) -> None:
    words = {int: "whole numbers", str: "names"}
    kinds = {split: type(found[0][2]) for split, found in rows.items()}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{words[kind]} in {split}" for split, kind in kinds.items())
        raise DataError(f"{name}: labels in column {column!r} must be of one type in every split, got {found}")


def _numbering(
    name: str, known: Sequence[Value], class_names: tuple[str, ...] | None, given: tuple[str, ...] | None
) -> tuple[dict[Value, int], tuple[str, ...]]:
    """Index of every label value, and the names by index."""
    if len(known) > 1000:
        raise DataError(f"{name}: the label column holds {len(known)} different values, of 1000; is it the right one?")
    if class_names is not None:
        index: dict[Value, int] = {value: i for i, value in enumerate(class_names)}
        if given is not None and len(given) != len(class_names):
            raise DataError(f"{name}: label_names must be {len(class_names)} names, got {len(given)}")
        return index, given or class_names
    if given is None:
        return {value: i for i, value in enumerate(known)}, tuple(str(value) for value in known)
    return _given_numbering(name, known, given), given


def _given_numbering(name: str, known: Sequence[Value], given: tuple[str, ...]) -> dict[Value, int]:
    if len(set(given)) != len(given):
        raise DataError(f"{name}: label_names must differ from each other, got {', '.join(given)}")
    if set(known) <= set(given) or set(known) <= set(range(len(given))):
        values: Sequence[Value] = given if isinstance(known[0], str) else range(len(given))
        return {value: i for i, value in enumerate(values)}
    if len(known) == len(given) and not isinstance(known[0], str):
        return {value: i for i, value in enumerate(known)}
    shown = ", ".join(str(value) for value in known[:10])
    raise DataError(f"{name}: label_names {', '.join(given)} do not fit the labels of train, {shown}")


def _encode(place: str, rows: Sequence[Row], index: Mapping[Value, int], column: str) -> list[Example]:
    foreign = next((value for _, _, value in rows if value not in index), None)
    if foreign is not None:
        raise DataError(
            f"{place}: label {foreign!r} in column {column!r} does not occur in train, "
            f"which has {', '.join(str(value) for value in list(index)[:10])}"
        )
    return [Example(text, second, index[value]) for text, second, value in rows]

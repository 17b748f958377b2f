"""Which column is what, and what its values mean: from tables of `datasets` to a task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocomp.errors import DataError, listed, short_repr
from autocomp.tasks._base import Example, TaskData
from autocomp.tasks._labels import Value, in_order, label_values, numbering
from autocomp.tasks._positive import with_positive
from autocomp.tasks._splits import finish_task, is_blank, normalized
from autocomp.tasks._tables import Table

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
FLAGS = ({"0", "1"}, {"0.0", "1.0"}, {"false", "true"})
FLAG_ROWS = 1000
LABELS = ("label", "labels", "sentiment", "class", "category", "target", "gold_label", "intent")

Row = tuple[str, str | None, Value]
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Reading:
    """What the user wants of the data; where it is None, it follows from the data.

    Attributes:
        text, pair, label: column names.
        label_names: names of integer labels by value, or the order of named labels.
        metric: name of the score.
        max_length: longest input in tokens; None follows from the texts.
        positive: name of the label that metrics such as F1 are about.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    label_names: tuple[str, ...] | None = None
    metric: str | None = None
    max_length: int | None = None
    positive: str | None = None


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are read; `pair` is None for single texts."""

    text: str
    pair: str | None
    label: str


def read_tables(name: str, tables: Mapping[str, Table], reading: Reading, notes: Sequence[str] = ()) -> TaskData:
    """Make a task of tables called `train`, `search`, `held_out` (the last two may be missing).

    Raises:
        DataError: for a missing column, no usable row, labels of unequal types, several labels a row, labels unknown to
            train, and whatever `finish_task` refuses.
    """
    remarks = list(notes)
    columns = find_columns(name, tables["train"], reading)
    read = ", ".join(f"{role} = {short_repr(column)}" for role, column in vars(columns).items() if column)
    remarks.append(f"columns: {read}")
    _note_flags(tables["train"], columns, remarks)
    rows = _rows_of_splits(name, tables, columns, remarks)
    known = in_order(value for found in rows.values() for _, _, value in found)
    _check_known(name, rows, columns.label)
    found = numbering(name, known, _class_names(tables["train"], columns.label), reading.label_names)
    remarks += [note for note in (found.note, _alike_labels(found.labels)) if note]
    examples = {split: _encode(part, found.index) for split, part in rows.items()}
    data = finish_task(name, found.labels, reading.metric or "accuracy", examples, remarks, reading.max_length)
    values = {str(value): index for value, index in found.index.items()}
    return with_positive(data, reading.positive, found.coded, values)


def _alike_labels(labels: Sequence[str]) -> str:
    """A note on labels that look the same but for case, spaces or form."""
    forms = Counter(normalized(label) for label in labels)
    same = [label for label in labels if forms[normalized(label)] > 1]
    return (
        f"labels {listed(map(short_repr, same))} differ in case, spaces or form only, and are told apart"
        if same
        else ""
    )


def _rows_of_splits(
    name: str, tables: Mapping[str, Table], columns: Columns, remarks: list[str]
) -> dict[str, list[Row]]:
    """Rows that have text and label, of each split."""
    for split, table in tables.items():
        _check_columns(f"{name}, {split}", table, columns)
    remarks.append(f"rows read: {', '.join(f'{split} {len(table):,}' for split, table in tables.items())}")
    values = {split: _raw_labels(f"{name}, {split}", table, columns.label) for split, table in tables.items()}
    classes = all(_class_names(table, columns.label) for table in tables.values())
    # names of classes stay as they are, also where they look like numbers or lists
    labels: Mapping[str, Sequence[Value]] = values if classes else label_values(name, columns.label, values, remarks)
    rows = {s: _rows(f"{name}, {s}", table, columns, labels[s], s, remarks) for s, table in tables.items()}
    return _labelled(name, columns.label, rows, remarks)


def find_columns(name: str, table: Table, reading: Reading) -> Columns:
    """Settle the columns: those the user named, or else those with a usual name (case and spaces do not matter).

    A named text column is taken as a single text unless a pair column is named too.

    Raises:
        DataError: if a named column does not exist or none has a usual name; lists the columns there are.
    """
    available = table.column_names
    for role, column in (("text", reading.text), ("pair", reading.pair), ("label", reading.label)):
        if column is not None and column not in available:
            raise DataError(f"{name}: no column {short_repr(column)} for {role}; the columns are {listed(available)}")
    lower = {re.sub(r"[\s-]+", "_", column.strip().lower()): column for column in reversed(available)}
    label = reading.label or next((lower[c] for c in LABELS if c in lower), None)
    text, pair = _text_columns(lower, reading)
    if text is None or label is None:
        role = "text" if text is None else "label"
        flags = [] if text is None else flag_columns(table)
        several = f"{listed(flags)} hold 0 or 1: autocomp learns one label a row, one of these columns; "
        raise DataError(
            f"{name}: cannot tell which column is the {role}; the columns are {listed(available)}; "
            f"{several if len(flags) > 1 else ''}"
            f"name one ({role}=…; if these are no column names, the file lacks a header line)"
        )
    if len({text, pair, label}) < 3:
        named = f"text {short_repr(text)}, pair {short_repr(pair)} and label {short_repr(label)}"
        raise DataError(f"{name}: {named} must be different columns")
    return Columns(text, pair, label)


def _text_columns(lower: Mapping[str, str], reading: Reading) -> tuple[str | None, str | None]:
    if reading.text is not None:
        return reading.text, reading.pair
    for first, second in PAIRS:
        if first in lower and second in lower and reading.pair in (None, lower[second]):
            return lower[first], lower[second]
    return next((lower[c] for c in TEXTS if c in lower and lower[c] != reading.pair), None), reading.pair


def flag_columns(table: Table) -> list[str]:
    """Columns whose values in the first rows are all 0 or 1: several of them may be several labels a row."""
    return [column for column in table.column_names if _are_flags(table[column][:FLAG_ROWS])]


def _are_flags(values: Sequence[object]) -> bool:
    return {str(value).lower() for value in values if value is not None} in FLAGS


def _note_flags(table: Table, columns: Columns, remarks: list[str]) -> None:
    flags = flag_columns(table)
    others = [column for column in flags if column not in vars(columns).values()]
    if columns.label in flags and others:
        remarks.append(f"columns {listed(others)} hold 0 or 1 too and are not read: one label a row is learnt")


def _check_columns(place: str, table: Table, columns: Columns) -> None:
    for column in (columns.text, columns.pair, columns.label):
        if column is not None and column not in table.column_names:
            raise DataError(f"{place}: no column {short_repr(column)}; the columns are {listed(table.column_names)}")
    if not len(table):
        raise DataError(f"{place}: there are no rows")


def _rows(
    place: str, table: Table, columns: Columns, values: Sequence[Value], split: str, remarks: list[str]
) -> list[Row]:
    """Rows of one table; those without text are dropped, which is noted in `remarks`."""
    texts = _texts(place, columns.text, table, split, remarks)
    seconds = _texts(place, columns.pair, table, split, remarks) if columns.pair else [None] * len(texts)
    full = [bool(text) and (columns.pair is None or bool(second)) for text, second in zip(texts, seconds, strict=True)]
    empty = full.count(False)
    if empty == len(full):
        raise DataError(
            f"{place}: every text is empty in column {short_repr(columns.text)}; name the right one with text=…"
        )
    remarks += [f"{split}: {empty} rows without text dropped"] * bool(empty)
    every = zip(texts, seconds, values, full, strict=True)
    return [(text, second, value) for text, second, value, whole in every if text and whole]


def _texts(place: str, column: str, table: Table, split: str, remarks: list[str]) -> list[str | None]:
    values = table[column][:]
    wrong = next((value for value in values if not isinstance(value, str) and not _is_missing(value)), None)
    if wrong is not None:
        kind = type(wrong).__name__
        raise DataError(f"{place}: column {short_repr(column)} must hold text, got {short_repr(wrong)} ({kind})")
    texts = [value if isinstance(value, str) and not is_blank(value) else None for value in values]
    odd = {i for i, text in enumerate(texts) if text and _is_odd(text)}
    if not odd:
        return texts
    remarks.append(
        f"{split}: {len(odd)} texts of {short_repr(column)} hold NUL or half characters, which are read as U+FFFD"
    )
    return [re.sub("[\0\ud800-\udfff]", "\ufffd", text) if i in odd and text else text for i, text in enumerate(texts)]


def _is_odd(text: str) -> bool:
    return "\0" in text or (not text.isascii() and _SURROGATE.search(text) is not None)


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _raw_labels(place: str, table: Table, column: str) -> list[Any]:
    """Values of the label column, numbers of a ClassLabel by name."""
    values, names = list(table[column][:]), _class_names(table, column)
    if names is None:
        return values
    wrong = next((v for v in values if isinstance(v, int) and v >= len(names)), None)
    if wrong is not None:
        raise DataError(f"{place}: label {wrong} in column {short_repr(column)} has no name; they are {listed(names)}")
    return [names[v] if isinstance(v, int) and v >= 0 else None for v in values]


def _class_names(table: Table, column: str) -> tuple[str, ...] | None:
    names = getattr(table.features[column], "names", None)
    return tuple(names) if names else None


def _labelled(name: str, column: str, rows: dict[str, list[Row]], remarks: list[str]) -> dict[str, list[Row]]:
    """Rows that have a label; a split without any (the tests of GLUE hold -1) counts as missing."""
    known = {value for _, _, value in rows["train"]}
    kept: dict[str, list[Row]] = {}
    for split, split_rows in rows.items():
        values = {value for _, _, value in split_rows}
        if split != "train" and (values == {None} or (values == {-1} and -1 not in known)):
            remarks.append(f"{split}: ignored, its {len(split_rows)} rows have no labels")
            continue
        kept[split] = [row for row in split_rows if row[2] is not None]
        dropped = len(split_rows) - len(kept[split])
        remarks += [f"{split}: {dropped} rows without label dropped"] * bool(dropped)
    if not kept["train"]:
        raise DataError(
            f"{name}: no row of train has a label in column {short_repr(column)}; name the right one with label=…"
        )
    return kept


def _check_known(name: str, rows: Mapping[str, Sequence[Row]], column: str) -> None:
    known = {value for _, _, value in rows["train"]}
    for split, split_rows in rows.items():
        foreign = next((value for _, _, value in split_rows if value not in known), None)
        if foreign is not None:
            raise DataError(
                f"{name}, {split}: label {short_repr(foreign)} in column {short_repr(column)} does not occur in train, "
                f"which has {listed(in_order(known))}; take its rows out, or give train some"
            )


def _encode(rows: Sequence[Row], index: Mapping[Value, int]) -> list[Example]:
    return [Example(text, second, index[value]) for text, second, value in rows]

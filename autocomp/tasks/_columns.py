"""Which column is what, and what its values mean: from tables of `datasets` to a task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autocomp.errors import DataError, listed, short_repr
from autocomp.heads import AnswerKey, Target, heads
from autocomp.tasks._base import Example, TaskData
from autocomp.tasks._kinds import (
    KINDS,
    flag_columns,
    joined_flags,
    label_columns,
    label_lists,
    numbers_of,
    settled_kind,
)
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
LABELS = ("label", "labels", "sentiment", "class", "category", "target", "gold_label", "intent", "score", "similarity")

Cell = Value | float | tuple[Value, ...]
"""What a row holds: the value of a label, a number, or the values of several labels."""
Row = tuple[str, str | None, Cell]
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Reading:
    """What the user wants of the data; where it is None, it follows from the data.

    Attributes:
        text, pair, label: column names; several columns of 0 and 1 are one label each, `a,b,c`.
        label_names: names of integer labels by value, or the order of named labels.
        metric: name of the score.
        max_length: longest input in tokens; None follows from the texts.
        positive: name of the label that metrics such as F1 are about.
        kind: what is asked of a model, a name of `autocomp.heads`.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    label_names: tuple[str, ...] | None = None
    metric: str | None = None
    max_length: int | None = None
    positive: str | None = None
    kind: str | None = None


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
    several = label_columns(name, tables["train"], reading.label)
    flags = several if len(several) > 1 else ()
    if flags:
        tables, reading = _with_lists(name, tables, flags, reading, remarks)
    columns = find_columns(name, tables["train"], reading)
    read = ", ".join(f"{role} = {short_repr(column)}" for role, column in vars(columns).items() if column)
    remarks.append(f"columns: {read}")
    _note_flags(tables["train"], columns, remarks)
    kind, rows = _rows_of_splits(name, tables, columns, reading.kind, bool(flags), remarks)
    form = heads[kind].answer_key
    if form == "value":
        labels, examples = _name_of_number(name, columns.label, reading.label_names), _numbered(rows)
        return _finished(name, labels, kind, examples, remarks, reading)
    known = in_order(value for found in rows.values() for _, _, cell in found for value in _values(cell))
    _check_known(name, rows, columns.label)
    found = numbering(name, known, flags or _class_names(tables["train"], columns.label), reading.label_names)
    remarks += [note for note in (found.note, _alike_labels(found.labels)) if note]
    examples = {split: _encode(part, found.index, form) for split, part in rows.items()}
    data = _finished(name, found.labels, kind, examples, remarks, reading)
    values = {str(value): index for value, index in found.index.items()}
    return with_positive(data, reading.positive, found.coded, values)


def _finished(
    name: str,
    labels: Sequence[str],
    kind: str,
    examples: Mapping[str, Sequence[Example]],
    notes: Sequence[str],
    reading: Reading,
) -> TaskData:
    metric = reading.metric or heads[kind].default_metric
    data = finish_task(name, labels, metric, examples, notes, reading.max_length, kind=kind)
    return data if heads[kind].answer_key == "label" else with_positive(data, reading.positive)


def _with_lists(
    name: str, tables: Mapping[str, Table], flags: tuple[str, ...], reading: Reading, remarks: list[str]
) -> tuple[Mapping[str, Table], Reading]:
    """The tables with a column of lists for several columns of 0 and 1, and the reading of that."""
    kind = reading.kind or KINDS["labels"]
    if heads[kind].answer_key != "labels":
        rule = f"several label columns are several labels a row, which --kind {KINDS['labels']} learns"
        raise DataError(f"{name}: {rule}, got --kind {kind} and the columns {listed(flags)}; name one column")
    label = ",".join(flags)
    remarks.append(f"columns {listed(flags)} say of each label whether it holds: several labels a row, kind {kind}")
    joined: dict[str, Table] = {s: joined_flags(f"{name}, {s}", table, flags, label) for s, table in tables.items()}
    return joined, replace(reading, label=label, kind=kind)


def _name_of_number(name: str, column: str, given: tuple[str, ...] | None) -> tuple[str, ...]:
    if given is not None and len(given) != 1:
        raise DataError(f"{name}: label_names must be the one name of a number, got {len(given)} ({listed(given)})")
    return given or (column,)


def _values(cell: Cell) -> tuple[Value, ...]:
    return cell if isinstance(cell, tuple) else (cell,)  # type: ignore[return-value]


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
    name: str, tables: Mapping[str, Table], columns: Columns, wanted: str | None, are_flags: bool, remarks: list[str]
) -> tuple[str, dict[str, list[Row]]]:
    """The kind of answer, and the rows that have text and label, of each split.

    Args:
        are_flags: whether labels are names of columns.
    """
    for split, table in tables.items():
        _check_columns(f"{name}, {split}", table, columns)
    remarks.append(f"rows read: {', '.join(f'{split} {len(table):,}' for split, table in tables.items())}")
    values = {split: _raw_labels(f"{name}, {split}", table, columns.label) for split, table in tables.items()}
    kind = settled_kind(name, columns.label, values, wanted, remarks)
    form = heads[kind].answer_key
    # names of classes stay as they are, also where they look like numbers or lists
    are_names = are_flags or all(_class_names(table, columns.label) for table in tables.values())
    cells: Mapping[str, Sequence[Cell]] = values
    if form == "value":
        cells = numbers_of(name, columns.label, values)
    elif form == "labels":
        cells = label_lists(name, columns.label, values, remarks, are_names)
    elif not are_names or any(isinstance(value, list) for part in values.values() for value in part):
        cells = label_values(name, columns.label, values, remarks, keeps_joined=wanted is not None)
    rows = {s: _rows(f"{name}, {s}", table, columns, cells[s], s, remarks) for s, table in tables.items()}
    return kind, _labelled(name, columns.label, rows, remarks)


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
        several = f"{listed(flags)} hold 0 or 1: --label {','.join(flags)} reads several labels a row; "
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


def _note_flags(table: Table, columns: Columns, remarks: list[str]) -> None:
    flags = flag_columns(table)
    others = [column for column in flags if column not in vars(columns).values()]
    if columns.label in flags and others:
        every = ",".join(column for column in flags if column not in (columns.text, columns.pair))
        way_out = f"--label {every} reads several labels a row"
        remarks.append(f"columns {listed(others)} hold 0 or 1 too and are not read; {way_out}")


def _check_columns(place: str, table: Table, columns: Columns) -> None:
    for column in (columns.text, columns.pair, columns.label):
        if column is not None and column not in table.column_names:
            raise DataError(f"{place}: no column {short_repr(column)}; the columns are {listed(table.column_names)}")
    if not len(table):
        raise DataError(f"{place}: there are no rows")


def _rows(
    place: str, table: Table, columns: Columns, values: Sequence[Cell], split: str, remarks: list[str]
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
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    wrong = next((v for v in flat if isinstance(v, int) and v >= len(names)), None)
    if wrong is not None:
        raise DataError(f"{place}: label {wrong} in column {short_repr(column)} has no name; they are {listed(names)}")

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(v) for v in value]
        return names[value] if isinstance(value, int) and value >= 0 else None

    return [named(value) for value in values]


def _class_names(table: Table, column: str) -> tuple[str, ...] | None:
    """Names of the numbers in a column of `datasets`, or in its lists."""
    feature = table.features[column]
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
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
    known = {value for _, _, cell in rows["train"] for value in _values(cell)}
    for split, split_rows in rows.items():
        every = (value for _, _, cell in split_rows for value in _values(cell))
        foreign = next((value for value in every if value not in known), None)
        if foreign is not None:
            raise DataError(
                f"{name}, {split}: label {short_repr(foreign)} in column {short_repr(column)} does not occur in train, "
                f"which has {listed(in_order(known))}; take its rows out, or give train some"
            )


def _encode(rows: Sequence[Row], index: Mapping[Value, int], form: AnswerKey) -> list[Example]:
    def target(cell: Cell) -> Target:
        found = sorted({index[value] for value in _values(cell)})
        return tuple(found) if form == "labels" else found[0]

    return [Example(text, second, target(cell)) for text, second, cell in rows]


def _numbered(rows: Mapping[str, Sequence[Row]]) -> dict[str, list[Example]]:
    return {s: [Example(text, second, float(cell)) for text, second, cell in part] for s, part in rows.items()}  # type: ignore[arg-type]

"""What does a label column ask of a model: one label a row, several, or a number? Settled by its values, or by --kind.

What is settled is noted. What could be meant in two ways is refused with the flag that settles it.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autocomp.errors import DataError, listed, short_repr
from autocomp.heads import DEFAULT, AnswerKey, heads
from autocomp.tasks._labels import LIST, ZEROS_AND_ONES, is_missing, label_values, parts_of
from autocomp.tasks._tables import PlainTable, Table

KINDS: Mapping[AnswerKey, str] = {"label": DEFAULT, "labels": "multi_label", "value": "regression"}
"""The kind of answer that is learnt of each form of a label column where nobody names another one."""
FLAGS = ({"0", "1"}, {"0.0", "1.0"}, {"false", "true"})
FLAG_ROWS = 1000
MOST_FRACTIONS = 0.5
"""With a larger share of fractions a column is one of numbers, and whatever else is in it a mistake."""
_ONE = {"1", "1.0", "true"}
_NUMBER = re.compile(r"\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")
Cells = dict[str, list[tuple[Any, ...] | None]]
"""The labels of each row of each split; None where nothing is known of a row."""


def settled_kind(
    name: str, column: str, splits: Mapping[str, Sequence[object]], wanted: str | None, notes: list[str]
) -> str:
    """The kind of answer that a label column is for: what was asked for, or what its values say, which is noted.

    Lists are several labels a row, unless each has one element; numbers of which some have fractions are numbers;
    everything else is one label a row.

    Raises:
        UnknownName: no head has the name that was asked for.
    """
    if wanted is not None:
        heads[wanted]
        return wanted
    every = [value for values in splits.values() for value in values if not is_missing(value)]
    if every and all(isinstance(value, list | tuple) for value in every):
        if all(len(value) == 1 for value in every if isinstance(value, list | tuple)):
            return KINDS["label"]
        notes.append(f"column {short_repr(column)} holds lists: several labels a row, kind {KINDS['labels']}")
        return KINDS["labels"]
    if _are_fractions(every):
        notes.append(f"column {short_repr(column)} holds numbers with fractions: kind {KINDS['value']}")
        return KINDS["value"]
    return KINDS["label"]


def _are_fractions(values: Sequence[object]) -> bool:
    numbers = [_number(value) for value in values]
    fractions = sum(number is not None and not number.is_integer() for number in numbers)
    return fractions > MOST_FRACTIONS * len(values) or (fractions > 0 and None not in numbers)


def _number(value: object) -> float | None:
    """A finite number, as such or written; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def numbers_of(name: str, column: str, splits: Mapping[str, Sequence[object]]) -> dict[str, list[float | None]]:
    """The number of each row; None where its cell is empty.

    Raises:
        DataError: a cell holds something else, or no finite number.
    """
    found: dict[str, list[float | None]] = {}
    for split, values in splits.items():
        found[split] = [None if value is None or value == "" else _number(value) for value in values]
        wrong = next((i for i, value in enumerate(values) if value not in (None, "") and found[split][i] is None), None)
        if wrong is not None:
            raise DataError(
                f"{name}, {split}: row {wrong + 1} of column {short_repr(column)} must hold a finite number, got "
                f"{short_repr(values[wrong])}; correct it, leave it empty, or read names with --kind {KINDS['label']}"
            )
    return found


def label_lists(
    name: str, column: str, splits: Mapping[str, Sequence[object]], notes: list[str], are_names: bool = False
) -> Cells:
    """The labels of each row, of lists, or of texts that are taken apart; empty where none holds.

    Lists of zeros and ones, as many in each row, say of each label whether it holds. An empty cell of a column of
    texts is a row without labels; of a column of lists it is a row of which nothing is known.

    Args:
        are_names: whether the labels are names as they stand, also where they look like numbers.

    Raises:
        DataError: lists and other values in one column, an empty label in a list, or labels of several types.
    """
    rows = _as_lists(name, column, splits, notes)
    for split, lists in rows.items():
        wrong = next((i for i, one in enumerate(lists) if any(is_missing(label) for label in one or ())), None)
        if wrong is not None:
            raise DataError(
                f"{name}, {split}: row {wrong + 1} of column {short_repr(column)} must hold labels, got "
                f"{short_repr(list(lists[wrong] or ()))}, one of which is empty; take it out"
            )
    if are_names:
        return rows
    rows = _of_vectors(rows, notes)
    flat = {split: [label for one in lists for label in one or ()] for split, lists in rows.items()}
    labels = {
        split: iter(values) for split, values in label_values(name, column, flat, notes, keeps_joined=True).items()
    }
    return {s: [None if one is None else tuple(next(labels[s]) for _ in one) for one in rows[s]] for s in rows}


def _as_lists(name: str, column: str, splits: Mapping[str, Sequence[object]], notes: list[str]) -> Cells:
    every = [value for values in splits.values() for value in values if value is not None]
    held = [isinstance(value, list | tuple) for value in every]
    if all(held):
        return {s: [tuple(v) if isinstance(v, list | tuple) else None for v in values] for s, values in splits.items()}
    if any(held):
        example = short_repr(every[held.index(False)])
        raise DataError(f"{name}: column {short_repr(column)} must hold a list in every row, got {example} in one")
    apart, how = _separation([str(value) for value in every])
    notes += [f"labels of column {short_repr(column)} are taken apart: {how}"] * bool(how)
    known = {split: any(not is_missing(value) for value in values) for split, values in splits.items()}
    return {s: [_apart(v, apart) if known[s] else None for v in values] for s, values in splits.items()}


def _apart(value: object, apart: Callable[[object], tuple[object, ...]]) -> tuple[object, ...]:
    return () if is_missing(value) else apart(value)


def _separation(texts: Sequence[str]) -> tuple[Callable[[object], tuple[object, ...]], str]:
    """How texts become lists: as they are written, at a separator, or each as a list of its own; and that in words."""
    known = {text for text in texts if text.strip()}
    if known and all(LIST.fullmatch(text) for text in known):
        return lambda text: _written_list(str(text)), "they are written as lists"
    separator = _separator(known)
    if separator is None:
        return lambda value: (value,), ""
    return lambda text: _parts(str(text), separator), f"they are joined by {separator!r}"


def _separator(texts: set[str]) -> str | None:
    """What joins labels: `|`, `;` or `,` wherever one occurs; others where all parts of a text stand alone too."""
    plain = next((s for s in "|;," if any(parts_of(text, s) for text in texts)), None)
    if plain or (texts and all(ZEROS_AND_ONES.fullmatch(text) for text in texts)):
        return plain or " "
    return next((s for s in "/+& " if any(set(parts_of(text, s) or [""]) <= texts for text in texts)), None)


def _parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _written_list(text: str) -> tuple[object, ...]:
    """The elements of `['a', 'b']` or `[a, b]`."""
    try:
        value = ast.literal_eval(text.strip())
        return tuple(sorted(value) if isinstance(value, set) else value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _parts(text.strip()[1:-1], ",")


def _of_vectors(rows: Cells, notes: list[str]) -> Cells:
    """Vectors of zeros and ones as the numbers of the ones; anything else as it is."""
    every = [one for lists in rows.values() for one in lists if one is not None]
    sizes = {len(one) for one in every}
    bits = all(str(value) in ("0", "1", "0.0", "1.0") for one in every for value in one)
    if len(sizes) != 1 or sizes < {2} or not bits or all(len(set(one)) == len(one) for one in every):
        return rows
    notes.append(f"labels are rows of {sizes.pop()} zeros and ones, which say of each label whether it holds")
    return {
        s: [None if one is None else tuple(i for i, value in enumerate(one) if str(value) in _ONE) for one in lists]
        for s, lists in rows.items()
    }


def flag_columns(table: Table) -> list[str]:
    """Columns whose values in the first rows are all 0 or 1: several of them may be several labels a row."""
    return [column for column in table.column_names if _are_flags(table[column][:FLAG_ROWS])]


def _are_flags(values: Iterable[object]) -> bool:
    return {str(value).lower() for value in values if value is not None} in FLAGS


def label_columns(name: str, table: Table, label: str | None) -> tuple[str, ...]:
    """The columns that `label` names: one, or several with commas between them.

    Raises:
        DataError: of several, one is no column.
    """
    if label is None or label in table.column_names or "," not in label:
        return () if label is None else (label,)
    columns = tuple(part.strip() for part in label.split(","))
    missing = [column for column in columns if column not in table.column_names]
    if missing and len(missing) < len(columns):
        raise DataError(
            f"{name}: no column {short_repr(missing[0])} for label; the columns are {listed(table.column_names)}"
        )
    return (label,) if missing else columns


def joined_flags(place: str, table: Table, columns: Sequence[str], label: str) -> PlainTable:
    """A table whose column `label` lists, for each row, the names of those of the columns that hold 1.

    Raises:
        DataError: one of them is missing, or holds something else than 0 and 1, or true and false.
    """
    absent = [column for column in columns if column not in table.column_names]
    if absent:
        raise DataError(f"{place}: no column {short_repr(absent[0])}; the columns are {listed(table.column_names)}")
    flags = {column: list(table[column]) for column in columns}
    rows = [
        _names(place, row, {column: flags[column][row] for column in columns}) for row in range(len(flags[columns[0]]))
    ]
    others = {column: list(table[column]) for column in table.column_names if column not in columns}
    return PlainTable({**others, label: rows})


def _names(place: str, row: int, values: Mapping[str, object]) -> list[str] | None:
    if all(is_missing(value) for value in values.values()):
        return None
    for column, value in values.items():
        if not any(str(value).strip().lower() in pair for pair in FLAGS):
            raise DataError(
                f"{place}: row {row + 1} of column {short_repr(column)} must hold 0 or 1 (or true, false), as each of "
                f"several label columns does, got {short_repr(value)}; correct it, or name one column with --label"
            )
    return [column for column, value in values.items() if str(value).strip().lower() in _ONE]

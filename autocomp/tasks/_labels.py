"""What do the values of the label column stand for? Numbers or names, and their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autocomp.errors import DataError, listed, short_repr

MOST_LABELS = 1000
Value = str | int | None

# 007 is no number: it would lose what it says; nor are 40 digits
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,38})(\.[0-9]{1,39})?")
_EXPLICIT = re.compile(r"\s*([^=]*[^=\s])\s*=\s*(\S.*)")
LIST = re.compile(r"\s*[\[({].*[\])}]\s*", re.DOTALL)
ZEROS_AND_ONES = re.compile(r"[01]([\s,;|]+[01])+")
_JOINED = "--kind multi_label takes them apart, --kind classification keeps each text as one label"
_LISTS = "--kind multi_label learns lists, of which every row has one; one label a row is a name or a whole number"


def label_values(
    name: str,
    column: str,
    splits: Mapping[str, Sequence[object]],
    notes: list[str],
    keeps_joined: bool = False,
) -> dict[str, list[Value]]:
    """Labels of all splits as whole numbers or as names; None where there is none.

    Names that are all written as whole numbers (`0`, `1.0`, ` 1`, but not `007`) are numbers; booleans are `false` and
    `true`. Whether labels are numbers is decided for all splits together.

    Args:
        keeps_joined: whether names that look like several, joined, are names all the same; else they are refused.

    Raises:
        DataError: values of several types, fractions, several labels a row.
    """
    splits = _out_of_lists(splits, notes)
    every = [value for values in splits.values() for value in values if not is_missing(value)]
    kinds = {type(value) for value in every}
    _check_types(name, column, splits, kinds, every)
    texts = {value.strip() for value in every if isinstance(value, str)}
    if texts and all(_NUMBER.fullmatch(text) for text in texts):
        notes += [f"labels {listed(sorted(texts))} are read as whole numbers"] * any("." in text for text in texts)
    elif texts:
        if kinds != {str}:
            raise _mixed(name, column, splits)
        if not keeps_joined:
            _refuse_several(name, column, texts)
        return {split: [None if is_missing(v) else str(v).strip() for v in values] for split, values in splits.items()}
    return {split: [_plain(name, column, value) for value in values] for split, values in splits.items()}


def _out_of_lists(splits: Mapping[str, Sequence[object]], notes: list[str]) -> Mapping[str, Sequence[object]]:
    """Labels that annotation tools put into lists, each the only element; a list of another length leaves all as is."""
    every = [value for values in splits.values() for value in values if value is not None]
    if not every or not all(isinstance(value, list | tuple) and len(value) == 1 for value in every):
        return splits
    notes.append("labels are lists of one element each, which is the label")
    return {s: [v[0] if isinstance(v, list | tuple) else v for v in values] for s, values in splits.items()}


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: no value, NaN or white space."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _check_types(
    name: str, column: str, splits: Mapping[str, Sequence[object]], kinds: set[type], every: Sequence[object]
) -> None:
    for kind in kinds - {str, int, float, bool}:
        example = short_repr(next(value for value in every if type(value) is kind))
        if issubclass(kind, list | tuple | dict | set):
            raise DataError(
                f"{name}: column {short_repr(column)} holds several labels a row, such as {example}; {_LISTS}"
            )
        raise DataError(
            f"{name}: labels in column {short_repr(column)} must be names or whole numbers, "
            f"got {example} ({kind.__name__})"
        )
    if bool in kinds and len(kinds) > 1:
        raise _mixed(name, column, splits)


def _mixed(name: str, column: str, splits: Mapping[str, Sequence[object]]) -> DataError:
    types = {
        split: " and ".join(sorted({type(value).__name__ for value in values if not is_missing(value)})) or "nothing"
        for split, values in splits.items()
    }
    words = "; ".join(f"{kinds} in {split}" for split, kinds in types.items())
    return DataError(f"{name}: labels in column {short_repr(column)} must be of one type in every split, got {words}")


def _plain(name: str, column: str, value: object) -> Value:
    if is_missing(value):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    whole, _, fraction = str(value).strip().partition(".")
    if (fraction and int(fraction or 0)) if isinstance(value, str) else not float(value).is_integer():  # type: ignore[arg-type]
        raise DataError(
            f"{name}: labels in column {short_repr(column)} must be names or whole numbers, got {value} "
            "(a score? --kind regression learns the number)"
        )
    return int(whole) if isinstance(value, str) else int(value)  # type: ignore[call-overload]


def _refuse_several(name: str, column: str, texts: Iterable[str]) -> None:
    """Names that are lists, rows of zeros and ones, or several of the other names joined, are several labels a row."""
    known = set(texts)
    if len(known) > MOST_LABELS:  # refused for that
        return
    for text in sorted(known):
        alone = [
            part
            for separator in ",;|/+& "
            for part in parts_of(text, separator)
            if set(parts_of(text, separator)) <= known
        ]
        if LIST.fullmatch(text) or ZEROS_AND_ONES.fullmatch(text) or alone:
            raise DataError(
                f"{name}: column {short_repr(column)} holds several labels a row, such as {short_repr(text)}; {_JOINED}"
            )
    for separator in ",;|":
        several = {text: parts_of(text, separator) for text in known if parts_of(text, separator)}
        parts = {part for joined in several.values() for part in joined}
        if len(several) > 3 and len(several) > 0.5 * len(known) and len(parts) < len(several):
            example = short_repr(min(several))
            raise DataError(
                f"{name}: column {short_repr(column)} holds several labels a row, such as {example}; {_JOINED}"
            )


def parts_of(text: str, separator: str) -> list[str]:
    """What a text joins by a separator; nothing where it joins nothing."""
    parts = [part.strip() for part in text.split(separator)]
    return parts if len(parts) > 1 and all(parts) else []


def in_order(values: Iterable[Value]) -> list[Value]:
    """Distinct labels, numbers by size and names by alphabet, in which runs of digits count as numbers."""
    return sorted({value for value in values if value is not None}, key=_natural)


def _natural(value: Value) -> tuple[list[str | int], str]:
    if isinstance(value, int):
        return ["", value], ""
    runs = re.split(r"([0-9]+)", str(value))
    return [int(run) if i % 2 else run for i, run in enumerate(runs)], str(value)


@dataclass(frozen=True)
class Numbering:
    """Which label a value of the column is.

    Attributes:
        index: place of each value in `labels`.
        labels: names.
        coded: whether the values are numbers that stand for labels, so that 1 of two is the positive one.
        note: what was decided, if anything.
    """

    index: dict[Value, int]
    labels: tuple[str, ...]
    coded: bool
    note: str = ""


def numbering(
    name: str, known: Sequence[Value], class_names: tuple[str, ...] | None, given: tuple[str, ...] | None
) -> Numbering:
    """Settle the labels of a data set whose column holds the values `known` (in order, of all splits).

    Args:
        name: of the task, for messages.
        known: distinct values.
        class_names: names that the file itself has for its values.
        given: the user's `label_names`: names in the order of the numbers, the order of names, or `VALUE=NAME`.

    Raises:
        DataError: too many labels, or `label_names` that do not fit, or that fit in two ways.
    """
    if len(known) > MOST_LABELS:
        most = f"more than {MOST_LABELS}"
        are_numbers = all(isinstance(value, int) for value in known)
        way_out = "is it the right one?" + " If they are numbers to be learnt as such: --kind regression" * are_numbers
        raise DataError(f"{name}: the label column holds {len(known)} different values, {most}; {way_out}")
    if given is not None and len({label.casefold() for label in given}) != len(given):
        raise DataError(f"{name}: label_names must differ from each other, got {listed(given)}")
    if class_names is not None:
        return _of_classes(name, class_names, given)
    if given is None:
        coded = set(known) <= {0, 1}
        return Numbering({value: i for i, value in enumerate(known)}, tuple(map(str, known)), coded)
    return _of_given(name, known, given)


def _of_classes(name: str, class_names: tuple[str, ...], given: tuple[str, ...] | None) -> Numbering:
    index: dict[Value, int] = {value: i for i, value in enumerate(class_names)}
    if given is None:
        return Numbering(index, class_names, coded=True)
    pairs = {m[1]: m[2] for m in map(_EXPLICIT.fullmatch, given) if m}
    if len(pairs) == len(given) == len(set(pairs.values())) and set(pairs) == set(class_names):
        given = tuple(pairs[name] for name in class_names)
    if len(given) != len(class_names):
        raise DataError(f"{name}: label_names must be {len(class_names)} names, got {len(given)} ({listed(given)})")
    by_name = {label.casefold(): i for i, label in enumerate(given)}
    if set(by_name) == {label.casefold() for label in class_names}:
        # the same names in another order must not swap what they name
        coded = [label.casefold() for label in given] == [label.casefold() for label in class_names]
        return Numbering({value: by_name[value.casefold()] for value in class_names}, given, coded)
    return Numbering(index, given, coded=True, note=_meanings(class_names, given))


def _of_given(name: str, known: Sequence[Value], given: tuple[str, ...]) -> Numbering:
    explicit = [_EXPLICIT.fullmatch(label) for label in given]
    if all(explicit):
        pairs = {m[1]: m[2] for m in explicit if m}
        if {str(value) for value in known} <= set(pairs):
            labels = tuple(dict.fromkeys(pairs.values()))
            index: dict[Value, int] = {v: labels.index(pairs[str(v)]) for v in known}
            return Numbering(index, labels, coded=set(known) == {0, 1} and index[1] == 1)
    if set(known) <= set(given):
        return Numbering({label: i for i, label in enumerate(given)}, given, coded=False)
    numbers = [value for value in known if isinstance(value, int)]
    if len(numbers) < len(known) or len(known) > len(given):
        raise DataError(f"{name}: label_names {listed(given)} do not fit the labels of train, {listed(known)}")
    values = _values_of(name, numbers, given)
    coded = values == [0, 1]
    return Numbering(
        {value: i for i, value in enumerate(values)}, given, coded, "" if coded else _meanings(values, given)
    )


def _values_of(name: str, numbers: Sequence[int], given: Sequence[str]) -> list[int]:
    """The number that each given name stands for.

    Raises:
        DataError: it could be more than one.
    """
    written = [re.findall(r"[0-9]+", label) for label in given]
    if all(len(numerals) == 1 for numerals in written):
        values = [int(numerals[0]) for numerals in written]
        if set(numbers) <= set(values) and len(set(values)) == len(values):
            return values
    if len(numbers) == len(given):
        return list(numbers)
    if set(numbers) <= set(range(len(given))) and 0 in numbers:
        return list(range(len(given)))
    if set(numbers) <= set(range(1, len(given) + 1)) and len(given) in numbers:
        return list(range(1, len(given) + 1))
    example = ",".join(f"{number}={label}" for number, label in zip(numbers, given, strict=False))
    raise DataError(
        f"{name}: the {len(given)} label_names {listed(given)} fit the {len(numbers)} labels {listed(numbers)} in more "
        f"than one way; say which is which, as in label_names {example}"
    )


def _meanings(values: Sequence[Value], names: Sequence[str]) -> str:
    pairs = (f"{value} is {short_repr(label)}" for value, label in zip(values, names, strict=True))
    return f"label names: {listed(pairs, 20)}"

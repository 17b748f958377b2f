"""Which of two labels is the positive one? F1 is about that one: what the user says, or a guess that is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from autocomp.errors import DataError, listed, short_repr
from autocomp.heads import DEFAULT, heads
from autocomp.metrics import needs_positive
from autocomp.tasks._base import TaskData

NOTE = "positive label: "
AFFIRMATIVE = {
    "yes": "no", "y": "n", "true": "false", "t": "f", "positive": "negative", "pos": "neg", "1": "-1", "+1": "-1",
    "spam": "ham", "fraud": "legit", "toxic": "clean", "abnormal": "normal", "malicious": "benign", "unsafe": "safe",
    "injection": "benign", "attack": "benign", "phishing": "legitimate", "fake": "real", "hate": "neutral", "on": "off",
    "+": "-",
}  # fmt: skip
"""The affirmative of well-known pairs, with its negative."""
NEGATIONS = ("not", "non", "no")


def with_positive(
    data: TaskData, requested: str | None, coded: bool = False, values: Mapping[str, int] | None = None
) -> TaskData:
    """The data with its positive label settled, and a note that says which it is where the metric asks for it.

    What is asked for wins; then the task's own; where labels are numbers (a ClassLabel too) it is 1, as in
    scikit-learn; of well-known pairs such as yes and no the affirmative; else the rarer one in train, of equal ones the
    last.

    Args:
        data: with two labels; of others, which have no positive one, it is returned as it is.
        asked: a label's name, or None.
        coded: whether labels are numbers 0 and 1, with or without names.
        values: index of labels by how the data write them.

    Raises:
        DataError: no label has that name, or there are not two labels.
    """
    if len(data.labels) != 2 or heads[data.kind].answer_key != "label":
        if requested is not None:
            got = f"{listed(data.labels)}{'' if data.kind == DEFAULT else f' of kind {data.kind}'}"
            raise DataError(f"task {data.name}: positive={short_repr(requested)} needs exactly 2 labels, got {got}")
        return data
    index, why = _settled(data, requested, coded, values or {})
    note = f"{NOTE}{short_repr(data.labels[index])} ({why})"
    if not needs_positive(data.metric):
        note = f"{note}, which metric {data.metric!r} does not depend on"
    added = (note,) if requested is not None or needs_positive(data.metric) else ()
    notes = tuple(note for note in data.notes if not note.startswith(NOTE))
    return dataclasses.replace(data, positive=index, notes=notes + added)


def _settled(data: TaskData, requested: str | None, coded: bool, values: Mapping[str, int]) -> tuple[int, str]:
    other = "--positive names another"
    if requested is not None:
        return _named(data, requested, values), "as asked for"
    if data.positive is not None:
        return data.positive, f"the task's own; {other}"
    if coded:
        return 1, f"number 1; {other}"
    for index, label in enumerate(data.labels):
        if is_affirmative(label, data.labels[1 - index]):
            return index, f"the affirmative one; {other}"
    count = [sum(row.target == i for row in data.train) for i in (0, 1)]
    if count[0] == count[1]:
        return 1, f"a guess: the last, for both are equally frequent in train; {other}"
    return count.index(min(count)), f"a guess: the rarer one in train, {min(count)} of {sum(count)} rows; {other}"


def _named(data: TaskData, requested: str, values: Mapping[str, int]) -> int:
    wanted = requested.strip()
    for names in (dict(zip(data.labels, (0, 1), strict=True)), values):
        if wanted in names:
            return names[wanted]
    folded = [label.casefold() for label in data.labels]
    if folded.count(wanted.casefold()) == 1:
        return folded.index(wanted.casefold())
    raise DataError(f"task {data.name}: positive must be a label, {listed(data.labels)}, got {short_repr(requested)}")


def is_affirmative(label: str, other: str) -> bool:
    """Whether of two labels the first is the affirmative one: `yes` of yes and no, `toxic` of toxic and non-toxic."""
    first, second = (_letters(text) for text in (label, other))
    if AFFIRMATIVE.get(first) == second:
        return True
    return any(second == f"{negation}{first}" for negation in NEGATIONS)


def _letters(text: str) -> str:
    folded = text.casefold().strip()
    return folded if folded.lstrip("+-").isdecimal() or folded in "+-" else "".join(c for c in folded if c.isalnum())

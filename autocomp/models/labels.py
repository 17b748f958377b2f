"""Which row of a fine-tuned classifier answers which label of the task, and what kind of answer does it give?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocomp.errors import ModelError
from autocomp.heads import DEFAULT, heads

_MOST_NAMED = 12
_GENERIC = re.compile(r"label_(\d+)", re.IGNORECASE)
_BARE = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Matching:
    """How a task's labels meet a model's.

    Attributes:
        names: of the labels, in the task's order.
        rows: of each label, the row of the model's classifier.
        note: what was decided; empty if the names are equal.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    note: str = ""


def own_labels(config: Any) -> tuple[str, ...]:
    """A model's label names by row; those of `label2id` where `id2label` has none of its own."""
    names = tuple(str(config.id2label[i]) for i in sorted(config.id2label))
    given = {int(row): str(name) for name, row in (getattr(config, "label2id", None) or {}).items()}
    complete = sorted(given) == list(range(len(names)))
    return tuple(given[i] for i in range(len(names))) if complete and _is_generic(names) else names


def match_labels(source: str, own: Sequence[str], labels: Sequence[str]) -> Matching:
    """Find each label's row, by the first rule that holds:

    1. the same names;
    2. the same names but for case, white space, `_` and `-`;
    3. numbers: `0`, `1`, … or `LABEL_0`, `LABEL_1`, … are rows, and `1` is the one name with that number, `1 star`;
    4. a model that knows only `LABEL_0`, `LABEL_1`, … takes any names, in their order.

    Args:
        source: the model, for messages.
        own: the model's names by row.
        labels: the task's names.

    Raises:
        ModelError: no rule holds, or two ways to read numbers disagree; the message names the way out.
    """
    if len(set(own)) < len(own):
        raise ModelError(f"{source!r} has two labels of one name ({_listed(own)}); correct id2label in its config.json")
    if len(labels) != len(own):
        raise _mismatch(source, own, labels)
    # Where only some names are equal, any other rule would give one of them another's row.
    are_apart = not set(map(folded, own)) & set(map(folded, labels))
    found = _by_name(own, labels) or (_by_number(source, own, labels) if are_apart else None)
    if found is None and are_apart and _is_generic(own):
        why = "for the model's have no names; --label-names sets another order"
        note = f"labels by their order, {why}: {_pairs(labels, own)}"
        found = Matching(tuple(labels), tuple(range(len(own))), note)
    if found is None:
        raise _mismatch(source, own, labels)
    return found


def folded(name: str) -> str:
    """A name without case, white space, `_` and `-` between letters; a sign before a number stays."""
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", "", plain)


def _by_name(own: Sequence[str], labels: Sequence[str]) -> Matching | None:
    for key in (str, folded):
        rows = _rows(own, labels, key)
        if rows is not None:
            names = [own[row] for row in rows]
            note = "" if key is str else f"labels by their names but for case and spelling: {_pairs(labels, names)}"
            return Matching(tuple(labels), rows, note)
    return None


def _rows(own: Sequence[str], labels: Sequence[str], key: Callable[[str], Any]) -> tuple[int, ...] | None:
    """The row of each label under a key; None unless the keys are the same and all different."""
    theirs, ours = [key(name) for name in own], [key(name) for name in labels]
    if None in theirs or None in ours or len(set(theirs)) < len(theirs) or set(theirs) != set(ours):
        return None
    return tuple(theirs.index(wanted) for wanted in ours) if len(ours) == len(theirs) else None


def _by_number(source: str, own: Sequence[str], labels: Sequence[str]) -> Matching | None:
    as_row = _numbered_rows(labels)
    inside = _rows(own, labels, _number) if _are_bare(labels) or _are_bare(own) else None
    if as_row and inside and as_row != inside:
        raise ModelError(
            f"{source!r} has the labels {_listed(own)}, and the task's {_listed(labels)} may be its rows or "
            f"the numbers in these names, which differ; {_say_names(own, labels)}"
        )
    rows, why = (inside, "the number in the name") if inside else (as_row, "the model's rows")
    if rows is None:
        return None
    names = tuple(own[row] for row in rows) if _are_bare(labels) else tuple(labels)
    return Matching(names, rows, f"labels by {why}: {_pairs(labels, [own[row] for row in rows])}")


def _numbered_rows(labels: Sequence[str]) -> tuple[int, ...] | None:
    """Labels that are all the numbers from 0 on, as rows."""
    rows = tuple(_number(name) for name in labels) if _are_bare(labels) else ()
    return tuple(row for row in rows if row is not None) if sorted(rows, key=str) == _counted(len(labels)) else None


def _counted(size: int) -> list[int]:
    return sorted(range(size), key=str)


def _number(name: str) -> int | None:
    """The one whole number in a name; None if there is none, or are several."""
    if _BARE.fullmatch(name):
        return int(name)
    found = re.findall(r"\d+", name)
    return int(found[0]) if len(found) == 1 else None


def _are_bare(names: Sequence[str]) -> bool:
    """Whether names say no more than a number."""
    return all(_BARE.fullmatch(name) or _GENERIC.fullmatch(name) for name in names)


def _is_generic(names: Sequence[str]) -> bool:
    """Whether names are what transformers writes for a model without any."""
    return [name.upper() for name in names] == [f"LABEL_{i}" for i in range(len(names))]


def _mismatch(source: str, own: Sequence[str], labels: Sequence[str]) -> ModelError:
    said = f"{source!r} is fine-tuned for the labels {_listed(own)}, but the task has {_listed(labels)}"
    if len(labels) < len(own) and _is_part(own, labels):
        spelled = {folded(name): name for name in labels}
        every = [spelled.get(folded(name), name) for name in own]
        return ModelError(f"{said}, some of them only; give all of them in the model's order: {_flag(every)}")
    if len(labels) == len(own):
        return ModelError(f"{said}; {_say_names(own, labels)}, or give a model that is not fine-tuned")
    return ModelError(f"{said}; give a task with the same labels, or a model that is not fine-tuned")


def _is_part(own: Sequence[str], labels: Sequence[str]) -> bool:
    names, numbers = {folded(name) for name in own}, {_number(name) for name in own}
    rows = set(range(len(own)))
    if _are_bare(labels):
        return {_number(name) for name in labels} <= numbers | rows
    return {folded(name) for name in labels} <= names


def _say_names(own: Sequence[str], labels: Sequence[str]) -> str:
    """How to tell which is which, as a flag to fill in: any guess of ours could be wrong."""
    blanks = ",".join(f"{label}=NAME" for label in labels[:_MOST_NAMED]) + (",…" if len(labels) > _MOST_NAMED else "")
    return f'if they mean the same, say which is which, --label-names "{blanks}", each NAME one of {_listed(own)}'


def _flag(names: Sequence[str]) -> str:
    return f'--label-names "{",".join(names)}"'


def _pairs(labels: Sequence[str], names: Sequence[str]) -> str:
    listed = [f"{ours} = {theirs}" for ours, theirs in zip(labels, names, strict=True)]
    return _cut(listed)


def _listed(names: Sequence[str]) -> str:
    listed = [repr(name) for name in names]
    return f"[{_cut(listed)}]"


def _cut(listed: Sequence[str]) -> str:
    more = len(listed) - _MOST_NAMED
    return ", ".join([*listed[:_MOST_NAMED], *([f"… ({more} more)"] if more > 0 else [])])


def kind_of_model(config: Any, source: str) -> str:
    """What a fine-tuned model answers, a name of `autocomp.heads`, as its configuration says.

    Raises:
        ModelError: it gives several numbers, or a number that a function changes after the last layer.
    """
    said = getattr(config, "problem_type", None)
    architectures = getattr(config, "architectures", None) or []
    labels, applied = len(config.id2label), final_function(config)
    if said == "regression" or labels == 1:
        return _number_kind(source, said, labels, applied)
    are_several = any("multilabel" in name.lower() for name in architectures) or applied == "sigmoid"
    return "multi_label" if said == "multi_label_classification" or (are_several and said is None) else DEFAULT


def _number_kind(source: str, said: str | None, labels: int, applied: str | None) -> str:
    if labels != 1:
        raise ModelError(
            f"{source!r} gives {labels} numbers (problem_type {said!r}); autocomp learns one: give a model with "
            "num_labels 1, or one that is not fine-tuned"
        )
    if applied not in (None, "identity", "none"):
        raise ModelError(
            f"{source!r} gives the {applied} of its one output, which autocomp's files would leave out; the outputs "
            "themselves are in the same order: to compress those, write torch.nn.modules.linear.Identity for that "
            "function in its config.json (activation_fn of sentence_transformers, or function_to_apply)"
        )
    return "regression"


def final_function(config: Any) -> str | None:
    """What is applied to a model's outputs before they are read, in lower case; None where config.json does not say.

    `function_to_apply` is of transformers' pipelines, the others are of sentence-transformers' cross-encoders.
    """
    ours = getattr(config, "sentence_transformers", None)
    named = ours.get("activation_fn") if isinstance(ours, Mapping) else None
    named = named or getattr(config, "sbert_ce_default_activation_function", None)
    named = named or getattr(config, "function_to_apply", None)
    return str(named).rpartition(".")[2].lower() if named else None


def check_kind(source: str, own: str, kind: str, labels: Sequence[str]) -> None:
    """Refuse a fine-tuned model that answers in another kind than the task asks for.

    Raises:
        ModelError: the kinds differ; says how the data would be read as the model's kind.
    """
    if own != kind:
        raise ModelError(
            f"{source!r} answers in the kind {own} ({heads[own].summary}), and the task asks for {kind} "
            f"({heads[kind].summary}: {_cut(list(labels))}); give a model of that kind, one that is not fine-tuned, or "
            f"read the task's labels as --kind {own}"
        )

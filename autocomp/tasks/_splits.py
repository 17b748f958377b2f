"""From rows to a task: duplicates out, missing splits cut, and every decision noted."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from autocomp.errors import DataError, listed, short_repr
from autocomp.heads import DEFAULT, Target, heads
from autocomp.tasks._base import Example, TaskData, labels_in

CUT_FRACTION = 0.1
CUT_MOST = 2000
# Unicode's default ignorable code points: zero-width spaces and joiners, soft hyphens, marks of direction, selectors
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def finish_task(
    name: str,
    labels: Sequence[str],
    metric: str,
    splits: Mapping[str, Sequence[Example]],
    notes: Sequence[str] = (),
    max_length: int | None = None,
    cut_most: int | None = CUT_MOST,
    kind: str = DEFAULT,
) -> TaskData:
    """Make a TaskData whose splits share no text.

    Repeated rows of train go first; then a missing `search` or `held_out` is cut from train (`cut`); then rows of
    search and train that stand in held_out, and rows of train that stand in search, are removed. Two rows are equal
    when their texts are, both of a pair in this order, in Unicode's NFKC and ignoring case, white space and invisible
    letters. Pairs that stand the other way round in another split stay, which is noted.

    Args:
        name: name of the task, for messages.
        labels: label names.
        metric: name of the score.
        splits: rows of `train`, and of `search` and `held_out` where the data set has them.
        notes: what was decided before.
        max_length: longest input in tokens; None follows from the texts.
        kind: what is asked of a model, a name of `autocomp.heads`.
        cut_most: a split that has to be cut takes 10 % of train, but at most so many rows.

    Raises:
        DataError: if a split is, or becomes, empty; if train has one label only; if another split has a label that
            train lacks.
    """
    remarks = list(notes)
    for split, rows in splits.items():
        if not rows:
            raise DataError(f"task {name}: the {split} split is empty; it needs at least one row with text and label")
    train, repeats = _without_repeats(splits["train"])
    remarks += [f"train: {repeats} repeated rows removed"] * bool(repeats)
    _check_labels(name, labels, {"train": train}, kind)
    parts = _with_missing(name, {**splits, "train": train}, len(labels), kind, cut_most, remarks)
    parts = _separate(parts, remarks)
    _check_labels(name, labels, parts, kind)
    remarks += [note for split, rows in parts.items() for note in _remarks(split, rows, labels)]
    return TaskData(
        name=name,
        labels=tuple(labels),
        metric=metric,
        train=tuple(parts["train"]),
        search=tuple(parts["search"]),
        held_out=tuple(parts["held_out"]),
        notes=tuple(remarks),
        max_length=max_length,
        kind=kind,
    )


def _with_missing(
    name: str, parts: dict[str, Sequence[Example]], classes: int, kind: str, most: int | None, remarks: list[str]
) -> dict[str, Sequence[Example]]:
    """All three splits; those that were missing are cut from train."""
    missing = [split for split in ("held_out", "search") if split not in parts]
    if not missing:
        return parts
    parts = {**parts, **cut(parts["train"], missing, classes, kind, most)}
    if not parts[missing[0]]:
        rows, splits = len(parts["train"]), " and ".join(missing)
        raise DataError(f"task {name}: {rows} rows are too few to cut {splits} from; give more rows or those splits")
    remarks += [f"{split}: cut from train, {len(parts[split])} rows, stratified, seed 0" for split in missing]
    return parts


def _separate(parts: Mapping[str, Sequence[Example]], remarks: list[str]) -> dict[str, Sequence[Example]]:
    """The splits without the texts they share; held_out gives up none, train gives up most."""
    search, in_held_out = _without_texts_of(parts["search"], parts["held_out"])
    train, in_either = _without_texts_of(parts["train"], [*search, *parts["held_out"]])
    remarks += [f"search: {in_held_out} rows removed that stand in held_out"] * bool(in_held_out)
    remarks += [f"train: {in_either} rows removed that stand in search or held_out"] * bool(in_either)
    turned = _swapped_pairs(train, [*search, *parts["held_out"]])
    remarks += [f"train: {turned} pairs stand the other way round in search or held_out; they are kept"] * bool(turned)
    return {"train": train, "search": search, "held_out": parts["held_out"]}


def cut(
    rows: Sequence[Example],
    names: Sequence[str],
    classes: int,
    kind: str = DEFAULT,
    most: int | None = CUT_MOST,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """Cut equally large splits from rows: each 10 %, at most `most` rows, with the labels in proportion, or whatever
    else the kind of answer shares out (`Head.strata`).

    Deterministic: the same rows in the same order give the same splits. What has too few rows to reach every split
    stays in train. Order is kept.

    Returns:
        The rows of every name, and those left under `train`.
    """
    draw = random.Random(seed)
    strata = heads[kind].strata([row.target for row in rows], classes)
    members: list[list[int]] = [[] for _ in range(max(classes, *strata, 0) + 1)]
    for index, stratum in enumerate(strata):
        members[stratum].append(index)
    sizes = _shares([len(m) for m in members], len(names), most)
    taken: dict[str, list[int]] = {name: [] for name in (*names, "train")}
    for indices, size in zip(members, sizes, strict=True):
        draw.shuffle(indices)
        for position, name in enumerate(names):
            taken[name] += indices[position * size : (position + 1) * size]
        taken["train"] += indices[len(names) * size :]
    return {name: [rows[index] for index in sorted(indices)] for name, indices in taken.items()}


def _shares(counts: list[int], splits: int, most: int | None) -> list[int]:
    """Rows of each label in one cut split: in proportion, at least one where train keeps one too."""
    total = sum(counts)
    wanted = min(CUT_FRACTION * total, total if most is None else most)
    sizes = [max(round(wanted * n / total), 1) if n > splits else 0 for n in counts]
    while most is not None and sum(sizes) > most:
        sizes[sizes.index(max(sizes))] -= 1
    return sizes


def _key(row: Example) -> tuple[str, str]:
    return normalized(row.text), normalized(row.pair or "")


def normalized(text: str) -> str:
    """What near-duplicates have in common: a text in NFKC, without case, invisible letters and extra white space."""
    folded = text.casefold()
    if not folded.isascii():
        if not unicodedata.is_normalized("NFKC", folded):
            # what case folding leaves of a composed letter is not always folded
            folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
        folded = _INVISIBLE.sub("", folded)
    return " ".join(folded.split())


def is_blank(text: str) -> bool:
    """Whether there is nothing to read in a text: white space and invisible letters only."""
    return not _INVISIBLE.sub("", text.replace("\0", "")).strip()


def _without_repeats(rows: Sequence[Example]) -> tuple[list[Example], int]:
    """Rows without later ones of equal text and label; conflicting labels stay."""
    first: dict[tuple[tuple[str, str], Target], Example] = {}
    for row in rows:
        first.setdefault((_key(row), row.target), row)
    return list(first.values()), len(rows) - len(first)


def _without_texts_of(rows: Iterable[Example], others: Iterable[Example]) -> tuple[list[Example], int]:
    rows, taken = list(rows), {_key(row) for row in others}
    kept = [row for row in rows if _key(row) not in taken]
    return kept, len(rows) - len(kept)


def _swapped_pairs(rows: Iterable[Example], others: Iterable[Example]) -> int:
    """How many pairs stand among the others with their two texts swapped."""
    swapped = {_key(row)[::-1] for row in others if row.pair is not None}
    return sum(row.pair is not None and _key(row) in swapped for row in rows)


def _remarks(split: str, rows: Sequence[Example], labels: Sequence[str]) -> list[str]:
    """Notes on what a reader of a score should know about a split and nobody changed."""
    kinds = Counter(key for key, _ in {(_key(row), row.target) for row in rows})
    conflicts = sum(count > 1 for count in kinds.values())
    repeats = len(rows) - sum(kinds.values())
    numbers = any(isinstance(row.target, float) for row in rows)
    several = any(isinstance(row.target, tuple) for row in rows)
    held = "set of labels" if several else "number" if numbers else "label"
    remarks = [f"{split}: texts with more than one {held}: {conflicts}"] * bool(conflicts)
    remarks += [f"{split}: {repeats} repeated rows left in place"] * bool(repeats and split != "train")
    holding = {label for row in rows for label in labels_in(row.target)}
    absent = [] if numbers else sorted(set(range(len(labels))) - holding)
    remarks += [f"{split}: no row of {listed(labels[i] for i in absent)}"] * bool(absent and rows)
    return remarks


def _check_labels(name: str, labels: Sequence[str], parts: Mapping[str, Sequence[Example]], kind: str) -> None:
    known = {label for row in parts["train"] for label in labels_in(row.target)}
    for split, rows in parts.items():
        if not rows:
            raise DataError(
                f"task {name}: the {split} split is empty once duplicates and other splits are taken out; "
                "give more rows, or splits that do not repeat each other"
            )
        foreign = sorted({label for row in rows for label in labels_in(row.target)} - known)
        if foreign:
            raise DataError(f"task {name}: {split} has label {short_repr(labels[foreign[0]])}, which train lacks")
    if heads[kind].fewest_labels > len(known) > 0:
        only = labels[next(iter(known))]
        raise DataError(f"task {name}: train has a single label, {short_repr(only)}; a classifier needs at least two")
    if not known and heads[kind].fewest_labels > 1:
        raise DataError(f"task {name}: no row of train has any label; there is nothing to learn")
    if not known and len({row.target for row in parts["train"]}) < 2:
        raise DataError(f"task {name}: every number in train is the same; there is nothing to learn")

"""How many tokens are kept of a text? What the data need, as far as the model goes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from autocomp.models.loading import LoadedModel
    from autocomp.tasks import TaskData

SHORTEST = 128
MULTIPLE = 64
ROOM = 1.25
"""Of the longest text: with a smaller vocabulary the same text has more tokens."""
MANY = 0.05
"""Share of texts that are cut from which on a note says so loudly."""
AT_ONCE = 4096


def texts_of_task(data: TaskData) -> list[str | tuple[str, str]]:
    """The texts, or pairs of texts, of all splits."""
    rows = (*data.train, *data.search, *data.held_out)
    return [row.text if row.pair is None else (row.text, row.pair) for row in rows]


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str | tuple[str, str]]) -> np.ndarray:
    """Tokens of each text, special ones included, nothing cut."""
    parts = (tokenizer.encode_batch_fast(part) for part in _parts(texts))
    return np.array([len(encoding) for part in parts for encoding in part])


def _parts(texts: Sequence[str | tuple[str, str]]) -> Iterator[list[str | tuple[str, str]]]:
    for start in range(0, len(texts), AT_ONCE):
        yield list(texts[start : start + AT_ONCE])


def length_for(longest: int, most: int) -> int:
    """Tokens to keep where the longest text has `longest` and the model takes `most`.

    Up to 128 tokens it is 128; beyond, room is left for smaller vocabularies.
    """
    wanted = SHORTEST if longest <= SHORTEST else MULTIPLE * math.ceil(ROOM * longest / MULTIPLE)
    return min(wanted, most)


def with_length(
    loaded: LoadedModel, data: TaskData, texts: Sequence[str | tuple[str, str]]
) -> tuple[LoadedModel, TaskData]:
    """Settle `max_length` of model and data, and note how many texts are cut.

    Args:
        texts: of all splits of `data`.
    """
    counts = count_tokens(loaded.student.tokenizer, texts)
    asked = data.max_length
    length = length_for(int(counts.max()), loaded.longest) if asked is None else min(asked, loaded.longest)
    notes = [
        *_lowered(asked, length),
        cut_note(counts, length, loaded.student.truncation_side, length < loaded.longest),
    ]
    student = replace(loaded.student, max_length=length)
    return replace(loaded, student=student), replace(data, max_length=length, notes=(*data.notes, *notes))


def _lowered(asked: int | None, length: int) -> list[str]:
    if asked is None or asked <= length:
        return []
    return [
        f"max_length {asked} is more than the {length} tokens that the model takes (positions, or model_max_length)"
    ]


def cut_note(counts: np.ndarray, length: int, side: str, can_grow: bool) -> str:
    """What is kept of texts of `counts` tokens, and of how many something is cut.

    Args:
        side: which end is cut, `left` or `right`.
        can_grow: whether the model takes longer inputs.
    """
    kept = f"longest text {counts.max():,} tokens; inputs are kept up to {length:,}"
    cut = int((counts > length).sum())
    if not cut:
        return f"{kept}, so none is cut"
    share = cut / len(counts)
    loud = "WARNING: " if share > MANY else ""
    end = "beginning" if side == "left" else "end"
    way_out = "a larger --max-length keeps more" if can_grow else "the model takes no more"
    return f"{loud}{kept}: {cut:,} of {len(counts):,} texts ({share:.1%}) are longer and lose their {end}; {way_out}"

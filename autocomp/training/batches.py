"""Texts to padded batches, bucketed by length so that little is padding; and variants of texts.

In a variant some words are replaced by words of other texts, for a teacher to answer. TinyBERT (arXiv:1909.10351) and
Tang et al. 2019 (arXiv:1903.12136) distil on many variants of each text too; theirs need a language model or a tagger.
Ours need nothing: what a variant means is the teacher's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from autocomp.heads import heads

if TYPE_CHECKING:
    from tokenizers import Encoding

    from autocomp.models.student import Student
    from autocomp.tasks import Example

BUCKET = 25
"""Batches that are sorted by length together: small enough to stay random, large enough to waste little."""
PADDING = 64
"""Tokens of padding that a batch may have when texts are evaluated in order: about what another batch costs. In a
sample of some dozen texts there are a few long ones, to which all would be padded: 2 to 5 times the tokens."""
WORD = re.compile(r"\S+")
FEWEST, MOST = 0.05, 0.4
"""The share of a text's words that is replaced, drawn anew for each text, lies between these."""
SAMPLED = 5000
"""Texts of which words are sampled."""


@dataclass(frozen=True)
class Encoded:
    """Tokenised texts of one split.

    Attributes:
        ids, types, units: per text, arrays of equal length: token ids, token types, and the number of the unit each
            token belongs to: a special token, or a word of the pre-tokenizer. A text's units have the same numbers
            whatever vocabulary its words are cut into, and whether or not an end was cut off.
        targets: `[n]` or `[n, C]`, as the head of the student holds them.
    """

    ids: list[np.ndarray]
    types: list[np.ndarray]
    units: list[np.ndarray]
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return np.array([len(i) for i in self.ids])

    def read(self, rows: Sequence[int]) -> None:
        """Do nothing: all rows are tokenised."""


class Unread:
    """Texts of one split, tokenised when they are first read: a short training reads a small part of a large split.

    Args:
        student: whose tokenizer reads them.
    """

    def __init__(self, student: Student, examples: Sequence[Example]) -> None:
        self._student, self._examples = student, examples
        self._known = np.zeros(len(examples), bool)
        self.ids, self.types, self.units = ([np.empty(0, np.int64)] * len(examples) for _ in range(3))
        self.targets = targets_of(student, examples)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, rows: Sequence[int]) -> None:
        """Tokenise those of the rows that are not yet."""
        new = [row for row in rows if not self._known[row]]
        if not new:
            return
        encoded = encode(self._student, [self._examples[row] for row in new])
        for position, row in enumerate(new):
            self.ids[row], self.types[row] = encoded.ids[position], encoded.types[position]
            self.units[row] = encoded.units[position]
        self._known[new] = True


@dataclass(frozen=True)
class Batch:
    """A padded batch: `targets` are `[B]` or `[B, C]`, `rows` are `[B]`, all else is `[B, N]` int64.

    Padding is on the right, of units with -1.
    `units` and `rows` are read on the CPU and stay there.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor | None
    units: Tensor
    targets: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch with what the encoder and the loss read on a device."""
        types = None if self.types is None else self.types.to(device)
        return replace(
            self, ids=self.ids.to(device), mask=self.mask.to(device), types=types, targets=self.targets.to(device)
        )


def encode(student: Student, examples: Sequence[Example]) -> Encoded:
    """Tokenise with the student's tokenizer, cut to its `max_length` at its `truncation_side`."""
    tokenizer = student.tokenizer
    tokenizer.enable_truncation(student.max_length, direction=student.truncation_side)
    texts = [(e.text, e.pair) if student.pairs else e.text for e in examples]
    encodings = tokenizer.encode_batch(texts)
    tokenizer.no_truncation()
    return Encoded(
        ids=[np.array(e.ids, dtype=np.int64) for e in encodings],
        types=[np.array(e.type_ids, dtype=np.int64) for e in encodings],
        units=[_units(e) for e in encodings],
        targets=targets_of(student, examples),
    )


def targets_of(student: Student, examples: Sequence[Example]) -> np.ndarray:
    """What the student's head learns of the examples, `[n]` or `[n, C]`."""
    shape = student.encoder.shape.head
    return heads[shape.kind].targets([e.target for e in examples], shape.labels)


def _units(encoding: Encoding) -> np.ndarray:
    """Special tokens come first, then words; those of a pair's two texts in turns, so that cutting one moves none."""
    special = np.array([word is None for word in encoding.word_ids])
    words = np.array([word or 0 for word in encoding.word_ids], dtype=np.int64)
    sequences = np.array([sequence or 0 for sequence in encoding.sequence_ids], dtype=np.int64)
    texts = int(sequences.max(initial=0)) + 1
    return np.where(special, np.cumsum(special) - 1, special.sum() + words * texts + sequences)


def collate(student: Student, data: Encoded | Unread, rows: Sequence[int]) -> Batch:
    """The batch of these rows."""
    data.read(rows)
    width = max(len(data.ids[r]) for r in rows)
    uses_types = student.pairs and student.encoder.shape.token_types > 1
    return Batch(
        ids=_padded([data.ids[r] for r in rows], width, 0),
        mask=_padded([np.ones_like(data.ids[r]) for r in rows], width, 0),
        types=_padded([data.types[r] for r in rows], width, 0) if uses_types else None,
        units=_padded([data.units[r] for r in rows], width, -1),
        targets=torch.from_numpy(data.targets[list(rows)]),
        rows=torch.tensor(list(rows)),
    )


def _padded(arrays: Sequence[np.ndarray], width: int, fill: int) -> Tensor:
    out = np.full((len(arrays), width), fill, dtype=np.int64)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(out)


def in_order(data: Encoded, size: int) -> list[list[int]]:
    """Row numbers in batches of at most `size` texts of similar length, shortest first; for evaluation."""
    lengths, batches, tokens = data.lengths.tolist(), list[list[int]](), 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        tokens += lengths[row]
        if batches and len(batches[-1]) < size and (len(batches[-1]) + 1) * lengths[row] - tokens <= PADDING:
            batches[-1].append(row)
        else:
            batches.append([row])
            tokens = lengths[row]
    return batches


def shuffled(data: Encoded | Unread, size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Endless random batches of similar length; each text once per epoch, and none tokenised long before it is used."""
    while True:
        order = rng.permutation(len(data)).tolist()
        for start in range(0, len(order), size * BUCKET):
            bucket = order[start : start + size * BUCKET]
            data.read(bucket)
            bucket.sort(key=lambda row: len(data.ids[row]))
            batches = [bucket[i : i + size] for i in range(0, len(bucket), size)]
            yield from (batches[i] for i in rng.permutation(len(batches)))


def word_averages(units: Tensor, words: int) -> Tensor:
    """`[B, words, N]` matrices that average a text's tokens over each of its words.

    units: `[B, N]` word number of each token, -1 at padding. Words beyond `words` are left out.
    """
    belongs = units[:, None, :] == torch.arange(words, device=units.device)[None, :, None]
    return belongs.float() / belongs.sum(-1, keepdim=True).clamp(min=1)


def words_of(examples: Sequence[Example], rng: np.random.Generator) -> list[str]:
    """Words as often as they occur, of all texts or of many drawn at random; never none."""
    rows = rng.permutation(len(examples))[:SAMPLED]
    words = [word for row in rows for text in examples[row][:2] for word in WORD.findall(text or "")]
    return words or [""]


def varied(example: Example, words: Sequence[str], rng: np.random.Generator) -> Example:
    """The example with some of its words replaced by some of `words`; its target need not be right any more.

    Where a word comes again, in a pair's other text too, its replacement does: two texts that say the same still may.
    """
    share, replaced = rng.uniform(FEWEST, MOST), dict[str, str]()

    def replace(match: re.Match[str]) -> str:
        word = match[0]
        if word not in replaced:
            replaced[word] = words[int(rng.integers(len(words)))] if rng.random() < share else word
        return replaced[word]

    pair = example.pair if example.pair is None else WORD.sub(replace, example.pair)
    return example._replace(text=WORD.sub(replace, example.text), pair=pair)

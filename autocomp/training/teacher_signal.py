"""What a student learns from: training texts and the teacher's answers to them.

All students of a study read the same texts in the same batches until each text has come once. So the teacher's answers
to a batch are computed for the first student and cached for the others, by the process that trains them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autocomp.training.accelerator import CPU, autocast, current_device
from autocomp.training.batches import Encoded, Unread, collate, word_averages

if TYPE_CHECKING:
    from autocomp.architectures._encoder import Outputs
    from autocomp.models.student import Student
    from autocomp.tasks import Example

Compute = Callable[[Collection[str]], "Answers"]
"""From the names of states to a teacher's answers that have them."""
MOST_BYTES = 1 << 30
RELATED = ("queries", "keys", "values")
"""Names of the last layer's states whose relations between words a student learns."""


@dataclass(frozen=True)
class Answers:
    """The teacher's answers to a batch.

    Attributes:
        logits: `[B, C]`, float32.
        seen: `[B, W]`, the words of which it read a token.
        heads: of the last layer.
        states: by name (`hidden.3` after the third layer, `queries`, `keys`, `values` of the last one), averaged over
            each word's tokens, `[B, W, width]`, FP16 to take less room.
    """

    logits: Tensor
    seen: Tensor
    heads: int
    states: dict[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(t.nbytes for t in (self.logits, self.seen, *self.states.values()))


@dataclass
class TeacherCache:
    """Answers by batch. The first batches stay, which all students read; there is no room for later ones."""

    most_bytes: int = field(default_factory=lambda: min(MOST_BYTES, _fair_share()))
    _kept: dict[tuple[int, ...], Answers] = field(default_factory=dict)
    _nbytes: int = 0
    _logits: dict[int, Tensor] = field(default_factory=dict)

    def answers_to(self, rows: Sequence[int], compute: Callable[[Sequence[int]], Answers]) -> Answers:
        """The answers to these rows without any state, remembered text by text; `compute` gives those of new rows.

        For a student that reads all texts many times, in ever new batches, and learns from answers alone.
        """
        new = [row for row in dict.fromkeys(rows) if row not in self._logits]
        if new:
            self._logits.update(zip(new, compute(new).logits.cpu(), strict=True))
        logits = torch.stack([self._logits[row] for row in rows]).to(current_device())
        return Answers(logits, torch.zeros(len(rows), 0, dtype=torch.bool), 1, {})

    def answers(self, rows: Sequence[int], names: Collection[str], compute: Compute) -> Answers:
        """The answers to a batch of these rows, with the states of these names; `compute` gives what is not cached."""
        key = tuple(rows)
        known = self._kept.get(key)
        missing = [name for name in names if not known or name not in known.states]
        if known and not missing:
            return known
        answers = compute(missing)
        if known:
            answers = replace(answers, states={**known.states, **answers.states})
        if current_device() == CPU:
            self._keep(key, answers, known.nbytes if known else 0)
        return answers

    def _keep(self, key: tuple[int, ...], answers: Answers, before: int) -> None:
        grown = answers.nbytes - before
        if self._nbytes + grown <= self.most_bytes:
            self._kept[key] = answers
            self._nbytes += grown


def _fair_share() -> int:
    """A quarter of this machine's memory, shared out among its cores."""
    if not hasattr(os, "sysconf"):
        return MOST_BYTES
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (4 * (os.cpu_count() or 1))


@dataclass(frozen=True)
class TeacherSignal:
    """Training texts with labels, and the teacher that is run on them.

    Attributes:
        seed: decides in which batches the texts come.
        cache: of this teacher's answers to these texts.
    """

    teacher: Student
    examples: Sequence[Example]
    seed: int = 0
    cache: TeacherCache = field(default_factory=lambda: TeacherCache(most_bytes=0))


def run_teacher(teacher: Student, data: Encoded | Unread, rows: Sequence[int], names: Collection[str]) -> Answers:
    """The teacher's answers to a batch of its texts, with the states of these names."""
    batch = collate(teacher, data, rows).to(current_device())
    with torch.no_grad(), autocast():
        out = teacher.encoder(batch.ids, batch.mask, batch.types)
    by_word = word_averages(batch.units.to(current_device()), int(batch.units.max()) + 1)
    states = {name: (by_word @ _states(out, name)).half() for name in names}
    return Answers(out.logits.float(), by_word.sum(-1) > 0, out.queries.shape[1], states)


def _states(out: Outputs, name: str) -> Tensor:
    """`[B, N, width]`, float32; of all heads side by side."""
    if name in RELATED:
        return side_by_side(getattr(out, name))
    return out.hidden[int(name.removeprefix("hidden."))].float()


def side_by_side(x: Tensor) -> Tensor:
    """`[B, heads, N, size]` as float32 `[B, N, heads * size]`."""
    return x.transpose(1, 2).flatten(2).float()

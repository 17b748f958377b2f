"""Fine-tuning a teacher on labels, on the pieces that the texts really use."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autocomp.models.slicing import keep_vocabulary
from autocomp.training.accelerator import autocast, place, placed
from autocomp.training.batches import Encoded, collate, encode, shuffled
from autocomp.training.loop import Progress, Trained, adamw, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autocomp.models.student import Student
    from autocomp.tasks import Example

BATCH = 32


def fine_tune(
    teacher: Student,
    examples: Sequence[Example],
    *,
    epochs: float,
    learning_rate: float,
    rng: np.random.Generator,
    deadline: float = math.inf,
    progress: Progress | None = None,
) -> tuple[Student, Trained]:
    """A copy of the teacher fine-tuned on labelled examples (Devlin et al. 2019, section 4.1).

    AdamW over a 30,000-row table is a visible part of a small model's step, so only the rows of pieces that occur are
    trained and then written back; the others stay as they are, which they would (but for weight decay) anyway.
    """
    data = encode(teacher, examples)
    used = np.unique(np.concatenate(data.ids))
    steps = steps_of(len(data), epochs)
    torch.manual_seed(int(rng.integers(2**31)))
    small = replace(teacher, encoder=keep_vocabulary(teacher.encoder, used.tolist()))
    losses = _losses(small, replace(data, ids=[np.searchsorted(used, i) for i in data.ids]), rng)
    small.encoder.train()
    with placed(small.encoder):
        optimizer = adamw(small.encoder.parameters(), learning_rate)
        done = train(optimizer, losses, steps, deadline=deadline, progress=progress)
    return _written_back(teacher, small, used), done


def steps_of(rows: int, epochs: float) -> int:
    """Optimizer steps in which so many rows are read so many times."""
    return max(1, round(epochs * math.ceil(rows / BATCH)))


def _losses(student: Student, data: Encoded, rng: np.random.Generator) -> Iterator[Tensor]:
    for rows in shuffled(data, BATCH, rng):
        batch = collate(student, data, rows).to(place())
        with autocast():
            logits = student.encoder(batch.ids, batch.mask, batch.types).logits
        yield F.cross_entropy(logits.float(), batch.labels)


@torch.no_grad()
def _written_back(teacher: Student, small: Student, used: np.ndarray) -> Student:
    encoder = copy.deepcopy(teacher.encoder)
    trained = small.encoder.state_dict()
    rows = trained.pop("embeddings.word.weight")
    encoder.load_state_dict(trained, strict=False)
    encoder.embeddings.word.weight[torch.from_numpy(used)] = rows
    return replace(teacher, encoder=encoder.eval())

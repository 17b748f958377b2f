"""Real sentences whose label one word decides, and a teacher that has learnt them."""

from __future__ import annotations

import numpy as np
import pytest

from autocomp.models.student import Student
from autocomp.tasks import Example
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.loop import fine_tune

FILLERS = "the film was with his this from had by one but what all were when we there can an your which".split()
TELLING = (("bad", "terrible", "boring"), ("good", "great", "love"))


def write_examples(count: int, seed: int) -> list[Example]:
    rng = np.random.default_rng(seed)
    made = []
    for row in range(count):
        words = [*rng.choice(FILLERS, int(rng.integers(2, 10))), rng.choice(TELLING[row % 2])]
        made.append(Example(" ".join(rng.permutation(words)), None, row % 2))
    return made


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return write_examples(256, 0)


@pytest.fixture(scope="session")
def unseen() -> list[Example]:
    return write_examples(100, 1)


@pytest.fixture(scope="session")
def teacher(examples) -> Student:
    return fine_tune(
        random_student(tiny_shape()), examples, epochs=8, learning_rate=3e-3, rng=np.random.default_rng(0)
    )[0]

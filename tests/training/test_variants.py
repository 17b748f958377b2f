"""Variants of texts: what is replaced by what, and when a student reads them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from autocomp.tasks import Example
from autocomp.techniques.depth import shrink_depth
from autocomp.techniques.distillation import DistillationOptions
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.batches import FEWEST, MOST, varied, words_of
from autocomp.training.distillation import Distillation, distil
from autocomp.training.recovery import readings
from autocomp.training.teacher_signal import TeacherSignal

TEXT = " ".join(f"w{i}" for i in range(400))
WORDS = ["red", "blue"]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_a_share_of_words_is_replaced_and_the_rest_stays_where_it_was(rng):
    shares = []
    for _ in range(200):
        text = varied(Example(TEXT, None, 1), WORDS, rng).text.split(" ")
        new = [word for word, old in zip(text, TEXT.split(" "), strict=True) if word != old]
        assert set(new) <= set(WORDS)
        shares.append(len(new) / 400)
    assert FEWEST - 0.04 < min(shares) < 0.15 and 0.3 < max(shares) < MOST + 0.08
    assert np.mean(shares) == pytest.approx((FEWEST + MOST) / 2, abs=0.03)


def test_both_texts_of_a_pair_vary_and_space_is_kept(rng):
    text, pair = "".join(f"{i}\n\n a{i}\tb{i} " for i in range(50)), "".join(f"c{i}  d{i} " for i in range(50))
    found = varied(Example(text, pair, 0), WORDS, rng)
    for new, old in ((found.text, text), (found.pair, pair)):
        assert new != old and any(word in new.split() for word in WORDS)
        assert [c for c in new if c.isspace()] == [c for c in old if c.isspace()]
    assert varied(Example("", None, 1), WORDS, rng) == ("", None, 1)


def test_what_both_texts_of_a_pair_say_is_replaced_by_the_same(rng):
    words = [f"new{i}" for i in range(1000)]
    for _ in range(20):
        found = varied(Example(TEXT, f"other {TEXT} w0 w1", 1), words, rng)
        assert found.text != TEXT
        assert found.pair.split(" ")[1:] == [*found.text.split(" "), *found.text.split(" ")[:2]]


def test_words_are_as_frequent_as_in_the_texts(rng):
    examples = [Example("good good film", "a", 0), Example("bad", None, 1), Example(" ", "", 1)]
    assert sorted(words_of(examples, rng)) == ["a", "bad", "film", "good", "good"]
    assert words_of([Example(" ", None, 0)], rng) == [""], "a word to draw there always is"


def read_by_teacher(options, steps, batch=4, texts=8):
    """The texts of each batch that the student reads, its labels' share in the loss left out."""
    teacher = random_student(tiny_shape())
    examples = [Example(f"text number {i} of some words that follow", None, i % 2) for i in range(texts)]
    signal = TeacherSignal(teacher, examples)
    student = shrink_depth(teacher, range(1))
    losses = readings(student, signal, (), options.augment, batch, np.random.default_rng(0))
    return [next(losses) for _ in range(steps)], signal, student


def test_a_text_is_read_as_it_is_first_and_varied_when_it_comes_again():
    read, signal, _ = read_by_teacher(DistillationOptions(augment=1.0), 6)
    assert [bool(batch.varied.any()) for batch in read] == [False] * 2 + [True] * 4
    assert all(batch.varied.all() for batch in read[2:])
    first = {tuple(ids) for batch in read[:2] for ids in batch.inputs.ids.tolist()}
    again = {tuple(ids) for batch in read[2:4] for ids in batch.inputs.ids.tolist()}
    assert len(first) == 8 and len(again - first) > 4
    for batch in read:  # student and teacher read the same
        logits = signal.teacher.encoder(batch.inputs.ids, batch.inputs.mask, batch.inputs.types).logits
        torch.testing.assert_close(batch.answers.logits, logits, rtol=0.02, atol=0.02)


def test_nothing_varies_where_nobody_wants_it():
    read, _, _ = read_by_teacher(DistillationOptions(augment=0.0), 6)
    assert not any(batch.varied.any() for batch in read)


def losses_of(student, signal, options):
    hook = Distillation(student, options)
    hook.begin(signal.teacher)
    for read in readings(student, signal, hook.states(), options.augment, 4, np.random.default_rng(0)):
        yield hook.loss(read, student.encoder(read.inputs.ids, read.inputs.mask))


def test_of_variants_the_teachers_answers_count_and_no_label():
    options = DistillationOptions(augment=1.0, hidden=0.0, labels=1.0)
    _, signal, student = read_by_teacher(options, 1)
    wrong = [e._replace(target=1 - e.target) for e in signal.examples]
    other = replace(signal, examples=wrong)
    first, second = (
        [float(next(losses).detach()) for _ in range(5)]
        for losses in (losses_of(student, one, options) for one in (signal, other))
    )
    assert all(abs(a - b) > 0.1 for a, b in zip(first[:2], second[:2], strict=True))
    assert first[2:] == second[2:]


def test_equal_generators_give_equal_students():
    made = []
    for seed in (3, 3, 4):
        _, signal, student = read_by_teacher(DistillationOptions(), 1)
        distil(student, signal, DistillationOptions(), steps=6, batch=4, rng=np.random.default_rng(seed))
        made.append(student.encoder.state_dict())
    alike = [[torch.equal(weight, other[name]) for name, weight in made[0].items()] for other in made[1:]]
    assert all(alike[0]) and not all(alike[1]), "and other ones others"

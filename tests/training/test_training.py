"""Fine-tuning, recovery and exit heads on a task that a tiny model can learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.models.student import fingerprint
from autocomp.tasks import Example
from autocomp.techniques.depth import shrink_depth
from autocomp.techniques.distillation import DistillationOptions
from autocomp.techniques.feed_forward import shrink_feed_forward
from autocomp.techniques.hidden_size import shrink_hidden
from autocomp.techniques.vocabulary import shrink_vocabulary
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.batches import collate, encode
from autocomp.training.distillation import Distillation, distil
from autocomp.training.hooks import Reading
from autocomp.training.loop import fine_tune
from autocomp.training.predictions import divergence, fit_exits, predict
from autocomp.training.teacher_signal import TeacherSignal, run_teacher

ALL = DistillationOptions(hidden=1.0, relations=1.0, learning_rate=3e-3)


def accuracy(student, examples) -> float:
    return float((predict(student, encode(student, examples)).logits.argmax(-1) == [e.target for e in examples]).mean())


def cut(teacher):
    """A copy with a layer and half of each feed-forward gone."""
    small = shrink_depth(teacher, (0, 2))
    return shrink_feed_forward(small, (32, 32), [np.arange(64.0)] * 2)


def inner_losses(student, teacher, examples) -> tuple[float, float]:
    """The hidden and the relation loss of an untrained bridge."""
    batch, found = collate(student, encode(student, examples), range(len(examples))), []
    no_answers = {"logits": 0.0, "labels": 0.0}
    for inner in ({"hidden": 1.0}, {"hidden": 0.0, "relations": 1.0}):
        hook = Distillation(student, DistillationOptions(**no_answers, **inner))
        hook.begin(teacher)
        answers = run_teacher(teacher, encode(teacher, examples), range(len(examples)), hook.states())
        read = Reading(batch, answers, torch.zeros(len(examples), dtype=torch.bool))
        with torch.no_grad():
            found.append(float(hook.loss(read, student.encoder(batch.ids, batch.mask))))
    return found[0], found[1]


def test_fine_tuning_learns_and_leaves_the_teacher_it_is_given(examples, unseen):
    start = random_student(tiny_shape())
    before = fingerprint(start)
    trained, done = fine_tune(start, examples, epochs=8, learning_rate=3e-3, rng=np.random.default_rng(0))
    assert fingerprint(start) == before
    assert accuracy(start, unseen) < 0.75 and accuracy(trained, unseen) > 0.95
    assert done.steps == 8 * 256 / 32 and not trained.encoder.training


def test_fine_tuning_writes_back_only_the_rows_it_used(examples, teacher):
    start = random_student(tiny_shape())
    used = np.unique(np.concatenate(encode(start, examples).ids))
    changed = (teacher.encoder.embeddings.word.weight != start.encoder.embeddings.word.weight).any(1).numpy()
    assert 10 < len(used) < 60
    assert np.flatnonzero(changed).tolist() == used.tolist()


def test_the_generator_decides_what_is_learnt(examples):
    def learn(seed):
        start = random_student(tiny_shape())
        start.encoder.dropout = 0.1
        made, _ = fine_tune(start, examples[:64], epochs=1, learning_rate=1e-3, rng=np.random.default_rng(seed))
        return fingerprint(made)

    assert learn(1) == learn(1) != learn(2)


def test_recovery_brings_the_student_to_its_teacher(teacher, examples, unseen):
    student = cut(teacher)
    reference = predict(teacher, encode(teacher, unseen)).logits
    before = divergence(student, reference, predict(student, encode(student, unseen)).logits)
    options = DistillationOptions(labels=0.0, learning_rate=3e-3)
    done = distil(student, TeacherSignal(teacher, examples), options, steps=100, batch=32, rng=np.random.default_rng(0))
    after = divergence(student, reference, predict(student, encode(student, unseen)).logits)
    assert done.steps == 100 and not student.encoder.training
    assert after < 0.5 * before
    assert accuracy(student, unseen) > 0.9


def test_recovery_drops_nothing_out(teacher, examples):
    def recovered(dropout):
        student = cut(teacher)
        whole = encoder_from(student.encoder.shape, plain_weights(student.encoder), dropout)
        student = replace(student, encoder=whole)
        distil(student, TeacherSignal(teacher, examples), ALL, steps=3, batch=16, rng=np.random.default_rng(0))
        assert student.encoder.dropout == dropout, "who trains it further finds it as it was"
        return plain_weights(student.encoder)

    assert all(torch.equal(a, b) for a, b in zip(recovered(0.5).values(), recovered(0.0).values(), strict=True))


def test_recovery_leaves_the_teacher_alone(teacher, examples):
    before = fingerprint(teacher)
    distil(cut(teacher), TeacherSignal(teacher, examples), ALL, steps=3, batch=16, rng=np.random.default_rng(0))
    assert fingerprint(teacher) == before


def test_hidden_and_relation_losses_go_down(teacher, examples, unseen):
    start, student = cut(teacher), cut(teacher)
    only = DistillationOptions(logits=0.0, labels=0.0, hidden=1.0, relations=1.0, learning_rate=3e-3)
    distil(student, TeacherSignal(teacher, examples), only, steps=60, batch=32, rng=np.random.default_rng(0))
    before, after = inner_losses(start, teacher, unseen), inner_losses(student, teacher, unseen)
    assert after[0] < 0.7 * before[0]
    assert after[1] < 0.7 * before[1]


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_inside(teacher, unseen):
    assert inner_losses(teacher, teacher, unseen) == pytest.approx((0, 0), abs=1e-3), "all but rounding"


def test_recovery_works_across_vocabularies_hidden_sizes_and_heads(teacher, examples, unseen):
    from autocomp.techniques.attention_heads import shrink_heads

    student = shrink_vocabulary(teacher, 250, {"good": 9, "bad": 9})
    student = shrink_heads(student, (4, 4, 3), [np.arange(4.0)] * 3)
    student = shrink_hidden(student, 24, np.arange(32.0))
    student.max_length = 24
    weights = student.encoder.blocks[2].attention.query.weight.detach().clone()
    done = distil(student, TeacherSignal(teacher, examples), ALL, steps=80, batch=32, rng=np.random.default_rng(0))
    assert np.isfinite(done.loss)
    assert not torch.equal(weights, student.encoder.blocks[2].attention.query.weight)
    assert accuracy(student, unseen) > 0.9


@pytest.mark.parametrize("options", [DistillationOptions(), ALL])
def test_recovery_with_the_same_generator_gives_the_same_weights(teacher, examples, options):
    def run(seed):
        student = cut(teacher) if options is not ALL else shrink_hidden(cut(teacher), 16, np.arange(32.0))
        signal, rng = TeacherSignal(teacher, examples[:64], seed), np.random.default_rng(seed)
        distil(student, signal, options, steps=4, batch=16, rng=rng)
        return fingerprint(student)

    assert run(1) == run(1) != run(2)


def test_exit_heads_agree_with_the_final_prediction(teacher, examples, unseen):
    fitted = fit_exits(teacher, examples, np.random.default_rng(0))
    assert fitted.encoder.shape.exits == (1, 2)
    seen = predict(fitted, encode(fitted, unseen))
    final = seen.logits.argmax(-1)
    assert np.array_equal(seen.logits, predict(teacher, encode(teacher, unseen)).logits), "the student stays as it is"
    assert (seen.exits[1].argmax(-1) == final).mean() > 0.85
    assert (seen.exits[2].argmax(-1) == final).mean() > 0.85
    nothing = np.zeros_like(seen.logits)
    assert divergence(fitted, seen.logits, seen.exits[2]) < 0.5 * divergence(fitted, seen.logits, nothing)


def test_exit_heads_are_refitted_and_need_a_layer_to_skip(teacher, examples):
    once = fit_exits(teacher, examples, np.random.default_rng(0))
    assert fingerprint(fit_exits(once, examples, np.random.default_rng(0))) == fingerprint(once)
    single = shrink_depth(teacher, (0,))
    assert fit_exits(single, examples, np.random.default_rng(0)) is single
    alone = fit_exits(teacher, [Example("good", None, 1)], np.random.default_rng(0))
    assert all(torch.isfinite(weight).all() for weight in alone.encoder.parameters())


def test_predictions_come_in_the_order_of_the_texts(teacher, unseen):
    data = encode(teacher, unseen)
    together = predict(teacher, data, means=True, size=7)
    for row in (0, 1, 57):
        alone = predict(teacher, encode(teacher, [unseen[row]]), means=True)
        np.testing.assert_allclose(together.logits[row], alone.logits[0], atol=1e-4)
        np.testing.assert_allclose(together.means[row], alone.means[0], atol=1e-4)
    assert together.means.shape == (100, 4, 32)
    assert predict(teacher, data).means is None


def test_divergence_by_hand(teacher):
    reference, other = np.log(np.array([[0.25, 0.75]], np.float32)), np.log(np.array([[0.5, 0.5]], np.float32))
    expected = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    assert divergence(teacher, reference, other) == pytest.approx(expected, rel=1e-5)
    assert divergence(teacher, reference, reference + 5) == pytest.approx(0, abs=1e-6)


def test_recovery_reads_labels_and_logits_by_their_weights(teacher, examples):
    flipped = [e._replace(target=1 - e.target) for e in examples]
    taught = replace(TeacherSignal(teacher, examples), examples=flipped)
    results = {}
    for labels in (0.0, 1.0):
        student = cut(teacher)
        options = DistillationOptions(logits=1.0 - labels, labels=labels, learning_rate=3e-3)
        distil(student, taught, options, steps=60, batch=32, rng=np.random.default_rng(0))
        results[labels] = accuracy(student, examples)
    assert results[0.0] > 0.9 and results[1.0] < 0.1

"""A teacher's answers are cached for the next student."""

from dataclasses import replace

import numpy as np
import pytest

from autocomp.models.student import fingerprint
from autocomp.techniques import Context, techniques
from autocomp.techniques.depth import shrink_depth
from autocomp.techniques.distillation import DistillationOptions
from autocomp.techniques.vocabulary import shrink_vocabulary
from autocomp.training import teacher_signal as signal_module
from autocomp.training.batches import encode
from autocomp.training.distillation import distil
from autocomp.training.teacher_signal import RELATED, TeacherCache, TeacherSignal, run_teacher

ROWS = (0, 3, 5)


@pytest.fixture
def asked(monkeypatch):
    """The rows and names of each batch on which a teacher is run."""
    calls = []

    def counted(teacher, data, rows, names):
        calls.append((tuple(rows), tuple(names)))
        return run_teacher(teacher, data, rows, names)

    monkeypatch.setattr("autocomp.training.recovery.run_teacher", counted)
    return calls


def learn(teacher, examples, layers, cache, *, steps=6, pieces=None, **options):
    """A recovered student's fingerprint."""
    student = shrink_depth(teacher, layers)
    student = student if pieces is None else shrink_vocabulary(student, pieces, {"good": 9, "bad": 9})
    options = DistillationOptions(learning_rate=3e-3, **options)
    signal = TeacherSignal(teacher, examples, 7, cache)
    distil(student, signal, options, steps=steps, batch=32, rng=np.random.default_rng(1))
    return fingerprint(student)


@pytest.mark.parametrize("options", [{}, {"relations": 1.0}, {"hidden": 0.0}])
def test_a_student_is_the_same_whether_its_teacher_was_asked_or_remembered(teacher, examples, asked, options):
    cache = TeacherCache(1 << 24)
    first = learn(teacher, examples, (0, 2), cache, **options)
    assert len(asked) == 6
    assert learn(teacher, examples, (0, 2), cache, **options) == first
    assert len(asked) == 6, "the second student's teacher was not run"
    assert learn(teacher, examples, (0, 2), TeacherCache(0), **options) == first
    assert len(asked) == 12


def test_a_student_without_states_asks_for_each_text_once(teacher, examples, asked):
    technique = techniques["architecture"]
    student = technique.prepare(teacher, technique.parse({"kind": "static"}), Context())
    options = techniques["distillation"].settle(student, DistillationOptions(augment=0.0), Context())
    signal = TeacherSignal(teacher, examples, 7, TeacherCache(1 << 24))
    distil(student, signal, options, steps=3 * len(examples) // 32, batch=32, rng=np.random.default_rng(1))
    rows = [row for batch, names in asked for row in batch if names == ()]
    assert sorted(rows) == list(range(len(examples)))


def test_students_of_other_vocabularies_read_the_same_batches(teacher, examples, asked):
    cache = TeacherCache(1 << 24)
    learn(teacher, examples, (0, 2), cache)
    learn(teacher, examples, (0, 2), cache, pieces=250)
    assert len(asked) == 6


def test_a_student_that_follows_other_layers_has_these_alone_asked_for(teacher, examples, asked):
    cache = TeacherCache(1 << 24)
    learn(teacher, examples, (0,), cache)
    deep = learn(teacher, examples, (0, 1, 2), cache)
    assert {names for _, names in asked[:6]} == {("hidden.3",)}
    assert {names for _, names in asked[6:]} == {("hidden.1", "hidden.2")}
    assert learn(teacher, examples, (0, 1, 2), TeacherCache(0)) == deep
    learn(teacher, examples, (1,), cache)
    assert len(asked) == 18, "what was known before is still"


def test_variants_are_not_remembered(teacher, examples, asked):
    cache = TeacherCache(1 << 24)
    for _ in range(2):
        learn(teacher, examples[:64], (0,), cache, steps=6, augment=1.0)
    first, second = asked[:6], asked[6:]
    assert len(second) == 4 and second == first[2:], "of six batches the first two hold each text once"


def test_memory_is_bounded_and_keeps_the_first_batches(teacher, examples):
    data, names = encode(teacher, examples), ["hidden.3"]
    answers = run_teacher(teacher, data, ROWS, names)
    cache, calls = TeacherCache(2 * answers.nbytes), []

    def anew(missing):
        calls.append(list(missing))
        return answers

    batches = [ROWS, (7, 8, 9), (10, 11, 12)]
    for _ in range(2):
        for rows in batches:
            assert cache.answers(rows, names, anew) is answers
    assert len(calls) == 4, "two of three have room"
    wider = cache.answers(ROWS, [*names, *RELATED], lambda missing: run_teacher(teacher, data, ROWS, missing))
    assert set(wider.states) == {*names, *RELATED}
    assert cache.answers(ROWS, names, anew) is answers, "there is no room for more of it, and what is there stays"


def test_a_process_keeps_no_more_than_its_share(monkeypatch):
    monkeypatch.setattr(signal_module.os, "cpu_count", lambda: 10_000)
    assert 0 < TeacherCache().most_bytes < signal_module.MOST_BYTES
    monkeypatch.delattr(signal_module.os, "sysconf")
    assert TeacherCache().most_bytes == signal_module.MOST_BYTES


def test_what_is_said_needs_little_room(teacher, examples):
    answers = run_teacher(teacher, encode(teacher, examples), range(32), ["hidden.3"])
    assert answers.states["hidden.3"].nbytes == 2 * answers.seen.numel() * teacher.encoder.shape.hidden
    assert replace(answers, states={}).nbytes < answers.nbytes

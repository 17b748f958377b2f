"""What a stage is made of: all that its builder reads is in its key, and what it does not read is not."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase, Sequence

from autocomp.budget import Fidelity
from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.pipeline import baselines, context, teacher
from autocomp.pipeline import export as exporting
from autocomp.pipeline import students as recovered
from autocomp.plan import CompressionPlan, Step, canonical
from autocomp.result_cache import CachedResult
from autocomp.tasks import Example, TaskData
from autocomp.testing.models import random_student

ROWS = tuple(Example(text, None, i % 2) for i, text in enumerate(("good", "bad", "fine", "poor")))
DATA = TaskData("texts", ("no", "yes"), "accuracy", ROWS, ROWS[:2], ROWS[2:])


class Store:
    """Says what it was asked to make, and makes nothing."""

    def __init__(self):
        self.asked = []

    def make(self, kind, inputs, build):
        self.asked.append((kind, dict(inputs)))
        return CachedResult(kind, None, {}, False)


class Full(Store):
    """Has whatever it is asked for, so that nobody trains."""

    def key(self, kind, inputs):
        self.asked.append((kind, dict(inputs)))
        return kind

    def find(self, key):
        return CachedResult(key, None, {}, True)


def asked(make, store=Store):
    store = store()
    make(store)
    [(kind, inputs)] = store.asked
    return kind, canonical(inputs)


def of_teacher(student, data=DATA, fine_tuned=True, **changes):
    spec = SimpleNamespace(**{"teacher_epochs": 1.0, "teacher_learning_rate": 1e-3, "seed": 0, **changes})
    loaded = SimpleNamespace(student=student, fine_tuned=fine_tuned)
    return asked(lambda store: teacher.teacher_stage(store, loaded, data, spec, 1e9, lambda f: None), Full)


@pytest.fixture
def student():
    return random_student()


def with_shape(student, **changes):
    shape = student.encoder.shape.with_(**changes)
    return replace(student, encoder=encoder_from(shape, plain_weights(student.encoder), student.encoder.dropout))


def other_tokenizer(student):
    changed = Tokenizer.from_str(student.tokenizer.to_str())
    changed.normalizer = Sequence([Lowercase(), Lowercase()])
    return replace(student, tokenizer=changed)


def two_heads_for_four(student):
    blocks = tuple(replace(b, heads=b.heads // 2, head_size=b.head_size * 2) for b in student.encoder.shape.blocks)
    return with_shape(student, blocks=blocks)


def other_dropout(student):
    shape, weights = student.encoder.shape, plain_weights(student.encoder)
    return replace(student, encoder=encoder_from(shape, weights, student.encoder.dropout + 0.1))


def other_weight(student):
    weights = {name: w.clone() for name, w in plain_weights(student.encoder).items()}
    with torch.no_grad():
        next(iter(weights.values())).view(-1)[0] += 1
    return replace(student, encoder=encoder_from(student.encoder.shape, weights, student.encoder.dropout))


MODELS = {
    "tokenizer": other_tokenizer,
    "heads": two_heads_for_four,
    "activation": lambda s: with_shape(s, activation="relu"),
    "epsilon": lambda s: with_shape(s, norm_epsilon=1e-3),
    "dropout": other_dropout,
    "weights": other_weight,
    "labels": lambda s: replace(s, labels=s.labels[::-1]),
    "max_length": lambda s: replace(s, max_length=s.max_length - 1),
    "pairs": lambda s: replace(s, pairs=not s.pairs),
}
DATAS = {
    "rows": {"train": (Example("other", None, 0), *ROWS[1:])},
    "labels of rows": {"train": (ROWS[0]._replace(target=1), *ROWS[1:])},
    "searched rows": {"search": ROWS[1:3]},
    "held-out rows": {"held_out": ROWS[1:3]},
    "label names": {"labels": ("a", "b")},
    "metric": {"metric": "f1"},
    "max_length": {"max_length": 64},
}


@pytest.mark.parametrize("change", MODELS)
def test_a_teacher_is_known_by_all_that_it_is(student, change):
    assert of_teacher(student) == of_teacher(random_student()) != of_teacher(MODELS[change](student))


@pytest.mark.parametrize("change", DATAS)
@pytest.mark.parametrize("fine_tuned", [True, False])
def test_a_teacher_is_known_by_its_data(student, change, fine_tuned):
    other = replace(DATA, **DATAS[change])
    assert of_teacher(student, DATA, fine_tuned) != of_teacher(student, other, fine_tuned)


def test_a_teacher_is_not_trained_again_for_a_name(student):
    other = replace(DATA, name="moved", notes=("read from elsewhere",))
    assert of_teacher(student, DATA, False) == of_teacher(student, other, False)


@pytest.mark.parametrize("change", [{"teacher_epochs": 2.0}, {"teacher_learning_rate": 1e-4}, {"seed": 1}])
def test_how_a_teacher_is_fine_tuned_counts_where_it_is(student, change):
    assert of_teacher(student, fine_tuned=False) != of_teacher(student, fine_tuned=False, **change)
    assert of_teacher(student) == of_teacher(student, **change)


@pytest.mark.parametrize("change", [*DATAS.values(), {"name": "moved"}, {"notes": ("said",)}])
def test_the_data_stage_holds_all_that_is_known_of_the_data(change):
    found = [asked(lambda store: context.data_stage(store, data)) for data in (DATA, replace(DATA, **change))]  # noqa: B023
    assert found[0] != found[1]


def test_what_is_learnt_from_a_teacher_is_of_the_teacher_its_data_and_the_seed():
    def of(key="t", data=DATA, seed=0):
        return asked(lambda store: teacher.knowledge_stage(store, None, key, data, seed))

    others = [of("u"), of(seed=1), *(of(data=replace(DATA, **change)) for change in DATAS.values())]
    assert of() == of() and of() not in others


def test_a_baseline_is_of_the_teacher_the_machine_and_the_data_and_not_of_how_it_is_timed():
    def of(key="t", data=DATA, machine="m"):
        return asked(lambda store: baselines.baseline_stage(store, None, key, data, machine))

    others = [of("u"), of(machine="n"), of(data=replace(DATA, name="moved"))]
    others += [of(data=replace(DATA, **change)) for change in DATAS.values()]
    assert of() == of() and of() not in others


@pytest.fixture
def study(prepared):
    return prepared.context


PLAN = CompressionPlan((Step("depth", {"layers": 2, "kept": [0, 2]}),))
RUNGS = (Fidelity(0, 10), Fidelity(1, 30))
READ = {"teacher_key": "other", "knowledge_key": "other", "seed": 99}


def inputs_of(study, rungs=RUNGS[:1], parent=None):
    return canonical(recovered._Recovery(study, PLAN, None, 0.0, None).inputs(rungs, parent))


@pytest.mark.parametrize("change", READ)
def test_a_student_is_of_every_stage_that_it_is_made_of(study, change):
    assert inputs_of(study) == inputs_of(replace(study)) != inputs_of(replace(study, **{change: READ[change]}))


def test_a_student_is_of_its_data_its_rungs_and_the_student_before(study):
    other = replace(study, data=replace(study.data, train=study.data.train[1:]))
    parent = [CachedResult(key, None, {}, True) for key in ("whole", "cut short")]
    found = [inputs_of(study), inputs_of(other), inputs_of(study, RUNGS), *(inputs_of(study, RUNGS, p) for p in parent)]
    assert len(set(found)) == 5


@pytest.mark.parametrize("change", [{"data_key": "other"}, {"knowledge_key": "other"}])
def test_a_file_is_of_every_stage_that_it_is_made_of(study, change):
    def of(study, key="s"):
        return asked(lambda store: exporting.artifact_stage(replace(study, store=store), None, key, PLAN))

    assert of(study) == of(study) != of(replace(study, **change))
    assert of(study) != of(study, "u")


def test_the_key_of_a_stage_does_not_depend_on_how_fast_the_machine_is(study):
    slow = replace(study, speed=replace(study.speed, alone_ms=tuple(10 * ms for ms in study.speed.alone_ms)))
    assert inputs_of(study) == inputs_of(slow)

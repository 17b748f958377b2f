"""Students as stages: what makes two of them one, what they leave for a longer training, and their files."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from autocomp.budget import Fidelity
from autocomp.errors import SpecError
from autocomp.models.encoder import plain_weights
from autocomp.models.student import codes_of, load_student
from autocomp.pipeline.export import artifact_stage
from autocomp.pipeline.fake_quantize import stored_weights
from autocomp.pipeline.plans import build_space, cheap, is_trained, structural
from autocomp.pipeline.students import TRAINING, _Recovery, recovered_stage
from autocomp.pipeline.sweep import sweep
from autocomp.space import Knob
from autocomp.spec import SpaceSpec
from autocomp.study.proposals import identity
from autocomp.techniques import Options, Stage, Technique, techniques
from autocomp.testing.models import tiny_shape
from autocomp.training import recovery
from autocomp.training.batches import encode
from autocomp.training.hooks import Hook
from autocomp.training.predictions import predict

RUNGS = (Fidelity(0, 6, 16), Fidelity(1, 12, 16))
SMALL = {"vocabulary": {"pieces": 300}, "depth": {"layers": 2}, "feed_forward": {"kept": 0.5}}


class TugOptions(Options):
    strength: float = 0.0


class Tug(Technique[TugOptions]):
    """Acts in training, though its stage comes after recovery."""

    summary, paper, stage, touches, Options = "s", "p", Stage.NUMERICS, frozenset({"classifier"}), TugOptions

    def knobs(self, shape):
        return {"strength": Knob((2.0, 1.0, 0.0))}

    def training(self, student, options, context):
        class Pull(Hook):
            def loss(self, batch, outputs):
                return options.strength * outputs.logits.float().square().mean()

        return Pull() if options.strength else None


@pytest.fixture
def tug(monkeypatch):
    """The technique `tug`, of nobody's package."""
    monkeypatch.setitem(techniques._loaded, "tug", Tug())


def key(context, plan, rungs=RUNGS[:1]):
    return context.store.key("student", _Recovery(context, plan, None, 0.0, None).inputs(rungs, None))


@pytest.mark.usefixtures("tug")
def test_plans_that_differ_in_what_acts_during_training_are_two_students(context, plans):
    """Filed after recovery it was taken for cheap: the second plan would have got the first one's student."""
    first, second = (plans(distillation={}, tug={"strength": s}) for s in (1.0, 2.0))
    assert identity(first) != identity(second) and key(context, first) != key(context, second)
    assert [s.technique for s in structural(first).steps] == ["distillation", "tug"] and cheap(first).steps == ()
    made = [recovered_stage(context, plan, RUNGS[:1])[0] for plan in (first, second)]
    assert made[0].key != made[1].key
    weights = [plain_weights(load_student(stage.folder / "student").encoder) for stage in made]
    assert not torch.equal(*(w["head.classifier.weight"] for w in weights))


@pytest.mark.parametrize(
    "step", [("gradual_pruning", {"fraction": 0.5}), ("quantization_aware", {"linears": 2}), ("depth", {"layers": 1})]
)
def test_plans_that_differ_in_it_are_two_and_in_a_cheap_step_one(context, plans, step):
    name, options = step
    plain = plans(distillation={}, exits={"threshold": 0.9})
    first, second = plans(distillation={}, **{name: options}), plans(distillation={}, **{name: {}})
    assert (
        len({identity(p) for p in (first, second, plain)})
        == len({key(context, p) for p in (first, second, plain)})
        == 3
    )
    cheaper = plans(distillation={}, **{name: options}, exits={"threshold": 0.9}, sparsity={"fraction": 0.5})
    assert identity(cheaper) == identity(first) and key(context, cheaper) == key(context, first)


def test_a_space_whose_techniques_train_has_rungs():
    assert is_trained(["depth", "gradual_pruning"]) and is_trained(["distillation"])
    assert not is_trained(["depth", "sparsity", "linear_bits", "exits"])


def space(*names):
    return build_space(SpaceSpec(techniques={name: {} for name in names}), tiny_shape(), "mine.yaml")


def test_a_space_has_bits_after_training_or_in_it():
    for after, within in (("linear_bits", "quantization_aware"), ("sparsity", "gradual_pruning")):
        with pytest.raises(SpecError, match="both claim"):
            space(after, within)
    assert space("gradual_pruning", "quantization_aware").techniques == ("gradual_pruning", "quantization_aware")


@pytest.fixture
def told(monkeypatch):
    """What each recovery was told to go on from, and what it left."""
    seen, recover = [], recovery.recover

    def spied(*args, before=None, **how):
        done = recover(*args, before=before, **how)
        seen.append((dict(before) if before else before, done.state))
        return done

    monkeypatch.setattr(recovery, "recover", spied)
    return seen


def test_by_distillation_alone_each_rung_is_a_training_of_its_own(context, plans, told):
    stage, _ = recovered_stage(context, plans(depth={"layers": 1}, distillation={"learning_rate": 3e-4}), RUNGS)
    assert [before for before, _ in told] == [None, None] and not (stage.folder / TRAINING).exists()


def test_state_survives_rungs_where_more_than_distillation_acts(context, plans, told):
    plan = plans(depth={"layers": 1}, distillation={}, gradual_pruning={"fraction": 0.5})
    low, _ = recovered_stage(context, plan, RUNGS[:1])
    high, settled = recovered_stage(context, plan, RUNGS)
    (nothing, left), (given, later) = told
    assert nothing == {} and given.keys() == left.keys() and all(torch.equal(given[k], left[k]) for k in given)
    step = "optimizer/encoder.head.classifier.bias:step"
    assert (float(left[step]), float(later[step])) == (6, 12)
    assert load_file(low.folder / TRAINING).keys() == left.keys() and high.key != low.key
    zeros = [_zeros(load_student(stage.folder / "student")) for stage in (low, high)]
    assert np.all(zeros[1][zeros[0]]) and zeros[1].mean() == pytest.approx(0.5, abs=0.01)
    assert settled.options("gradual_pruning") == {"fraction": 0.5, "ends": 0.6}


def _zeros(student):
    weights = plain_weights(student.encoder)
    return np.concatenate([(weights[n].numpy() == 0).ravel() for n, f in student.formats.items() if f.sparse])


@pytest.mark.parametrize("rungs", [RUNGS, ()], ids=["trained", "post_training"])
def test_all_of_it_together_gives_files_that_answer_as_their_students(context, plans, rungs):
    plan = plans(
        **SMALL, distillation={}, gradual_pruning={"fraction": 0.5}, quantization_aware={"linears": 3, "embeddings": 2},
        exits={"threshold": 0.9},
    )  # fmt: skip
    stage, settled = recovered_stage(context, plan, rungs)
    student = load_student(stage.folder / "student")
    assert student.encoder.shape.depth == 2 and student.encoder.shape.exits == (1,)
    assert {f.sparse for n, f in student.formats.items() if n.startswith("blocks.")} == {True}
    assert (len(codes_of(student)) > 8) == bool(rungs)
    found = sweep(context, student, settled, space(*(step.technique for step in plan.steps)), 2)
    assert len(found) >= 2 and all(structural(p) == structural(settled) for p in found)
    made = artifact_stage(context, student, stage.key, found[0])
    assert made.facts["agreement"] > 0.9


def test_exit_heads_are_fitted_to_what_the_file_stores_and_weights_stay(context, plans):
    plan = plans(depth={"layers": 2}, distillation={}, quantization_aware={"linears": 2, "embeddings": 2})
    student = load_student(recovered_stage(context, plan, RUNGS[:1])[0].folder / "student")
    assert set(codes_of(student)) == set(student.codes), "the weights behind the codes are those that were trained"
    assert len(student.encoder.embeddings.word.weight[5].unique()) > 4
    data = encode(student, context.data.search)
    with stored_weights(student):
        seen = predict(student, data)
    assert (seen.exits[1].argmax(-1) == seen.logits.argmax(-1)).mean() > 0.8


def test_a_student_without_states_makes_ten_steps_for_each_of_a_fidelity(context, plans, monkeypatch):
    made, recover = [], recovery.recover

    def spied(*args, steps, **how):
        made.append(steps)
        return recover(*args, steps=steps, **how)

    monkeypatch.setattr(recovery, "recover", spied)
    stage, _ = recovered_stage(context, plans(architecture={"kind": "static"}, distillation={"augment": 0.0}), RUNGS)
    assert made == [10 * RUNGS[0].steps, 10 * (RUNGS[1].steps - RUNGS[0].steps)]
    assert (stage.facts["steps"], stage.facts["trained"]) == (RUNGS[1].steps, RUNGS[1].steps - RUNGS[0].steps)

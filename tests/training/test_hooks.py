"""What may act during a training: when it is called, what it adds, and how it goes on with the next one."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from autocomp.errors import ModelError
from autocomp.models.linears import foreign_parametrizations, stored_parameters
from autocomp.models.student import fingerprint, save_student
from autocomp.techniques.depth import shrink_depth
from autocomp.techniques.distillation import DistillationOptions
from autocomp.techniques.hidden_size import shrink_hidden
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.distillation import Distillation, distil
from autocomp.training.hooks import Hook, Learnt
from autocomp.training.loop import adamw, moments, set_moments, train
from autocomp.training.recovery import recover
from autocomp.training.teacher_signal import TeacherSignal

OPTIONS = DistillationOptions(learning_rate=1e-3)


class Half(torch.nn.Module):
    def forward(self, weight):
        return weight / 2


class Recorder(Hook):
    """Writes down its calls."""

    def __init__(self):
        self.calls, self.fractions, self.loaded = [], [], None

    def begin(self, teacher):
        self.calls.append("begin")

    def states(self):
        return ("hidden.1", "hidden.2")

    def before_step(self, fraction):
        self.calls.append("before_step")
        self.fractions.append(fraction)

    def loss(self, batch, outputs):
        self.calls.append("loss")
        assert set(self.states()) <= set(batch.answers.states)

    def before_update(self, fraction):
        self.calls.append("before_update")

    def after_step(self, fraction):
        self.calls.append("after_step")

    def finish(self):
        self.calls.append("finish")

    def state(self):
        return {"seen": torch.tensor(float(len(self.fractions)))}

    def load(self, state):
        self.loaded = state


def learn(teacher, examples, *hooks, student=None, steps=4, before=None, seed=0, options=OPTIONS):
    """The student and what its training gave, distilled with other hooks beside."""
    student = student or shrink_depth(teacher, (0, 2))
    named = {"distillation": Distillation(student, options)} | {f"hook{i}": hook for i, hook in enumerate(hooks)}
    rng = np.random.default_rng(seed)
    done = recover(
        student, TeacherSignal(teacher, examples), options, named, steps=steps, batch=16, rng=rng, before=before
    )
    return student, done


def test_hooks_are_called_at_their_places(teacher, examples):
    hook = Recorder()
    learn(teacher, examples, hook, steps=3)
    step = ["before_step", "loss", "before_update", "after_step"]
    assert hook.calls == ["begin", *step * 3, "finish"]
    assert hook.fractions[0] == 0 and hook.fractions == sorted(hook.fractions) and hook.fractions[-1] < 1


def test_a_hook_that_does_nothing_changes_nothing(teacher, examples):
    plain, beside = shrink_depth(teacher, (0, 2)), learn(teacher, examples, Hook(), Recorder())[0]
    distil(plain, TeacherSignal(teacher, examples), OPTIONS, steps=4, batch=16, rng=np.random.default_rng(0))
    assert fingerprint(plain) == fingerprint(beside)


def test_losses_are_added(teacher, examples):
    class Heavier(Hook):
        def loss(self, batch, outputs):
            return outputs.logits.float().square().mean() * 10

    alone, both = learn(teacher, examples, steps=30), learn(teacher, examples, Heavier(), steps=30)
    sizes = [float(student.encoder.head.classifier.weight.detach().norm()) for student, _ in (alone, both)]
    assert sizes[1] < sizes[0] and both[1].loss > alone[1].loss


def test_without_a_loss_there_is_nothing_to_learn(teacher, examples):
    student = shrink_depth(teacher, (0,))
    with pytest.raises(ModelError, match="no hook of this training gives a loss"):
        recover(
            student, TeacherSignal(teacher, examples), OPTIONS, {"none": Hook()}, steps=1, batch=4,
            rng=np.random.default_rng(0),
        )  # fmt: skip


class Gate(Hook):
    """A number of its own that multiplies a loss."""

    def __init__(self, **how):
        self.module, self.how = torch.nn.Linear(1, 1), how

    def parameters(self):
        return (Learnt(self.module, **self.how),)

    def loss(self, batch, outputs):
        return self.module(torch.ones(1, 1)).square().sum()


@pytest.mark.parametrize(("how", "peak"), [({}, 1e-3), ({"factor": 5.0}, 5e-3), ({"peak": 0.3}, 0.3)])
def test_parameters_of_a_hook_have_rates_of_their_own(teacher, examples, monkeypatch, how, peak):
    rates = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self: (rates.append([g["lr"] for g in self.param_groups]), step(self))[1]
    )
    hook = Gate(**how)
    before = hook.module.weight.detach().clone()
    learn(teacher, examples, hook, steps=20)
    assert not torch.equal(before, hook.module.weight)
    assert all(own / of_student == pytest.approx(peak / 1e-3) for of_student, own in rates)
    assert max(own for _, own in rates) == pytest.approx(peak)


class Scaled(Hook):
    """Trains a parametrization on the student, at a rate of its own, and takes it off or not."""

    def __init__(self, student, tidy=True):
        self.layer, self.tidy = student.encoder.blocks[0].feed_forward.input, tidy

    def begin(self, teacher):
        self.half = torch.nn.Linear(1, 1, bias=False)
        self.half.forward = lambda weight: weight * self.half.weight
        parametrize.register_parametrization(self.layer, "weight", self.half)

    def parameters(self):
        return (Learnt(self.half, factor=10.0),)

    def finish(self):
        if self.tidy:
            parametrize.remove_parametrizations(self.layer, "weight")


def test_a_hook_may_parametrize_a_weight_and_leaves_its_value(teacher, examples):
    student = shrink_depth(teacher, (0, 2))
    made, done = learn(teacher, examples, Scaled(student), student=student)
    assert made is student and not foreign_parametrizations(student.encoder)
    assert {"optimizer/hook0.0.weight:exp_avg", "optimizer/encoder.head.classifier.bias:exp_avg"} <= set(done.state)


def test_a_parametrization_that_is_left_is_refused_and_never_saved(teacher, examples, tmp_path):
    student = shrink_depth(teacher, (0, 2))
    with pytest.raises(ModelError, match=r"blocks\.0\.feed_forward\.input\.weight; its `finish` has to remove it"):
        learn(teacher, examples, Scaled(student, tidy=False), student=student)
    with pytest.raises(ModelError, match=r"blocks\.0\.feed_forward\.input\.weight cannot be saved"):
        save_student(student, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_parametrization_of_one_tensor_is_no_factor():
    ranks = (("blocks.1.feed_forward.input.weight", 6),)
    student = random_student(tiny_shape().with_(ranks=ranks))
    plain = set(stored_parameters(student.encoder))
    parametrize.register_parametrization(student.encoder.blocks[0].feed_forward.input, "weight", Half())
    parametrize.register_parametrization(student.encoder.embeddings.word, "weight", torch.nn.Linear(32, 32))
    assert set(stored_parameters(student.encoder)) == plain
    assert {f"{ranks[0][0]}.up", f"{ranks[0][0]}.down", "blocks.0.feed_forward.input.weight"} <= plain
    assert foreign_parametrizations(student.encoder) == ["embeddings.word.weight", "blocks.0.feed_forward.input.weight"]


def test_a_weight_of_several_foreign_tensors_cannot_be_stored():
    class Sum(torch.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, weight):
            return weight / 2, weight / 2

    student = random_student(tiny_shape())
    parametrize.register_parametrization(student.encoder.head.dense, "weight", Sum())
    with pytest.raises(ModelError, match=r"head\.dense\.weight is parametrized by several tensors"):
        stored_parameters(student.encoder)


def test_a_longer_training_goes_on_with_moments_states_and_bridge(teacher, examples):
    def start():
        return shrink_hidden(shrink_depth(teacher, (0, 2)), 16, np.arange(32.0))

    student, first = learn(teacher, examples, Recorder(), student=start())
    again, going_on = Recorder(), Recorder()
    fresh, _ = learn(teacher, examples, again, student=start())
    assert fingerprint(fresh) == fingerprint(student) and again.loaded is None
    learn(teacher, examples, again, student=fresh, seed=1)
    _, second = learn(teacher, examples, going_on, student=student, before=first.state, seed=1)
    assert going_on.loaded == {"seen": torch.tensor(4.0)} and fingerprint(fresh) != fingerprint(student)
    steps = "optimizer/encoder.head.classifier.bias:step"
    assert (float(first.state[steps]), float(second.state[steps])) == (4, 8)
    assert first.state["distillation/hidden.weight"].shape == (32, 16)
    assert not torch.equal(first.state["distillation/hidden.weight"], second.state["distillation/hidden.weight"])


def test_training_in_two_parts_with_moments_is_training_in_one():
    def parabola(weight):
        while True:
            yield (weight - 3).square().sum()

    def part(weight, steps, known):
        optimizer = adamw([weight], 0.1)
        set_moments(optimizer, {"w": weight}, known)
        for _ in range(steps):
            next(losses).backward()
            optimizer.step()
            optimizer.zero_grad()
        return moments(optimizer, {"w": weight})

    found = []
    for parts in ((6,), (2, 4)):
        weight, known = torch.nn.Parameter(torch.zeros(2)), {}
        losses = parabola(weight)
        for steps in parts:
            known = part(weight, steps, known)
        found.append(weight.detach().clone())
    assert torch.equal(*found)


def test_hooks_finish_even_where_no_step_was_taken():
    hook, weight = Recorder(), torch.nn.Parameter(torch.ones(1))
    losses = (weight.sum() for _ in itertools.count())
    done = train(adamw([weight], 0.1), losses, 0, hooks=[hook])
    assert hook.calls == ["finish"] and done.steps == 0 and math.isnan(done.loss)

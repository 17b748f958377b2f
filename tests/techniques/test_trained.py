"""Techniques that act during training: zeros that come little by little, and weights seen as they are stored."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from autocomp.architectures import parts_of
from autocomp.formats import WeightFormat, usual_format
from autocomp.formats.numbers import decode, encode
from autocomp.models.encoder import plain_weights
from autocomp.models.linears import linear_groups
from autocomp.models.student import codes_of, fingerprint, load_student, save_student
from autocomp.pipeline.export import model_of
from autocomp.pipeline.fake_quantize import stored_weights
from autocomp.tasks import Example
from autocomp.techniques import Context, Stage, quantization_aware, techniques
from autocomp.techniques.gradual_pruning import EVERY, zeros_after
from autocomp.techniques.low_rank import factorize
from autocomp.techniques.quantization_aware import CARRIED, Grid
from autocomp.techniques.sparsity import sparsify
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.technique_contract import (
    ROUNDED,
    contract_context,
    contract_student,
    file_logits,
    grid,
    logits,
)
from autocomp.training.distillation import Distillation
from autocomp.training.hooks import Hook
from autocomp.training.recovery import recover
from autocomp.training.teacher_signal import TeacherSignal

TEXTS = ("the film was good", "boring", "people who like long words", "bad film , I hate it", "two words", "love it")
EXAMPLES = [Example(text, None, i % 2) for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def teacher():
    return random_student(tiny_shape())


@pytest.fixture
def student():
    return random_student(tiny_shape(layers=2), seed=1)


def linears(student):
    """The linear weights by name, as they are."""
    weights = plain_weights(student.encoder)
    return {
        name: weights[name].numpy().copy() for group in linear_groups(student.encoder.shape).values() for name in group
    }


def zeros(student):
    """Which linear weights are zero, flat."""
    return np.concatenate([(weight == 0).ravel() for weight in linears(student).values()])


def learn(student, teacher, steps=40, rate=3e-3, examples=EXAMPLES, **chosen):
    """The student trained with the hooks of some techniques, and after what these do when it is over."""
    chosen = {name: techniques[name].parse(options) for name, options in chosen.items()}
    distillation = techniques["distillation"].parse({"learning_rate": rate})
    found = {name: techniques[name].training(student, options, Context()) for name, options in chosen.items()}
    hooks = {"distillation": Distillation(student, distillation), **{n: h for n, h in found.items() if h}}
    signal, rng = TeacherSignal(teacher, examples), np.random.default_rng(0)
    recover(student, signal, distillation, hooks, steps=steps, batch=6, rng=rng)
    for name, options in chosen.items():
        student = techniques[name].convert(student, options, Context())
    return student


def test_zeros_rise_as_a_cubic():
    assert [zeros_after(f, 0.0, 0.8, 0.5) for f in (0, 0.25, 0.5, 0.9)] == pytest.approx([0, 0.7, 0.8, 0.8])
    assert zeros_after(0.25, 0.4, 0.8, 0.5) == pytest.approx(0.75)


@pytest.mark.parametrize("steps", [1, 40])
def test_pruning_ends_at_its_fraction_however_short_the_training(student, teacher, steps):
    made = learn(student, teacher, steps, gradual_pruning={"fraction": 0.6})
    assert zeros(made).mean() == pytest.approx(0.6, abs=0.002)
    assert {name for name, format in made.formats.items() if format.sparse} == set(linears(made))
    assert set(made.formats.values()) == {WeightFormat(32, sparse=True)}


def test_zeros_are_shared_out_as_by_sparsity(student):
    gradual, once = techniques["gradual_pruning"], techniques["sparsity"]
    untrained = gradual.convert(student, gradual.parse({"fraction": 0.5}), Context())
    assert fingerprint(untrained) == fingerprint(once.convert(student, once.parse({"fraction": 0.5}), Context()))
    shares = [float((weight == 0).mean()) for weight in linears(untrained).values()]
    assert max(shares) - min(shares) > 0.01, "one threshold for all, not one fraction"


def test_survivors_learn_and_zeros_stay(student, teacher, monkeypatch):
    before, seen = linears(student), []
    hook = type(techniques["gradual_pruning"].training(student, techniques["gradual_pruning"].parse({"fraction": 0.5}),
                                                       Context()))  # fmt: skip
    after_step = hook.after_step
    monkeypatch.setattr(hook, "after_step", lambda self, f: (after_step(self, f), seen.append(zeros(self._student))))
    made = learn(student, teacher, 3 * EVERY, gradual_pruning={"fraction": 0.5})
    assert all(np.all(later[earlier]) for earlier, later in pairwise(seen)), "no zero comes back"
    shares = [float(z.mean()) for z in seen]
    assert shares[0] == 0 and 0 < shares[EVERY] < 0.5 and shares == sorted(shares)
    after = linears(made)
    assert all(np.mean(after[name][after[name] != 0] != before[name][after[name] != 0]) > 0.99 for name in after)


def test_a_longer_training_begins_with_the_zeros_there_are(student, teacher):
    first = learn(student, teacher, gradual_pruning={"fraction": 0.5})
    kept = zeros(first)
    weights = linears(first)
    second = learn(first, teacher, gradual_pruning={"fraction": 0.5})
    assert np.all(zeros(second)[kept]) and zeros(second).mean() == pytest.approx(kept.mean(), abs=0.001)
    assert any(not np.array_equal(a, b) for a, b in zip(weights.values(), linears(second).values(), strict=True))


def test_weights_of_low_rank_are_left_alone(teacher, student):
    per_group = dict.fromkeys(linear_groups(student.encoder.shape), 0) | {"blocks.1.feed_forward": 8}
    chosen = {"gradual_pruning": {"fraction": 0.5}, "quantization_aware": {"linears": 2}}
    made = learn(factorize(student, per_group), teacher, **chosen)
    ranked = {name for name, _ in made.encoder.shape.ranks}
    assert len(ranked) == 2 and not ranked & set(made.codes)
    assert not any(made.formats[name].sparse for name in ranked) and {made.formats[n].bits for n in ranked} == {2}
    model_of(made)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_grid_is_what_the_writer_would_store(bits, sparse):
    weight = torch.randn(48, 40, generator=torch.Generator().manual_seed(bits))
    weight = weight * (torch.rand(48, 40, generator=torch.Generator().manual_seed(9)) > 0.5) if sparse else weight
    format = replace(usual_format(bits), sparse=sparse)
    grid, written = Grid(weight, format), decode(encode(weight.numpy(), format), format)
    assert np.abs(grid.nearest(weight).numpy() - written).max() < (1e-6 if bits < 8 else 0.05)
    moved = weight + 0.1 * (weight != 0)
    values = grid.nearest(moved)
    assert np.array_equal(decode(grid.encoded(moved), format), values.numpy()), "codes are those of what is seen"
    assert not sparse or torch.equal(values[weight == 0], torch.zeros_like(values[weight == 0]))
    assert float((values - moved).square().mean()) < 2 * float(np.square(written - weight.numpy()).mean()) + 1e-4


def test_it_is_seen_from_its_fraction_on_and_fitted_every_so_many_steps(student, teacher, monkeypatch):
    fits, seen = [], []

    class Counted(Grid):
        def __init__(self, weight, format):
            fits.append(len(seen))
            super().__init__(weight, format)

    monkeypatch.setattr(quantization_aware, "Grid", Counted)
    monkeypatch.setattr(quantization_aware, "EVERY", 5)
    forward = type(student.encoder).forward
    levels = []

    def spied(self, *args, **kwargs):
        if self is student.encoder:
            seen.append(None)
            levels.append(len(self.head.dense.weight[0].unique()))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(student.encoder), "forward", spied)
    learn(student, teacher, 20, quantization_aware={"linears": 2, "embeddings": 2, "begins": 0.4})
    assert all(count > 4 for count in levels[:8]) and all(count <= 4 for count in levels[8:])
    assert sorted(set(fits)) == [8, 13, 18]
    assert len(student.encoder.head.dense.weight[0].unique()) > 4, "the weights behind them stay"


def test_the_file_holds_what_was_trained_last(student, teacher):
    made = learn(student, teacher, quantization_aware={"linears": 2, "embeddings": 3})
    assert set(codes_of(made)) == set(made.codes) == {n for n, f in made.formats.items() if f.bits in CARRIED}
    assert {made.formats["embeddings.word.weight"].bits, made.formats["head.dense.weight"].bits} == {2, 3}
    anew = replace(made, codes={})
    assert model_of(made).SerializeToString() != model_of(anew).SerializeToString()
    with stored_weights(made):
        held = {name: plain_weights(made.encoder)[name].numpy().copy() for name in made.codes}
    for name, encoded in codes_of(made).items():
        assert np.array_equal(held[name], decode(encoded, made.formats[name]))


def test_codes_are_saved_with_the_weights_behind_them(student, teacher, tmp_path):
    made = learn(student, teacher, 5, quantization_aware={"linears": 3, "embeddings": 4})
    save_student(made, tmp_path / "s")
    again = load_student(tmp_path / "s")
    assert fingerprint(again) == fingerprint(made) != fingerprint(replace(made, codes={}))
    assert set(codes_of(again)) == set(codes_of(made)) and len(again.codes) == len(made.codes) > 0
    assert model_of(again).SerializeToString() == model_of(made).SerializeToString()
    plain = random_student(tiny_shape())
    save_student(plain, tmp_path / "p")
    assert not (tmp_path / "p" / "codes.safetensors").exists() and load_student(tmp_path / "p").codes == {}


def test_codes_hold_only_while_weight_and_format_are_the_same(student, teacher):
    made = learn(student, teacher, 5, quantization_aware={"linears": 3})
    name = "head.dense.weight"
    other = replace(made, formats={**made.formats, name: usual_format(2)})
    assert name not in codes_of(other) and len(codes_of(other)) == len(made.codes) - 1
    assert codes_of(sparsify(made, dict.fromkeys(linear_groups(made.encoder.shape), 0.5))) == {}
    with torch.no_grad():
        made.encoder.head.dense.weight[0, 0] += 1
    assert name not in codes_of(made)


def test_the_optimizer_moves_the_weights_behind_what_is_seen(student, teacher):
    """Steps that are too small to reach another level are not lost."""
    before = linears(student)
    after = linears(learn(student, teacher, 3, 1e-7, quantization_aware={"linears": 2, "begins": 0.0}))
    assert all(0 < np.abs(after[name] - before[name]).max() < 1e-5 for name in before)


class Gradients(Hook):
    """Keeps those of the first step."""

    def __init__(self, student):
        self.student, self.seen = student, {}

    def before_update(self, fraction):
        named = self.student.encoder.named_parameters()
        self.seen = self.seen or {name: p.grad.clone() for name, p in named if p.grad is not None}


def test_gradients_are_those_of_the_values_that_are_seen(teacher):
    """Straight through: as if the student had these values for its weights."""
    options, found = techniques["quantization_aware"].parse({"linears": 2, "embeddings": 3, "begins": 0.0}), []
    for is_rounded in (True, False):
        student = random_student(tiny_shape(layers=2), seed=1)
        hook = techniques["quantization_aware"].training(student, options, Context())
        if is_rounded:
            with torch.no_grad():
                for name, weight in student.encoder.named_parameters():
                    format = techniques["quantization_aware"].convert(student, options, Context()).formats.get(name)
                    weight.copy_(Grid(weight, format).nearest(weight) if format and format.bits < 32 else weight)
        distillation = techniques["distillation"].parse({})
        hooks = {"distillation": Distillation(student, distillation), "gradients": Gradients(student)}
        hooks |= {} if is_rounded else {"aware": hook}
        signal, rng = TeacherSignal(teacher, EXAMPLES), np.random.default_rng(0)
        recover(student, signal, distillation, hooks, steps=1, batch=6, rng=rng)
        found.append(hooks["gradients"].seen)
    assert found[0].keys() == found[1].keys() and len(found[0]) > 20
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_zeros_stay_zeros_under_levels(student, teacher):
    chosen = {"gradual_pruning": {"fraction": 0.6, "ends": 0.9}, "quantization_aware": {"linears": 3, "begins": 0.2}}
    made = learn(student, teacher, 50, **chosen)
    assert zeros(made).mean() == pytest.approx(0.6, abs=0.002)
    names = list(linears(made))
    assert {made.formats[name] for name in names} == {replace(usual_format(3), sparse=True)}
    assert set(names) == set(codes_of(made)) & set(names)
    for name, encoded in codes_of(made).items():
        assert np.array_equal(encoded.codes == 0, linears(made)[name] == 0)
    again = learn(made, teacher, 50, **chosen)
    assert np.all(zeros(again)[zeros(made)]) and set(codes_of(again)) == set(names)


@pytest.mark.parametrize("name", [name for name in techniques if techniques[name].stage < Stage.RECOVERY])
def test_both_compose_with_every_structure(name):
    """Its smallest setting, pruned and quantized in training, gives a file that answers as the student does."""
    student, context = contract_student(), contract_context()
    technique = techniques[name]
    options = technique.settle(student, next(grid(technique)), context)
    student = technique.prepare(student, options, context)
    chosen = {"gradual_pruning": {"fraction": 0.4}, "quantization_aware": {"linears": 3, "embeddings": 4}}
    made = learn(student, contract_student(), 4, **chosen)
    whole = set(linears(made)) - dict(made.encoder.shape.ranks).keys()
    parts = parts_of(made.encoder.shape)
    tables = {part.name for part in parts if part.kind == "table" and part.axes[0] != "token_types"}
    assert tables and codes_of(made).keys() == whole | tables
    expected, found = logits(made), file_logits(made)
    assert np.sqrt(np.mean((found - expected) ** 2)) < ROUNDED * expected.std()


def test_pairs_have_codes_of_their_token_types():
    student, teacher = (random_student(tiny_shape(layers=n), pairs=True) for n in (1, 3))
    pairs = [example._replace(pair="a film") for example in EXAMPLES]
    made = learn(student, teacher, 2, examples=pairs, quantization_aware={"embeddings": 2})
    assert set(codes_of(made)) == {f"embeddings.{table}.weight" for table in ("word", "position", "token_type")}
    model_of(made)

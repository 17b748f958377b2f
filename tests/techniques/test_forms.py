"""Low rank, shared layers, fewer tokens, texts apart: each technique's own function, and all of them in one plan."""

import numpy as np
import pytest
import torch

from autocomp.errors import InfeasiblePlan
from autocomp.models.encoder import plain_weights
from autocomp.models.linears import linear_groups
from autocomp.tasks import Example
from autocomp.techniques import Context, techniques
from autocomp.techniques._zeros import sparsify
from autocomp.techniques.layer_sharing import runs_of, shared_already
from autocomp.techniques.low_rank import factorize
from autocomp.techniques.token_elimination import schedule
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.technique_contract import is_changed
from autocomp.training.batches import encode
from autocomp.training.distillation import distil
from autocomp.training.teacher_signal import TeacherSignal


@pytest.fixture
def student():
    return random_student(tiny_shape(exits=(1, 2)))


def settled(name, student, **options):
    technique = techniques[name]
    return technique.settle(student, technique.parse(options), Context())


def prepared(name, student, **options):
    return techniques[name].prepare(student, settled(name, student, **options), Context())


def test_ranks_are_named_and_square_weights_stay_whole_where_factors_are_no_smaller(student):
    ranks = settled("low_rank", student, kept=0.5).per_group
    assert ranks == {g: 16 if "feed_forward" in g else 0 for g in linear_groups(student.encoder.shape)}
    assert settled("low_rank", student, kept=0.125).per_group is not None
    small = prepared("low_rank", student, kept=0.5)
    assert {rank for _, rank in small.encoder.shape.ranks} == {16} and len(small.encoder.shape.ranks) == 6
    technique = techniques["low_rank"]
    assert technique.describe(settled("low_rank", student, kept=0.5), student.encoder.shape) == "rank 16"


@pytest.mark.parametrize(("group", "rank"), [("blocks.0.feed_forward", 22), ("head.dense", 16)])
def test_a_rank_that_saves_nothing_is_refused_when_it_is_settled(student, group, rank):
    per_group = dict.fromkeys(linear_groups(student.encoder.shape), 0)
    assert settled("low_rank", student, per_group={**per_group, group: rank - 1}).per_group[group] == rank - 1
    with pytest.raises(InfeasiblePlan, match=f"low_rank.per_group.{group} = {rank}"):
        settled("low_rank", student, per_group={**per_group, group: rank})
    with pytest.raises(InfeasiblePlan, match="missing"):
        settled("low_rank", student, per_group={group: 1})


def test_sparsity_leaves_weights_of_low_rank_alone(student):
    per_group = dict.fromkeys(linear_groups(student.encoder.shape), 0) | {"blocks.1.feed_forward": 8}
    small = factorize(student, per_group)
    fractions = settled("sparsity", small, fraction=0.5).per_group
    assert fractions["blocks.1.feed_forward"] == 0 and fractions["blocks.0.feed_forward"] > 0.2
    sparse = sparsify(small, dict.fromkeys(fractions, 0.5))
    assert sparse.encoder.shape.ranks == small.encoder.shape.ranks
    assert not {name for name, _ in small.encoder.shape.ranks} & set(sparse.formats)


def test_the_schedule_falls_in_equal_steps_and_spares_the_first_layer():
    assert schedule(0.25, 3) == (1.0, 0.25, 1.0)
    assert schedule(0.25, 6) == (1.0, 0.5, 1.0, 0.5, 1.0, 1.0)
    assert schedule(0.25, 2) == (0.25, 1.0)
    for kept, depth in ((0.1, 12), (0.5, 6), (0.9, 2)):
        fractions = schedule(kept, depth)
        assert len(fractions) == depth and np.prod(fractions) == pytest.approx(kept, rel=0.02)
    assert schedule(0.2, 1) == (1.0,)


def test_tokens_are_left_behind(student):
    small = prepared("token_elimination", student, kept=0.25)
    assert small.encoder.shape.tokens == (1.0, 0.25, 1.0)
    ids = torch.arange(5, 21)[None]
    assert [h.shape[1] for h in small.encoder(ids, torch.ones_like(ids)).hidden] == [16, 16, 4, 4]
    words = techniques["token_elimination"].describe(settled("token_elimination", student, kept=0.25), None)
    assert words == "25 % of tokens to the last layer"
    with pytest.raises(InfeasiblePlan, match="3 layers"):
        settled("token_elimination", student, per_layer=(0.5, 1.0))


def test_texts_stay_together_where_there_is_one_or_one_layer(student):
    pairs = random_student(pairs=True)
    assert settled("local_attention", student, layers=2).layers == 0
    assert settled("local_attention", pairs, layers=9).layers == 2
    assert settled("local_attention", random_student(tiny_shape(layers=1), pairs=True), layers=1).layers == 0
    apart = prepared("local_attention", pairs, layers=2)
    assert apart.encoder.shape.local_layers == 2 and is_changed(pairs, apart)


def test_runs_of_layers():
    assert (runs_of(6, 3), runs_of(6, 4), runs_of(3, 1), runs_of(2, 5)) == ((3, 3), (4, 2), (1, 1, 1), (2,))
    assert shared_already((0, 0, 1, 0)) == (2, 1, 1)


@pytest.mark.parametrize("start", ["mean", "first"])
def test_neighbours_share_a_block(student, start):
    small = prepared("layer_sharing", student, layers=2, start=start)
    assert small.encoder.shape.order == (0, 0, 1) and len(small.encoder.blocks) == 2
    assert small.encoder.shape.exits == (1, 2)
    first, second, third = (block.attention.query.weight for block in student.encoder.blocks)
    expected = first if start == "first" else (first + second) / 2
    torch.testing.assert_close(small.encoder.blocks[0].attention.query.weight, expected)
    assert torch.equal(small.encoder.blocks[1].attention.query.weight, third)


def test_layers_that_share_blocks_already_are_left_as_they_are():
    shared = random_student(tiny_shape(layers=1).with_(order=(0, 0, 0)))
    assert not is_changed(shared, prepared("layer_sharing", shared, layers=2))
    technique = techniques["layer_sharing"]
    assert technique.describe(settled("layer_sharing", shared, layers=2), shared.encoder.shape) == ""


def test_layers_of_different_sizes_cannot_share(student):
    uneven = prepared("feed_forward", student, per_layer=(64, 32, 32))
    with pytest.raises(InfeasiblePlan, match="differ in size"):
        prepared("layer_sharing", uneven, layers=2)
    assert prepared("layer_sharing", uneven, runs=(1, 2)).encoder.shape.order == (0, 1, 1)
    with pytest.raises(InfeasiblePlan, match="3 layers"):
        settled("layer_sharing", student, runs=(2, 2))


def test_recovery_trains_a_student_of_all_forms_towards_its_teacher(student):
    teacher, texts = (
        random_student(tiny_shape(exits=(1, 2)), pairs=True),
        "the film was good and long and not bad".split(),
    )
    rng = np.random.default_rng(0)
    examples = [
        Example(" ".join(rng.permutation(texts)), " ".join(rng.permutation(texts)[:4]), int(i % 2)) for i in range(24)
    ]
    small = teacher
    for name, options in {
        "layer_sharing": {"layers": 2},
        "low_rank": {"kept": 0.5},
        "token_elimination": {"kept": 0.3},
        "local_attention": {"layers": 1},
    }.items():
        small = prepared(name, small, **options)
    shape = small.encoder.shape
    assert shape.order == (0, 0, 1) and shape.ranks and shape.tokens and shape.local_layers == 1
    data = encode(teacher, examples)
    from autocomp.training.predictions import divergence, predict

    logits = predict(teacher, data).logits
    before = divergence(small, logits, predict(small, data).logits)
    options = techniques["distillation"].parse({"relations": 0.5, "labels": 0.0, "learning_rate": 3e-3})
    distil(small, TeacherSignal(teacher, examples), options, steps=25, batch=8, rng=np.random.default_rng(0))
    assert divergence(small, logits, predict(small, data).logits) < 0.5 * before
    for name, rank in shape.ranks:
        assert np.linalg.matrix_rank(plain_weights(small.encoder)[name].numpy(), rtol=1e-4) <= rank

import copy

import numpy as np
import pytest
import torch

from autocomp.errors import InfeasiblePlan, ModelError
from autocomp.formats.factors import balanced_factors, multiplies, runs_as_two
from autocomp.models import slicing
from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.models.linears import group_sizes, scaled_magnitudes, stored_parameters
from autocomp.models.student import load_student, save_student
from autocomp.testing.models import random_student, scattered_encoder, tiny_shape

IDS = torch.randint(5, 300, (3, 12), generator=torch.Generator().manual_seed(1))
WIDE, SQUARE = "blocks.1.feed_forward.input.weight", "blocks.0.attention.key.weight"
RANKS = ((SQUARE, 4), (WIDE, 6))
SHAPE = tiny_shape().with_(ranks=RANKS)


def scattered(shape=SHAPE):
    return scattered_encoder(shape, torch.Generator().manual_seed(0))


def rank_of(encoder, name):
    return int(np.linalg.matrix_rank(plain_weights(encoder)[name].numpy(), rtol=1e-5))


def test_factors_are_balanced_and_the_best_of_their_rank():
    weight = np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)
    up, down = balanced_factors(weight, 5)
    assert up.shape == (12, 5) and down.shape == (5, 20) and up.dtype == down.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(up, axis=0), np.linalg.norm(down, axis=1), rtol=1e-4)
    values = np.linalg.svd(weight, compute_uv=False)
    assert np.linalg.norm(weight - up @ down) == pytest.approx(np.sqrt((values[5:] ** 2).sum()), rel=1e-4)


def test_names_stay_the_contract_and_weights_have_their_rank():
    encoder, plain = scattered(), plain_weights(scattered(tiny_shape()))
    weights = plain_weights(encoder)
    assert weights.keys() == plain.keys() and weights[WIDE].shape == plain[WIDE].shape
    assert (rank_of(encoder, WIDE), rank_of(encoder, SQUARE)) == (6, 4)
    changed = {name for name in weights if not torch.equal(weights[name], plain[name])}
    assert changed == {WIDE, SQUARE}


def test_a_weight_of_that_rank_is_kept():
    encoder = scattered()
    again = encoder_from(SHAPE, plain_weights(encoder))
    for name, weight in plain_weights(again).items():
        torch.testing.assert_close(weight, plain_weights(encoder)[name], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(again(IDS, torch.ones_like(IDS)).logits, encoder(IDS, torch.ones_like(IDS)).logits)


def test_training_stays_within_the_rank():
    encoder = scattered()
    before = plain_weights(encoder)[WIDE].clone()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        encoder(IDS, torch.ones_like(IDS)).logits.square().sum().backward()
        optimizer.step()
    assert not torch.allclose(plain_weights(encoder)[WIDE], before, atol=1e-3)
    assert (rank_of(encoder, WIDE), rank_of(encoder, SQUARE)) == (6, 4)


def test_stored_parameters_are_the_factors():
    sizes = {name: tuple(p.shape) for name, p in stored_parameters(scattered()).items()}
    assert WIDE not in sizes and (sizes[f"{WIDE}.up"], sizes[f"{WIDE}.down"]) == ((64, 6), (6, 32))
    assert len(sizes) == len(plain_weights(scattered())) + 2
    groups = group_sizes(scattered())
    assert groups["blocks.1.feed_forward"] == 64 * 32 + 6 * (64 + 32)
    assert groups["blocks.0.attention"] == 3 * 32 * 32 + 4 * 64
    assert len(scaled_magnitudes(scattered())["blocks.1.feed_forward"]) == 64 * 32


def test_slicing_carries_ranks_along_under_the_new_names():
    encoder = scattered()
    assert slicing.keep_layers(encoder, [1, 2]).shape.ranks == (("blocks.0.feed_forward.input.weight", 6),)
    assert slicing.keep_feed_forward(encoder, 1, range(4)).shape.ranks == ((SQUARE, 4), (WIDE, 4))
    assert slicing.keep_hidden(encoder, range(8)).shape.ranks == RANKS
    assert slicing.add_exits(encoder, [1], torch.Generator()).shape.ranks == RANKS
    shared = scattered(tiny_shape(layers=1).with_(order=(0, 0), ranks=((SQUARE, 4),)))
    own = slicing.unshare(shared)
    assert own.shape.ranks == ((SQUARE, 4), (SQUARE.replace("0", "1", 1), 4))
    torch.testing.assert_close(own(IDS, torch.ones_like(IDS)).logits, shared(IDS, torch.ones_like(IDS)).logits)


def test_keep_ranks_cuts_to_the_nearest_weight():
    encoder = scattered(tiny_shape())
    cut = slicing.keep_ranks(encoder, {WIDE: 6})
    up, down = balanced_factors(plain_weights(encoder)[WIDE].numpy(), 6)
    np.testing.assert_allclose(plain_weights(cut)[WIDE].numpy(), up @ down, atol=1e-5)
    assert slicing.keep_ranks(cut, {SQUARE: 4}).shape.ranks == RANKS


@pytest.mark.parametrize("ranks", [{WIDE: 22}, {SQUARE: 16}, {WIDE: 0}, {"embeddings.word.weight": 2}, {"x": 1}])
def test_a_rank_that_saves_nothing_is_infeasible(ranks):
    with pytest.raises(InfeasiblePlan, match="rank"):
        slicing.keep_ranks(scattered(tiny_shape()), ranks)
    assert slicing.keep_ranks(scattered(tiny_shape()), {WIDE: 21}).shape.ranks == ((WIDE, 21),)


def test_students_of_low_rank_can_be_copied_and_saved(tmp_path):
    student = random_student(SHAPE)
    copied = copy.deepcopy(student.encoder)
    assert torch.equal(copied(IDS, torch.ones_like(IDS)).logits, student.encoder(IDS, torch.ones_like(IDS)).logits)
    save_student(student, tmp_path / "s")
    loaded = load_student(tmp_path / "s")
    assert loaded.encoder.shape == SHAPE
    for name, weight in plain_weights(loaded.encoder).items():
        torch.testing.assert_close(weight, plain_weights(student.encoder)[name], atol=1e-5, rtol=1e-4)


def test_a_rank_for_no_parameter_is_refused():
    with pytest.raises(ModelError, match=r"blocks\.9|do not fit"):
        encoder_from(tiny_shape().with_(ranks=(("blocks.9.attention.key.weight", 2),)), plain_weights(scattered()))


def test_small_savings_are_multiplied_out():
    assert runs_as_two(48, 384, 384) and not runs_as_two(96, 384, 384)
    assert multiplies(96, 384, 384) == 384 * 384 and multiplies(192, 384, 1536) == 192 * (384 + 1536)

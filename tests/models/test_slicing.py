import pytest
import torch

from autocomp.architectures import BlockShape, architectures, parts_of
from autocomp.architectures._encoder import Encoder, Masks
from autocomp.errors import InfeasiblePlan
from autocomp.heads import HeadShape
from autocomp.models import slicing
from autocomp.models.encoder import plain_weights
from autocomp.models.student import weights_fingerprint
from autocomp.testing.models import scattered_encoder, tiny_shape

IDS = torch.randint(5, 300, (3, 12), generator=torch.Generator().manual_seed(1))
MASK = (torch.arange(12)[None] < torch.tensor([12, 7, 3])[:, None]).long()


def scattered(shape=None) -> Encoder:
    return scattered_encoder(shape or tiny_shape(exits=(0, 1, 2)), torch.Generator().manual_seed(0))


@torch.no_grad()
def run(encoder, masks=None):
    return encoder(IDS, MASK, masks=masks)


FACTORIZED = tiny_shape(exits=(1,)).with_(embedding_size=16)
SHARED = tiny_shape(layers=2, exits=(1,)).with_(order=(0, 0, 1, 1))
HEADLESS = tiny_shape().with_(head=HeadShape(3))


@pytest.mark.parametrize("shape", [tiny_shape(exits=(0, 1, 2)), FACTORIZED, SHARED, HEADLESS])
@pytest.mark.parametrize(
    "cut",
    [
        lambda e: slicing.keep_layers(e, range(e.shape.depth)),
        lambda e: slicing.keep_heads(e, 1, range(4)),
        lambda e: slicing.keep_feed_forward(e, 1, range(64)),
        lambda e: slicing.keep_hidden(e, range(32)),
        lambda e: slicing.keep_vocabulary(e, range(400)),
        lambda e: slicing.keep_positions(e, 64),
        lambda e: slicing.add_exits(e, e.shape.exits, torch.Generator()),
        slicing.unshare,
    ],
)
def test_keeping_all_changes_nothing(shape, cut):
    encoder = scattered(shape)
    before, kept = run(encoder), cut(encoder)
    after = run(kept)
    torch.testing.assert_close(after.logits, before.logits)
    assert after.exit_logits.keys() == before.exit_logits.keys()
    assert kept is not encoder and kept.embeddings.norm.weight is not encoder.embeddings.norm.weight


def test_removed_heads_equal_masked_heads_and_the_original_is_untouched():
    encoder = scattered()
    before = weights_fingerprint(plain_weights(encoder))
    masks = Masks(heads=[torch.ones(4), torch.tensor([0.0, 1, 0, 1]), torch.ones(4)])
    smaller = slicing.keep_heads(encoder, 1, [1, 3])
    torch.testing.assert_close(run(smaller).logits, run(encoder, masks).logits)
    assert [b.heads for b in smaller.shape.blocks] == [4, 2, 4]
    assert smaller.blocks[1].attention.query.weight.shape == (16, 32)
    assert weights_fingerprint(plain_weights(encoder)) == before and encoder.shape.blocks[1].heads == 4


def test_removed_neurons_equal_masked_neurons():
    encoder, kept = scattered(), list(range(0, 64, 2))
    mask = torch.zeros(64).index_fill(0, torch.tensor(kept), 1.0)
    masks = Masks(feed_forward=[torch.ones(64), torch.ones(64), mask])
    smaller = slicing.keep_feed_forward(encoder, 2, kept)
    torch.testing.assert_close(run(smaller).logits, run(encoder, masks).logits)
    assert smaller.blocks[2].feed_forward.output.weight.shape == (32, 32)


def test_a_shared_block_loses_its_heads_wherever_it_runs():
    encoder = scattered(SHARED)
    off = torch.tensor([1.0, 1, 1, 0])
    masks = Masks(heads=[off, off, torch.ones(4), torch.ones(4)])
    torch.testing.assert_close(run(slicing.keep_heads(encoder, 0, [0, 1, 2])).logits, run(encoder, masks).logits)


def test_layers_that_do_nothing_can_go():
    encoder = scattered()
    middle = encoder.blocks[1]
    with torch.no_grad():  # a layer whose sublayers are zero and whose norms are the previous norm undone
        for linear in (middle.attention.output, middle.feed_forward.output):
            linear.weight.zero_(), linear.bias.zero_()
        previous = encoder.blocks[0].feed_forward_norm
        for norm in (previous, middle.attention_norm, middle.feed_forward_norm):
            norm.weight.fill_(1.0), norm.bias.zero_()
    shorter = slicing.keep_layers(encoder, [0, 2])
    torch.testing.assert_close(run(shorter).logits, run(encoder).logits, atol=1e-4, rtol=1e-4)
    assert shorter.shape.depth == len(shorter.blocks) == 2


def test_exits_follow_their_layers():
    encoder = scattered(tiny_shape(layers=4, exits=(0, 1, 2, 3)))
    shorter = slicing.keep_layers(encoder, [1, 2, 3])
    assert shorter.shape.exits == (0, 1, 2)
    assert torch.equal(shorter.exits["1"].weight, encoder.exits["2"].weight)
    assert slicing.keep_layers(encoder, [0, 1]).shape.exits == (0, 1)
    assert set(run(slicing.keep_layers(encoder, [0, 3])).exit_logits) == {0, 1}


def test_layers_of_shared_blocks_stay_shared():
    encoder = scattered(SHARED)
    assert slicing.keep_layers(encoder, [0, 1, 3]).shape.order == (0, 0, 1)
    last = slicing.keep_layers(encoder, [2, 3])
    assert last.shape.order == (0, 0)
    assert torch.equal(last.blocks[0].attention.key.weight, encoder.blocks[1].attention.key.weight)


def test_unshared_depths_can_be_cut_differently():
    apart = slicing.keep_heads(slicing.unshare(scattered(SHARED)), 3, [0])
    assert [b.heads for b in apart.shape.blocks] == [4, 4, 4, 1]
    assert run(apart).logits.shape == (3, 2)


@pytest.mark.parametrize("shape", [tiny_shape(exits=(1,)), FACTORIZED, HEADLESS])
def test_hidden_units_go_everywhere(shape):
    encoder = scattered(shape)
    smaller = slicing.keep_hidden(encoder, list(range(0, 32, 4)))
    assert smaller.shape.hidden == 8
    assert smaller.shape.embedding_size == (16 if shape is FACTORIZED else 8)
    assert run(smaller).hidden[-1].shape == (3, 12, 8)
    assert torch.equal(smaller.blocks[0].attention.key.weight, encoder.blocks[0].attention.key.weight[:, ::4])
    assert torch.equal(smaller.blocks[0].attention.output.bias, encoder.blocks[0].attention.output.bias[::4])
    head = "head.classifier.weight" if shape is HEADLESS else "head.dense.weight"
    assert torch.equal(plain_weights(smaller)[head], plain_weights(encoder)[head][:, ::4])


def hidden_axes(encoder):
    """Every weight and axis on which the residual stream lies."""
    return [(part.name, part.axes.index("hidden")) for part in parts_of(encoder.shape) if "hidden" in part.axes]


def test_duplicated_hidden_units_can_go():
    """Norms see the same mean and variance when every unit is there twice, so half of them can go exactly."""
    encoder = scattered(tiny_shape().with_(head=HeadShape(2)))
    first = list(range(16))
    with torch.no_grad():
        for name, axis in hidden_axes(encoder):
            weight = dict(encoder.named_parameters())[name]
            half = weight.index_select(axis, torch.tensor(first))
            reads = axis == 1 and not name.startswith("embeddings")
            weight.copy_(torch.cat([half, half], axis) / (2 if reads else 1))
    expected = run(encoder).logits
    smaller = slicing.keep_hidden(encoder, first)
    with torch.no_grad():
        for name, axis in hidden_axes(smaller):
            if axis == 1 and not name.startswith("embeddings"):
                dict(smaller.named_parameters())[name].mul_(2)
    torch.testing.assert_close(run(smaller).logits, expected)


def test_vocabulary_rows_move_with_their_ids():
    encoder = scattered()
    kept = sorted(set(IDS.flatten().tolist()))
    smaller = slicing.keep_vocabulary(encoder, kept)
    ids = torch.tensor([[kept.index(i) for i in row] for row in IDS.tolist()])
    torch.testing.assert_close(smaller(ids, MASK).logits, run(encoder).logits)
    assert smaller.shape.vocabulary == len(kept)


def test_positions_are_cut_at_the_end():
    encoder = slicing.keep_positions(scattered(), 12)
    torch.testing.assert_close(run(encoder).logits, run(scattered()).logits)
    with pytest.raises(ValueError, match="12 positions"):
        encoder(torch.ones(1, 13).long(), torch.ones(1, 13).long())


def test_exits_are_added_by_the_generator_and_kept_where_they_are():
    encoder = scattered(tiny_shape(exits=(1,)))
    more = slicing.add_exits(encoder, [2, 1], torch.Generator().manual_seed(5))
    again = slicing.add_exits(encoder, [1, 2], torch.Generator().manual_seed(5))
    assert more.shape.exits == (1, 2)
    assert torch.equal(more.exits["1"].weight, encoder.exits["1"].weight)
    assert torch.equal(more.exits["2"].weight, again.exits["2"].weight)


def test_training_mode_dropout_and_effective_weights_are_kept():
    class Half(torch.nn.Module):
        def forward(self, x):
            return x / 2

    encoder = architectures["transformer"].module(tiny_shape(), 0.3)
    torch.nn.utils.parametrize.register_parametrization(encoder.blocks[0].attention.key, "weight", Half())
    smaller = slicing.keep_heads(encoder, 0, [0, 1])
    assert smaller.training and smaller.dropout == 0.3 and smaller.embeddings.dropout.p == 0.3
    assert torch.equal(smaller.blocks[0].attention.key.weight, encoder.blocks[0].attention.key.weight[:16])


@pytest.mark.parametrize(
    "cut",
    [
        lambda e: slicing.keep_layers(e, []),
        lambda e: slicing.keep_layers(e, [1, 0]),
        lambda e: slicing.keep_layers(e, [3]),
        lambda e: slicing.keep_heads(e, 0, [1, 1]),
        lambda e: slicing.keep_feed_forward(e, 0, [64]),
        lambda e: slicing.keep_hidden(e, [-1]),
        lambda e: slicing.keep_hidden(e, range(16)),
        lambda e: slicing.keep_vocabulary(e, [400]),
        lambda e: slicing.keep_positions(e, 65),
        lambda e: slicing.add_exits(e, [3], torch.Generator()),
    ],
)
def test_what_cannot_be_kept_is_infeasible(cut):
    with pytest.raises(InfeasiblePlan):
        cut(scattered(FACTORIZED))


def test_blocks_of_different_sizes_keep_them():
    blocks = (BlockShape(4, 8, 64), BlockShape(2, 16, 32), BlockShape(1, 4, 16))
    shorter = slicing.keep_layers(scattered(tiny_shape().with_(blocks=blocks)), [1, 2])
    assert shorter.shape.blocks == blocks[1:]

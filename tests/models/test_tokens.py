import json

import pytest
import torch

from autocomp.architectures import EncoderShape, kept_tokens
from autocomp.architectures._encoder import Masks
from autocomp.architectures._tokens import Tokens, rows_at
from autocomp.errors import InfeasiblePlan
from autocomp.models import slicing
from autocomp.testing.models import scattered_encoder, tiny_shape

MASK = (torch.arange(12)[None] < torch.tensor([12, 7, 3])[:, None]).long()
IDS = torch.randint(5, 300, (3, 12), generator=torch.Generator().manual_seed(1)) * MASK
SHRINKING = tiny_shape(exits=(1, 2)).with_(tokens=(0.5, 0.5, 0.1))


def scattered(shape):
    return scattered_encoder(shape, torch.Generator().manual_seed(0))


def test_kept_tokens_rounds_up_and_leaves_one():
    assert [kept_tokens(n, 100) for n in (1, 9, 10, 11, 20)] == [1, 1, 1, 2, 2]
    assert kept_tokens(torch.tensor([3, 7]), 500).tolist() == [2, 4]
    assert kept_tokens(128, 1000) == 128


def test_the_most_attended_go_on_after_the_first_one():
    weights = torch.zeros(1, 2, 5, 5)
    weights[0, 0, :, 3], weights[0, 1, :, 1], weights[0, 1, 0, 4] = 0.9, 0.2, 0.1
    tokens = Tokens.of_input(torch.ones(1, 5).long(), torch.tensor([[0, 0, 0, 1, 1]]))
    chosen = tokens.most_attended(weights, 600)
    assert chosen.tolist() == [[0, 3, 1]]
    kept = tokens.keep(chosen, 600)
    assert (kept.places.tolist(), kept.types.tolist(), kept.mask.tolist()) == ([[0, 3, 1]], [[0, 1, 0]], [[1, 1, 1]])


def test_padding_asks_for_nothing_and_goes_first():
    weights = torch.full((2, 1, 4, 4), 0.25)
    weights[1, :, :, 2:] = 0
    weights[1, :, 2:, :2] = torch.tensor([0.0, 9.0])  # what padding attends to
    tokens = Tokens.of_input(torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
    chosen = tokens.most_attended(weights, 750)
    assert chosen.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert tokens.keep(chosen, 750).mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_rows_are_taken_along_the_last_axis_but_one():
    x = torch.arange(24.0).view(1, 2, 4, 3)
    assert torch.equal(rows_at(x, torch.tensor([[3, 0]])), x[:, :, [3, 0]])
    assert torch.equal(rows_at(x[:, 0], torch.tensor([[3, 0]])), x[:, 0, [3, 0]])


def test_tokens_grow_fewer_and_the_last_layer_leaves_none():
    outputs = scattered(SHRINKING)(IDS, MASK)
    assert [h.shape[1] for h in outputs.hidden] == [12, 6, 3, 3]
    assert [t.mask.sum(1).tolist() for t in outputs.tokens] == [[12, 7, 3], [6, 4, 2], [3, 2, 1], [3, 2, 1]]
    assert all((t.places[:, 0] == 0).all() for t in outputs.tokens)
    assert outputs.queries.shape[2] == 3
    plain = scattered(SHRINKING.with_(tokens=()))(IDS, MASK)
    torch.testing.assert_close(outputs.hidden[0], plain.hidden[0])


def test_padding_changes_nothing():
    encoder = scattered(SHRINKING)
    alone, padded = encoder(IDS[1:2, :7], MASK[1:2, :7]), encoder(IDS, MASK)
    torch.testing.assert_close(alone.logits[0], padded.logits[1])
    for depth in (1, 2):
        torch.testing.assert_close(alone.exit_logits[depth][0], padded.exit_logits[depth][1])


def test_kept_states_are_those_of_the_whole_layer():
    """The tokens that go on read all tokens, those that are left behind included."""
    outputs, plain = (scattered(SHRINKING.with_(tokens=t))(IDS, MASK) for t in ((0.5, 1, 1), ()))
    kept = outputs.tokens[1]
    torch.testing.assert_close(outputs.hidden[1][0], plain.hidden[1][0, kept.places[0]])


def test_masks_of_one_change_nothing_and_record_gradients():
    encoder, masks = scattered(SHRINKING), Masks.ones(SHRINKING)
    outputs = encoder(IDS, MASK, masks=masks)
    torch.testing.assert_close(outputs.logits, encoder(IDS, MASK).logits)
    outputs.logits.sum().backward()
    assert all(m.grad.abs().sum() > 0 for m in (*masks.heads, *masks.feed_forward, masks.hidden))


def test_dropout_leaves_the_choice_alone_but_not_the_result():
    encoder = scattered_encoder(SHRINKING, torch.Generator().manual_seed(0)).train()
    encoder.blocks[0].attention.dropout = 0.5
    torch.manual_seed(0)
    first, second = encoder(IDS, MASK), encoder(IDS, MASK)
    assert torch.equal(first.tokens[1].places, second.tokens[1].places)
    assert not torch.equal(first.logits, second.logits)


def test_tokens_of_one_text_see_each_other_alone():
    types = torch.tensor([[0] * 5 + [1] * 7, [0] * 3 + [1] * 4 + [0] * 5, [0] * 12])
    encoder = scattered(tiny_shape().with_(local_layers=2))
    changed = IDS.clone()
    changed[0, 5:] = torch.arange(20, 27)
    before, after = (encoder(ids, MASK, types) for ids in (IDS, changed))
    for depth in (1, 2):
        torch.testing.assert_close(before.hidden[depth][0, :5], after.hidden[depth][0, :5])
        assert not torch.allclose(before.hidden[depth][0, 5:], after.hidden[depth][0, 5:])
    assert not torch.allclose(before.logits[0], after.logits[0]), "the texts meet in the last layer"
    torch.testing.assert_close(before.logits[2], scattered(tiny_shape())(IDS, MASK, types).logits[2])


def test_a_pair_in_a_batch_is_the_pair_alone():
    types = torch.tensor([[0] * 5 + [1] * 7, [0] * 3 + [1] * 4 + [0] * 5, [0] * 12])
    encoder = scattered(SHRINKING.with_(local_layers=1))
    alone = encoder(IDS[1:2, :7], MASK[1:2, :7], types[1:2, :7])
    torch.testing.assert_close(alone.logits[0], encoder(IDS, MASK, types).logits[1])


def test_slicing_carries_tokens_and_local_layers_along():
    shape = tiny_shape(layers=4, exits=(1,)).with_(tokens=(0.9, 0.8, 0.7, 0.6), local_layers=3)
    encoder = scattered(shape)
    cut = slicing.keep_layers(encoder, [0, 2, 3])
    assert (cut.shape.tokens, cut.shape.local_layers) == ((0.9, 0.7, 0.6), 2)
    assert slicing.keep_layers(encoder, [0, 1]).shape.local_layers == 1, "the texts must meet"
    for same in (
        slicing.keep_heads(encoder, 0, [0]),
        slicing.keep_hidden(encoder, range(16)),
        slicing.unshare(encoder),
    ):
        assert (same.shape.tokens, same.shape.local_layers) == (shape.tokens, 3)


def test_a_share_of_the_tokens_is_known_of_every_layer():
    assert SHRINKING.token_shares() == [(1.0, 0.5), (0.5, 0.25), (0.25, 0.25)]
    assert tiny_shape(layers=1).token_shares() == [(1.0, 1.0)]


def test_shapes_survive_json_and_old_ones_still_load():
    shape = SHRINKING.with_(ranks=(("blocks.0.attention.key.weight", 4),), local_layers=1)
    assert EncoderShape.from_json(json.loads(json.dumps(shape.to_json()))) == shape
    old = {k: v for k, v in tiny_shape().to_json().items() if k not in ("ranks", "tokens", "local_layers")}
    assert EncoderShape.from_json(old) == tiny_shape()


@pytest.mark.parametrize(
    "cut",
    [
        lambda e: slicing.keep_tokens(e, [0.5]),
        lambda e: slicing.keep_tokens(e, [0.5, 0, 1]),
        lambda e: slicing.keep_tokens(e, [0.5, 1.5, 1]),
        lambda e: slicing.keep_texts_apart(e, 3),
        lambda e: slicing.keep_texts_apart(e, -1),
    ],
)
def test_what_cannot_be_is_infeasible(cut):
    with pytest.raises(InfeasiblePlan):
        cut(scattered(tiny_shape()))

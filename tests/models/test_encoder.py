import pytest
import torch

from autocomp.architectures import BlockShape, architectures
from autocomp.architectures._encoder import Encoder, Masks
from autocomp.errors import ModelError
from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.testing.models import scattered_encoder, tiny_shape


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 300, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(12)[None] < torch.tensor([12, 7, 3])[:, None]).long()
    return ids * mask, mask


def scattered(**sizes) -> Encoder:
    return scattered_encoder(tiny_shape(**sizes), torch.Generator().manual_seed(0))


def test_outputs_have_the_promised_shapes(batch):
    outputs = scattered(exits=(1, 2), labels=3)(*batch)
    assert outputs.logits.shape == (3, 3)
    assert [h.shape for h in outputs.hidden] == [(3, 12, 32)] * 4
    assert {d: e.shape for d, e in outputs.exit_logits.items()} == {1: (3, 3), 2: (3, 3)}
    assert outputs.queries.shape == outputs.keys.shape == outputs.values.shape == (3, 4, 12, 8)


def test_padding_changes_nothing(batch):
    ids, mask = batch
    encoder = scattered(exits=(1,))
    alone, padded = encoder(ids[2:, :3], mask[2:, :3]), encoder(ids, mask)
    torch.testing.assert_close(alone.logits[0], padded.logits[2])
    torch.testing.assert_close(alone.exit_logits[1][0], padded.exit_logits[1][2])


def test_parameter_names_are_the_contract():
    shape = tiny_shape(layers=1, exits=()).with_(embedding_size=16, exits=(0,))
    names = set(architectures[shape.architecture].module(shape, 0.0).state_dict())
    block = {
        f"blocks.0.{part}.{kind}"
        for kind in ("weight", "bias")
        for part in (
            *(f"attention.{p}" for p in ("query", "key", "value", "output")),
            *("attention_norm", "feed_forward.input", "feed_forward.output", "feed_forward_norm"),
        )
    }
    assert names - block == {
        *(f"embeddings.{p}.weight" for p in ("word", "position", "token_type", "norm", "projection")),
        *("embeddings.norm.bias", "embeddings.projection.bias", "exits.0.weight", "exits.0.bias"),
        *(f"head.{p}.{k}" for p in ("dense", "classifier") for k in ("weight", "bias")),
    }
    assert block < names


def test_masks_of_one_change_nothing_and_record_gradients(batch):
    encoder = scattered()
    masks = Masks.ones(encoder.shape)
    outputs = encoder(*batch, masks=masks)
    torch.testing.assert_close(outputs.logits, encoder(*batch).logits)
    outputs.logits.sum().backward()
    every = [*masks.heads, *masks.feed_forward, masks.hidden]
    assert all(m.grad is not None and m.grad.abs().sum() > 0 for m in every)


def test_a_masked_head_equals_a_head_of_zero_values(batch):
    encoder = scattered()
    masks = Masks(heads=[torch.tensor([1.0, 0, 1, 1]), torch.ones(4), torch.ones(4)])
    masked = encoder(*batch, masks=masks).logits
    value = encoder.blocks[0].attention.value
    with torch.no_grad():
        value.weight[8:16], value.bias[8:16] = 0, 0
    torch.testing.assert_close(masked, encoder(*batch).logits)


def test_shared_blocks_equal_copies(batch):
    shared = scattered_encoder(tiny_shape(layers=1).with_(order=(0, 0)), torch.Generator().manual_seed(0))
    weights = plain_weights(shared)
    copies = {n.replace("blocks.0", "blocks.1"): w for n, w in weights.items() if "blocks.0" in n}
    copied = encoder_from(tiny_shape(layers=2), weights | copies)
    torch.testing.assert_close(shared(*batch).logits, copied(*batch).logits)


def test_blocks_may_differ_in_every_size(batch):
    blocks = (BlockShape(4, 8, 64), BlockShape(1, 16, 16), BlockShape(3, 4, 48))
    encoder = scattered_encoder(tiny_shape().with_(blocks=blocks), torch.Generator().manual_seed(0))
    assert encoder(*batch).keys.shape == (3, 3, 12, 4)


def test_dropout_acts_in_training_only(batch):
    encoder = encoder_from(tiny_shape(), plain_weights(scattered()), dropout=0.5)
    torch.manual_seed(0)
    encoder.train()
    assert not torch.equal(encoder(*batch).logits, encoder(*batch).logits)
    encoder.eval()
    assert torch.equal(encoder(*batch).logits, encoder(*batch).logits)


def test_a_cpu_attends_in_fp32_where_gradients_are_wanted_and_else_in_bf16(batch, monkeypatch):
    attention, seen = torch.nn.functional.scaled_dot_product_attention, []

    def spied(query, *args, **kwargs):
        seen.append(query.dtype)
        return attention(query, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spied)
    encoder = scattered()
    exact = encoder(*batch).logits
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            encoder(*batch)
        learning = encoder(*batch)
    learning.logits.float().sum().backward()
    assert seen == [torch.float32] * 3 + [torch.bfloat16] * 3 + [torch.float32] * 3
    assert learning.queries.dtype == torch.bfloat16, "what comes out is as without it"
    torch.testing.assert_close(learning.logits.float(), exact, atol=0.05, rtol=0.05)
    assert encoder.blocks[0].attention.query.weight.grad.abs().sum() > 0


def test_plain_weights_show_the_effective_value_of_a_parametrized_weight():
    class Half(torch.nn.Module):
        def forward(self, x):
            return x / 2

    encoder = scattered()
    before = plain_weights(encoder)
    torch.nn.utils.parametrize.register_parametrization(encoder.blocks[1].feed_forward.input, "weight", Half())
    after = plain_weights(encoder)
    assert after.keys() == before.keys()
    name = "blocks.1.feed_forward.input.weight"
    torch.testing.assert_close(after[name], before[name] / 2)


def test_too_many_tokens_and_wrong_weights_are_refused():
    encoder = scattered()
    with pytest.raises(ValueError, match="65 tokens, but the encoder has 64 positions"):
        encoder(torch.ones(1, 65).long(), torch.ones(1, 65).long())
    with pytest.raises(ModelError, match=r"blocks\.2"):
        encoder_from(tiny_shape(layers=3), plain_weights(scattered(layers=2)))

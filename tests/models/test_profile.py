import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.heads import HeadShape
from autocomp.models.profile import COMPONENTS, analytic, measured
from autocomp.testing.models import scattered_encoder, tiny_shape

BERT_BASE = EncoderShape(
    vocabulary=30522,
    positions=512,
    token_types=2,
    embedding_size=768,
    hidden=768,
    blocks=(BlockShape(12, 64, 3072),) * 12,
    order=tuple(range(12)),
    head=HeadShape(2, 768),
)
# BERT-base at 256 tokens, computed by hand from its published sizes: parameters, FP32 MB, million MACs.
# The pooler's line leaves the classifier out, which adds 1,538 parameters for two labels.
TABLE = {
    "embedding": (23_837_184, 95.35, 0.0),
    "linear_before_attention": (21_261_312, 85.05, 5435.8),
    "attention": (0, 0.0, 1208.0),
    "linear_after_attention": (7_087_104, 28.35, 1811.9),
    "feed_forward": (56_669_184, 226.68, 14495.5),
    "layer_norm": (36_864, 0.147, 0.0),
    "head": (590_592, 2.362, 0.59),
    "exits": (0, 0.0, 0.0),
}


def test_bert_base_equals_the_published_table():
    costs = {cost.component: cost for cost in analytic(BERT_BASE, 256)}
    assert set(costs) == set(TABLE) == set(COMPONENTS)
    for name, (parameters, megabytes, million_macs) in TABLE.items():
        assert costs[name].parameters == pytest.approx(parameters, rel=0.01), name
        assert costs[name].bytes / 1e6 == pytest.approx(megabytes, rel=0.01), name
        assert costs[name].macs / 1e6 == pytest.approx(million_macs, rel=0.01), name
        assert costs[name].flops == 2 * costs[name].macs
    assert sum(c.parameters for c in costs.values()) == pytest.approx(109_482_240, rel=0.001)
    assert sum(c.flops for c in costs.values()) / 1e6 == pytest.approx(45_903.6, rel=0.001)


@pytest.mark.parametrize(("tokens", "giga"), [(128, 22.35), (256, 45.90), (384, 70.67), (512, 96.64)])
def test_bert_base_flops_grow_with_length(tokens, giga):
    assert sum(cost.flops for cost in analytic(BERT_BASE, tokens)) / 1e9 == pytest.approx(giga, rel=0.002)


SHAPES = [
    tiny_shape(exits=(1,)),
    tiny_shape(layers=2).with_(embedding_size=16, order=(0, 1, 0, 1)),
    tiny_shape()
    .with_(head=HeadShape(3), token_types=0, blocks=(BlockShape(4, 8, 64), BlockShape(1, 4, 16)) * 2)
    .with_(order=(0, 1, 2, 3)),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_counts_are_those_of_the_module(shape):
    encoder = scattered_encoder(shape, torch.Generator().manual_seed(0))
    costs = analytic(shape, 20)
    assert sum(cost.parameters for cost in costs) == sum(p.numel() for p in encoder.parameters())
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # it cannot count the fused kernel
        encoder(torch.ones(1, 20).long(), torch.ones(1, 20).long())
    assert sum(cost.flops for cost in costs) == counter.get_total_flops()


def test_measuring_charges_every_component_and_leaves_the_encoder_alone():
    shape = tiny_shape(exits=(1,))
    encoder = scattered_encoder(shape, torch.Generator().manual_seed(0)).train()
    threads = torch.get_num_threads()
    found = {part.component: part for part in measured(encoder, 16, repeats=3)}
    assert set(found) == {*COMPONENTS, "other"}
    assert all(part.ms > 0 for part in found.values())
    assert encoder.training and torch.get_num_threads() == threads
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in encoder.modules())


def test_memory_is_what_the_component_makes():
    found = {part.component: part for part in measured(scattered_encoder(tiny_shape(), torch.Generator()), 16, 1)}
    hidden = 16 * 32 * 4
    assert found["linear_before_attention"].allocated_bytes == 3 * 3 * hidden
    assert found["linear_before_attention"].peak_bytes == hidden
    assert found["linear_after_attention"].allocated_bytes == 3 * hidden
    assert found["feed_forward"].peak_bytes == 2 * 16 * 64 * 4 + hidden
    assert found["exits"].allocated_bytes == 0


def test_time_goes_where_the_work_is():
    shape = tiny_shape(layers=2, feed_forward=2048, head_size=4).with_(hidden=256, embedding_size=256)
    encoder = scattered_encoder(shape, torch.Generator().manual_seed(0))
    found = {part.component: part.ms for part in measured(encoder, 64, repeats=5)}
    assert max(found, key=found.__getitem__) == "feed_forward"

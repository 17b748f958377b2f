"""Multiply-adds are counted from what ran; no test asserts a time."""

import numpy as np
import pytest

from autocomp.artifact.graph import optimized
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.inspection import speed as floors
from autocomp.inspection.speed import Rates, floor, gemm_rates, node_times
from autocomp.testing.models import tiny_shape

SHAPE = tiny_shape(layers=2, exits=(1,))
TOKENS = 10


@pytest.fixture
def write(kit):
    _, weights = kit.encoder(SHAPE)

    def made(threshold=None, fp32=()):
        names = [n for n, w in weights.items() if w.ndim == 2 and n not in fp32]
        formats = dict.fromkeys(names, WeightFormat(4))
        return write_model(SHAPE, weights, formats, pairs=False, exit_threshold=threshold)

    return made


def text(tokens=TOKENS):
    return {"input_ids": np.full((1, tokens), 7), "attention_mask": np.ones((1, tokens), np.int64)}


def by_hand(tokens, layers=2):
    """Multiply-adds of hidden size 32 and feed-forward 64; the last layer computes the first token only."""
    whole = 4 * 32 * 32 + 2 * 32 * 64
    last = 2 * 32 * 32 * tokens + 2 * 32 * 32 + 2 * 32 * 64
    return whole * tokens * (layers - 1) + last + 32 * 32 + 32 * 2


def test_all_products_are_counted(write, monkeypatch):
    monkeypatch.setattr(floors, "gemm_rates", lambda: Rates(int8=1000.0, fp32=100.0))
    found = floor(write(), [text()])
    assert (found.int8_macs, found.fp32_macs, found.ms) == (by_hand(10), 0, by_hand(10) / 1000)
    assert floor(write(), [text(), text(20)]).int8_macs == (by_hand(10) + by_hand(20)) / 2


def test_fp32_products_count_at_their_rate(write, monkeypatch):
    monkeypatch.setattr(floors, "gemm_rates", lambda: Rates(int8=1000.0, fp32=100.0))
    found = floor(write(fp32=["blocks.0.feed_forward.input.weight"]), [text()])
    assert found.fp32_macs == 32 * 64 * TOKENS and found.int8_macs == by_hand(TOKENS) - found.fp32_macs
    assert found.ms == pytest.approx(found.int8_macs / 1000 + found.fp32_macs / 100)


def test_layers_behind_an_exit_count_when_they_run(write, monkeypatch):
    monkeypatch.setattr(floors, "gemm_rates", lambda: Rates(int8=1000.0, fp32=100.0))
    left, went_on = (floor(write(threshold), [text()]).int8_macs for threshold in (0.0, 1.1))
    assert left == (4 * 32 * 32 + 2 * 32 * 64) * TOKENS + 32 * 2
    assert went_on == by_hand(TOKENS) + 32 * 2


def test_rates_are_positive_and_measured_once():
    rates = gemm_rates()
    assert rates.int8 > 0 and rates.fp32 > 0 and gemm_rates() is rates


def test_every_running_node_has_a_time(write, kit):
    model = write(threshold=1.1)
    running = optimized(model)
    times = node_times(running, [text(), text(12)], rounds=2)
    counted = kit.operators(model)
    for operator in ("Attention", "LayerNormalization", "DynamicQuantizeMatMul"):
        assert sum(t.operator == operator for t in times.values()) == counted[operator]
    assert all(t.us >= 0 for t in times.values()) and sum(t.us for t in times.values()) > 0
    first = next(n for n in running.graph.node if n.op_type == "LayerNormalization")
    assert times[first.output[0]].rows == 10 + 12

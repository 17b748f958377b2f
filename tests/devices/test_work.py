"""Work is counted from what the runtime runs; every number here is worked out by hand."""

import numpy as np
import pytest

from autocomp.devices.samples import NEVER, Sample, bert_shape, random_text, samples
from autocomp.devices.work import COUNTED, work

HIDDEN, HEADS, HEAD_SIZE, INNER, TOKENS = 32, 4, 8, 64, 10
LAYER = 4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER
#: The last layer computes keys and values of all tokens, and the rest of the first token alone.
LAST = 2 * HIDDEN * HIDDEN * TOKENS + 2 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER
DENSE, CLASSIFIER = HIDDEN * HIDDEN, 2 * HIDDEN


def counted(layers=2, int8=True, exit_threshold=None, tokens=TOKENS, **changes):
    shape = bert_shape(layers, HIDDEN, HEADS, HEAD_SIZE, INNER, exits=exit_threshold is not None).with_(**changes)
    model = Sample(shape, int8, exit_threshold, (tokens,)).write()
    [row] = work(model, [random_text(tokens)])
    return dict(zip(COUNTED, row.tolist(), strict=True))


def test_products():
    found = counted()
    assert found["int8_macs"] == LAYER * TOKENS + LAST + DENSE and found["fp32_macs"] == CLASSIFIER
    assert (found["int8_products"], found["fp32_products"], found["runs"]) == (2 * 6 + 1, 1, 1)
    assert (found["int8_weights"], found["fp32_weights"]) == (2 * LAYER + DENSE, CLASSIFIER)
    assert found["scaled"] == (5 * HIDDEN + INNER) * TOKENS + 2 * HIDDEN * TOKENS + 3 * HIDDEN + INNER + HIDDEN


def test_fp32_products():
    found = counted(int8=False)
    assert found["int8_macs"] == found["scaled"] == found["quantized"] == 0
    assert found["fp32_macs"] == LAYER * TOKENS + LAST + DENSE + CLASSIFIER
    assert found["fp32_weights"] == 2 * LAYER + DENSE + CLASSIFIER


def test_what_is_no_product():
    found = counted()
    assert found["attention_macs"] == 2 * HIDDEN * (TOKENS * TOKENS + TOKENS)
    assert found["attention_scores"] == HEADS * (TOKENS * TOKENS + TOKENS)
    assert found["activated"] == INNER * (TOKENS + 1) + HIDDEN
    assert found["normed"] == HIDDEN * (3 * TOKENS + 2)
    once_for_q_k_v, before_output, before_inner, before_outer = HIDDEN, HIDDEN, HIDDEN, INNER
    whole = (once_for_q_k_v + before_output + before_inner + before_outer) * TOKENS
    last = once_for_q_k_v * TOKENS + HIDDEN + before_output + before_inner + before_outer
    assert found["quantized"] == whole + last + HIDDEN
    assert found["other_kernels"] > 10 and found["other_bytes"] > 4 * HIDDEN * TOKENS


def test_layers_behind_an_exit_count_when_they_run():
    left, went_on = (counted(exit_threshold=threshold) for threshold in (0.0, NEVER))
    assert left["int8_macs"] == LAYER * TOKENS
    assert went_on["int8_macs"] == counted()["int8_macs"]
    assert went_on["other_kernels"] > counted()["other_kernels"]


def test_tokens_that_are_left_behind_do_no_work():
    shape = bert_shape(3, HIDDEN, HEADS, HEAD_SIZE, INNER).with_(tokens=(0.5, 1.0, 1.0))
    [row] = work(Sample(shape, True, None, (20,)).write(), [random_text(20)])
    feed_forward, kept, all_ = 2 * HIDDEN * INNER, 10, 20
    first = 3 * HIDDEN * HIDDEN * all_ + (HIDDEN * HIDDEN + feed_forward) * kept
    last = 2 * HIDDEN * HIDDEN * kept + 2 * HIDDEN * HIDDEN + feed_forward
    assert dict(zip(COUNTED, row, strict=True))["int8_macs"] == first + LAYER * kept + last + DENSE


def test_each_kind_of_text_is_profiled_once(monkeypatch):
    from autocomp.devices import work as module

    model = Sample(bert_shape(1, HIDDEN, HEADS, HEAD_SIZE, INNER), True, None, ()).write()
    given = []
    real = module.kernels
    monkeypatch.setattr(module, "kernels", lambda running, texts: given.append(len(texts)) or real(running, texts))
    found = work(model, [random_text(n) for n in (5, 8, 5, 5, 8)])
    assert given == [2]
    np.testing.assert_array_equal(found[[0, 1]], found[[2, 4]])
    assert found[0, 1:].sum() < found[1, 1:].sum()


def test_samples_are_the_same_everywhere_and_varied():
    drawn = samples(30)
    assert drawn == samples(30) and drawn[:8] == samples(8) and drawn != samples(30, seed=1)
    assert len({str(sample) for sample in drawn}) == 30
    assert 10 <= sum(s.int8 for s in drawn) <= 22 and 3 <= sum(s.exit_threshold is not None for s in drawn) <= 10
    assert {s.shape.depth for s in drawn} == {1, 2, 3, 4, 5, 6}
    assert "layers, hidden" in str(drawn[0])


@pytest.mark.parametrize("sample", samples(8)[3:8:4], ids=str)
def test_samples_can_be_written_and_run(sample):
    rows = work(sample.write(), [random_text(n) for n in sample.lengths])
    assert rows.shape == (len(sample.lengths), len(COUNTED)) and (np.diff(rows[:, COUNTED.index("normed")]) > 0).all()

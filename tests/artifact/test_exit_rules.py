"""Every exit rule: what numpy decides, the file does; thresholds are checked."""

import math

import numpy as np
import pytest

from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import write_model
from autocomp.errors import InputError, UnknownName
from autocomp.exit_rules import checked_threshold, exit_rules, left_at
from autocomp.testing.models import tiny_shape

THRESHOLDS = {
    "probability": (0.45, 0.6, 0.8),
    "entropy": (0.97, 0.9, 0.7),
    "margin": (0.1, 0.3, 0.6),
    "patience": (1.0, 2.0, 3.0),
}


def file_of(shape, weights, rule, threshold=0.5):
    return write_model(shape, weights, {}, pairs=False, exit_threshold=threshold, exit_rule=rule).SerializeToString()


@pytest.mark.parametrize("rule", exit_rules.names())
def test_the_file_leaves_where_numpy_does(kit, rule):
    """At batch > 1 only where every row may leave."""
    left, rows_disagree = [], 0
    for seed in range(20):
        rng = np.random.default_rng(200 + seed)
        shape = kit.shape(rng)
        if not shape.exits:
            continue
        encoder, weights = kit.encoder(shape, seed)
        file = file_of(shape, weights, rule)
        sessions = {t: open_session(file, exit_threshold=t) for t in THRESHOLDS[rule]}
        for rows in (1, 3):
            inputs = kit.batch(rng, shape, pairs=False, rows=rows)
            expected = kit.torch_outputs(encoder, inputs)
            heads = np.stack([expected.exit_logits[d].numpy() for d in shape.exits])
            for threshold in THRESHOLDS[rule]:
                alone = exit_rules[rule].sure(heads, threshold)
                together = alone.all(1)
                rows_disagree += int((alone.any(1) & ~together).any())
                depth = shape.exits[together.argmax()] if together.any() else shape.depth
                wanted = expected.exit_logits[depth] if together.any() else expected.logits
                logits, found = sessions[threshold].run(["logits", "exit_depth"], inputs)
                assert found == depth, (seed, rows, threshold)
                np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-4)
                left.append(bool(together.any()))
    assert 10 < sum(left) < len(left) - 10, "both ways are tested"
    assert rows_disagree > 2, "batches are tested whose rows are not sure alike"


@pytest.mark.parametrize("rule", exit_rules.names())
def test_the_default_stands_in_the_file_and_never_is_never(kit, rng, rule):
    shape = tiny_shape(layers=4, exits=(1, 2, 3))
    _, weights = kit.encoder(shape)
    inputs = kit.batch(rng, shape, pairs=False, rows=1)
    easy = {"probability": 0.01, "entropy": 1.0, "margin": 0.0, "patience": 1.0}[rule]
    file, never = file_of(shape, weights, rule, easy), checked_threshold(rule, "never")
    assert open_session(file).run(["exit_depth"], inputs)[0] == 1
    assert open_session(file, exit_threshold=never).run(["exit_depth"], inputs)[0] == 4
    never_taken = file_of(shape, weights, rule, never)
    assert open_session(never_taken, exit_threshold=easy).run(["exit_depth"], inputs)[0] == 1


def test_patience_counts_agreeing_heads_in_a_row():
    """Labels per head of four texts; the streak starts again when the label changes."""
    labels = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1]])
    heads = np.eye(2, dtype=np.float32)[labels]
    assert left_at("patience", heads, 1).tolist() == [0, 0, 0, 0]
    assert left_at("patience", heads, 2).tolist() == [1, 2, 3, 1]
    assert left_at("patience", heads, 3).tolist() == [2, 3, 4, 4]


def test_confidences_are_the_textbook_ones():
    logits = np.log(np.array([[[0.7, 0.2, 0.1]]]))
    entropy = -sum(p * math.log(p) for p in (0.7, 0.2, 0.1)) / math.log(3)
    for rule, value, later in [("probability", 0.7, 1e-6), ("entropy", entropy, -1e-6), ("margin", 0.5, 1e-6)]:
        assert exit_rules[rule].sure(logits, value - later).all()
        assert not exit_rules[rule].sure(logits, value + later).any()


@pytest.mark.parametrize("rule", exit_rules.names())
def test_a_grid_runs_from_early_to_late(rng, rule):
    heads = rng.normal(size=(4, 500, 3)) * 2
    means = [left_at(rule, heads, t).mean() for t in exit_rules[rule].grid]
    assert means == sorted(means) and means[0] < means[-1]
    assert all(exit_rules[rule].allows(t) and exit_rules[rule].describe(t) for t in exit_rules[rule].grid)


@pytest.mark.parametrize(
    ("rule", "threshold"), [("probability", 95), ("entropy", -0.1), ("margin", 2), ("patience", 0.9), ("patience", "x")]
)
def test_a_threshold_that_the_rule_cannot_have_is_refused(rule, threshold):
    with pytest.raises(InputError, match=f"exit_threshold = {threshold}: of the rule '{rule}' .* leaves later"):
        checked_threshold(rule, threshold)


def test_an_unknown_rule_is_named(kit):
    shape = tiny_shape(exits=(1,))
    _, weights = kit.encoder(shape)
    with pytest.raises(UnknownName, match="did you mean 'entropy'"):
        write_model(shape, weights, {}, pairs=False, exit_threshold=0.5, exit_rule="entrophy")


@pytest.mark.parametrize("name", exit_rules.names())
def test_nothing_meets_the_word_never(name):
    surest = np.tile(np.array([[[1e4, 0.0, -1e4]]], np.float32), (12, 1, 1))
    assert exit_rules[name].sure(surest, exit_rules[name].grid[0]).any(), (
        "the surest logits leave at the first threshold"
    )
    assert not exit_rules[name].sure(surest, checked_threshold(name, "never")).any()

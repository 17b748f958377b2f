"""Each technique's own function, directly."""

import itertools

import numpy as np
import pytest
import torch

from autocomp.errors import InfeasiblePlan, SpecError
from autocomp.formats import WeightFormat
from autocomp.models.importance import block_scores, measure_importance
from autocomp.models.linears import group_sizes, linear_groups, scaled_magnitudes
from autocomp.tasks import Example
from autocomp.techniques import Context, techniques
from autocomp.techniques._base import best, kept_counts, rounded
from autocomp.techniques._bits import set_embedding_bits, set_linear_bits
from autocomp.techniques._zeros import shared_out, sparsify
from autocomp.techniques.attention_heads import shrink_heads
from autocomp.techniques.depth import chosen_layers, shrink_depth
from autocomp.techniques.exits import set_threshold
from autocomp.techniques.feed_forward import shrink_feed_forward
from autocomp.techniques.hidden_size import shrink_hidden
from autocomp.techniques.linear_bits import WIDTHS, allocate
from autocomp.techniques.vocabulary import shrink_vocabulary
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.batches import collate, encode


@pytest.fixture
def student():
    return random_student(tiny_shape(exits=(1, 2)))


def settled(name, student, context=None, **options):
    technique = techniques[name]
    return technique.settle(student, technique.parse(options), context or Context())


@pytest.mark.parametrize(
    ("wanted", "size", "multiple", "expected"),
    [(0.2, 12, 1, 1), (6.4, 12, 1, 6), (300, 1536, 32, 288), (5, 1536, 32, 32), (72, 72, 32, 72), (10, 24, 32, 24)],
)
def test_rounded_counts(wanted, size, multiple, expected):
    assert rounded(wanted, size, multiple) == expected


def test_uniform_counts_keep_the_same_fraction_everywhere():
    scores = [np.arange(12.0), np.zeros(12), np.ones(6)]
    assert kept_counts(scores, 0.5, "uniform", 1) == (6, 6, 3)
    assert kept_counts(scores, 0.01, "uniform", 1) == (1, 1, 1)
    assert kept_counts([np.ones(72)], 1.0, "uniform", 32) == (72,)


def test_counts_by_importance_leave_more_where_few_parts_carry_little():
    scores = [np.array([5, 5, 5, 5.0]), np.array([16, 1, 1, 2.0])]
    assert kept_counts(scores, 5 / 8, "importance", 1) == (4, 1)
    assert kept_counts([100 * scores[0], scores[1]], 5 / 8, "importance", 1) == (4, 1), "a layer's scale says nothing"
    assert kept_counts(scores, 1.0, "importance", 1) == (4, 4)


def test_equal_parts_are_shared_out_evenly():
    assert kept_counts([np.ones(12), np.ones(12)], 0.5, "importance", 1) == (6, 6)
    assert kept_counts([np.zeros(8), np.zeros(8)], 0.25, "importance", 1) == (2, 2)
    dead = np.array([1.0] * 4 + [0.0] * 12)
    assert sum(kept_counts([dead, dead], 0.5, "importance", 1)) == 16, "parts that never matter are cut too"


def test_best_keeps_the_highest_in_order():
    assert best(np.array([0.1, 0.9, 0.5, 0.9]), 2) == [1, 3]
    assert best(np.ones(4), 2) == [0, 1]


@pytest.mark.parametrize(
    ("depth", "layers", "placement", "expected"),
    [(6, 2, "bottom", (0, 1)), (6, 2, "even", (0, 5)), (6, 3, "even", (0, 2, 5)), (6, 1, "even", (0,))],
)
def test_chosen_layers(depth, layers, placement, expected):
    assert chosen_layers(depth, layers, placement) == expected


def test_chosen_layers_are_always_distinct():
    for depth in range(1, 25):
        for layers, placement in itertools.product(range(1, depth + 1), ("even", "bottom")):
            kept = chosen_layers(depth, layers, placement)
            assert list(kept) == sorted(set(kept)) and len(kept) == layers and max(kept) < depth


def test_depth_keeps_those_layers_and_remembers_where_they_come_from(student):
    small = shrink_depth(student, (0, 2))
    assert small.origin == (0, 2)
    assert shrink_depth(small, (1,)).origin == (2,)
    kept = small.encoder.blocks[1].attention.query.weight
    assert torch.equal(kept, student.encoder.blocks[2].attention.query.weight)


def test_importance_decides_which_heads_go(student):
    scores = [np.array([0.1, 9.0, 0.2, 8.0])] * 3
    small = shrink_heads(student, (2, 4, 1), scores)
    assert [b.heads for b in small.encoder.shape.blocks] == [2, 4, 1]
    full = student.encoder.blocks[0].attention.query.weight.view(4, 8, 32)
    assert torch.equal(small.encoder.blocks[0].attention.query.weight.view(2, 8, 32), full[[1, 3]])
    assert torch.equal(
        small.encoder.blocks[2].attention.value.bias, student.encoder.blocks[2].attention.value.bias[8:16]
    )


def test_importance_decides_which_neurons_go(student):
    score = np.zeros(64)
    score[[3, 60]] = 1
    small = shrink_feed_forward(student, (2, 64, 64), [score] * 3)
    theirs = student.encoder.blocks[0].feed_forward
    assert torch.equal(small.encoder.blocks[0].feed_forward.input.weight, theirs.input.weight[[3, 60]])
    assert torch.equal(small.encoder.blocks[0].feed_forward.output.weight, theirs.output.weight[:, [3, 60]])


def test_importance_decides_which_hidden_dimensions_go(student):
    score = np.zeros(32)
    score[[5, 9, 31, 0, 1, 2, 3, 4]] = 1
    small = shrink_hidden(student, 8, score)
    kept = [0, 1, 2, 3, 4, 5, 9, 31]
    assert torch.equal(small.encoder.embeddings.word.weight, student.encoder.embeddings.word.weight[:, kept])


def test_a_student_of_fewer_layers_is_judged_by_the_layers_it_kept(student):
    importance = {f"heads.{depth}": np.full(4, float(depth)) for depth in range(3)}
    assert [s[0] for s in block_scores(shrink_depth(student, (0, 2)), importance, "heads")] == [0, 2]
    assert [s.tolist() for s in block_scores(student, {}, "heads")] == [[1, 1, 1, 1]] * 3


def test_measured_importance_finds_the_parts_that_do_nothing(student):
    with torch.no_grad():
        student.encoder.blocks[1].attention.output.weight[:, 8:16] = 0
        student.encoder.blocks[2].feed_forward.output.weight[:, 7] = 0
    data = encode(student, [Example("a good film", None, 1), Example("boring", None, 0), Example("bad", None, 0)])
    found = measure_importance(student.encoder, [collate(student, data, [0, 1]), collate(student, data, [2])])
    assert set(found) == {"hidden", *(f"{k}.{d}" for k in ("heads", "feed_forward") for d in range(3))}
    assert (found["heads.1"] == 0).tolist() == [False, True, False, False]
    assert np.flatnonzero(found["feed_forward.2"] == 0).tolist() == [7]
    assert found["hidden"].shape == (32,) and (found["hidden"] > 0).all()


def test_allocation_meets_the_mean_and_spares_what_minds():
    sizes = {"a": 100, "b": 100, "c": 200}
    error = {"a": 1.0, "b": 0.1, "c": 0.01}
    sensitivity = {g: {w: error[g] * 4.0 ** (2 - w) for w in (*WIDTHS, 32)} for g in sizes}
    for mean in (2, 2.5, 3, 3.5, 4, 5, 6, 8):
        bits = allocate(sizes, sensitivity, mean)
        spent = sum(bits[g] * sizes[g] for g in sizes) / 400
        assert spent <= mean
        assert bits["a"] >= bits["b"] >= bits["c"]
    assert allocate(sizes, sensitivity, 2) == dict.fromkeys(sizes, 2)
    assert allocate(sizes, sensitivity, 8) == dict.fromkeys(sizes, 8)
    assert allocate(sizes, sensitivity, 2.5)["a"] > allocate(sizes, sensitivity, 2.5)["c"] == 2


def test_allocation_is_near_the_best_of_all_ways():
    rng = np.random.default_rng(0)
    sizes = {str(i): int(n) for i, n in enumerate(rng.integers(50, 200, 4))}
    sensitivity = {g: {w: float(s) * 4.0 ** (2 - w) for w in WIDTHS} for g, s in zip(sizes, rng.random(4), strict=True)}

    def error(bits):
        return sum(sensitivity[g][b] for g, b in bits.items())

    budget = 3.5 * sum(sizes.values())
    ways = (dict(zip(sizes, w, strict=True)) for w in itertools.product(WIDTHS, repeat=4))
    least = min(error(w) for w in ways if sum(sizes[g] * b for g, b in w.items()) <= budget)
    assert error(allocate(sizes, sensitivity, 3.5)) <= 1.5 * least


def test_allocation_spends_nothing_where_it_gains_nothing():
    assert allocate({"a": 10}, {"a": dict.fromkeys(WIDTHS, 0.5)}, 8) == {"a": 2}


def test_bits_reach_the_linears_of_each_group_and_leave_sparse_ones_sparse(student):
    groups = linear_groups(student.encoder.shape)
    student.formats["blocks.0.attention.query.weight"] = WeightFormat(32, sparse=True)
    made = set_linear_bits(student, {**dict.fromkeys(groups, 4), "head.dense": 8})
    assert made.formats["blocks.0.attention.query.weight"] == WeightFormat(4, sparse=True)
    assert made.formats["head.dense.weight"] == WeightFormat(8)
    assert set(made.formats) == set(itertools.chain(*groups.values()))
    assert "head.classifier.weight" not in made.formats


@pytest.mark.parametrize(("bits", "expected"), [(8, 8), (3.5, 3), (2, 2), (32, 32), (12, 8), (31, 8)])
def test_without_sensitivities_all_groups_get_the_width_below_the_mean(student, bits, expected):
    assert set(settled("linear_bits", student, bits=bits).per_group.values()) == {expected}


@pytest.mark.parametrize("name", ["linear_bits", "sparsity"])
def test_values_per_group_must_name_each_group(student, name):
    value = {"linear_bits": 4, "sparsity": 0.5}[name]
    groups = dict.fromkeys(linear_groups(student.encoder.shape), value)
    assert settled(name, student, per_group=groups).per_group == groups
    with pytest.raises(InfeasiblePlan, match=r"missing \['head.dense'\], unknown \['other'\]"):
        groups.pop("head.dense")
        settled(name, student, per_group={**groups, "other": value})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear_bits", {"per_group": {"head.dense": 9}}),
        ("linear_bits", {"bits": 1}),
        ("sparsity", {"per_group": {"head.dense": 1.5}}),
        ("sparsity", {"fraction": 1.0}),
        ("depth", {"layers": 0}),
        ("embedding_bits", {"bits": 9}),
        ("exits", {"threshold": 0}),
        ("exits", {"rule": "entropy", "threshold": 2}),
        ("exits", {"rule": "patience", "threshold": 1.5}),
        ("exits", {"rule": "hope"}),
        ("feed_forward", {"allocation": "best"}),
        ("distillation", {"temperature": 0}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(SpecError, match=f"^a.yaml: {name}"):
        techniques[name].parse(options, "a.yaml", name)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("depth", {"kept": (1, 0)}),
        ("depth", {"kept": (0, 3)}),
        ("attention_heads", {"per_layer": (4, 4)}),
        ("attention_heads", {"per_layer": (4, 4, 5)}),
        ("feed_forward", {"per_layer": (64, 64, 0)}),
        ("hidden_size", {"size": 33}),
    ],
)
def test_exact_options_that_do_not_fit_are_infeasible(student, name, options):
    with pytest.raises(InfeasiblePlan, match=name):
        settled(name, student, **options)


def test_sparsity_takes_more_from_groups_of_small_weights():
    rng = np.random.default_rng(0)
    magnitudes = {"small": rng.random(3000) * 0.5, "large": rng.random(3000)}
    fractions = shared_out(magnitudes, 0.5)
    assert fractions["small"] > fractions["large"] > 0
    assert np.mean(list(fractions.values())) == pytest.approx(0.5, abs=1e-3)
    assert set(shared_out(magnitudes, 0.0).values()) == {0.0}


def test_the_smallest_weights_become_zero(student):
    groups = linear_groups(student.encoder.shape)
    made = sparsify(student, {**dict.fromkeys(groups, 0.6), "head.dense": 0.0})
    name = "blocks.1.feed_forward.input.weight"
    before, after = student.encoder.get_parameter(name), made.encoder.get_parameter(name)
    gone = after == 0
    assert gone.float().mean() == pytest.approx(0.6, abs=1e-3)
    assert torch.equal(after[~gone], before[~gone])
    assert before[gone].abs().max() <= before[~gone].abs().min()
    assert made.formats[name] == WeightFormat(32, sparse=True)
    assert "head.dense.weight" not in made.formats


def test_groups_cover_every_large_matrix_of_the_blocks(student):
    sizes = group_sizes(student.encoder)
    matrices = [w for n, w in student.encoder.named_parameters() if n.startswith("blocks.") and w.ndim == 2]
    assert sum(n for g, n in sizes.items() if g.startswith("blocks.")) == sum(w.numel() for w in matrices)
    assert {g: len(m) for g, m in scaled_magnitudes(student.encoder).items()} == sizes
    factorized = tiny_shape().with_(embedding_size=16)
    assert linear_groups(factorized)["embeddings.projection"] == ["embeddings.projection.weight"]


@pytest.mark.parametrize(
    ("pairs", "tables"), [(False, {"word", "position"}), (True, {"word", "position", "token_type"})]
)
def test_embedding_bits_name_the_tables_that_the_file_holds(pairs, tables):
    made = set_embedding_bits(random_student(pairs=pairs), 4)
    assert made.formats == {f"embeddings.{table}.weight": WeightFormat(4) for table in tables}


def test_a_threshold_needs_exit_heads(student):
    assert set_threshold(student, 0.9).exit_threshold == 0.9
    assert set_threshold(student, 1.0).exit_threshold is None
    assert set_threshold(random_student(), 0.9).exit_threshold is None


@pytest.mark.parametrize(
    ("rule", "threshold", "words"),
    [
        ("probability", 0.95, "exits at 0.95"),
        ("entropy", 0.2, "exits at entropy 0.2"),
        ("margin", 0.8, "exits at margin 0.8"),
        ("patience", 2, "exits after 2 agreeing heads"),
    ],
)
def test_every_exit_rule_is_set_and_described(student, rule, threshold, words):
    exits = techniques["exits"]
    options = exits.parse({"rule": rule, "threshold": threshold})
    made = exits.convert(student, options, None)
    assert (made.exit_rule, made.exit_threshold) == (rule, threshold)
    assert exits.describe(options, student.encoder.shape) == words
    off = exits.parse({"rule": rule})
    assert exits.convert(student, off, None).exit_threshold is None
    assert exits.describe(off, student.encoder.shape) == ""


def test_a_smaller_vocabulary_keeps_frequent_pieces_with_their_rows(student):
    small = shrink_vocabulary(student, 250, {"good": 50, "film": 40, "the": 1})
    assert small.encoder.shape.vocabulary == small.tokenizer.get_vocab_size() == 250
    for piece in ("good", "film", "[CLS]"):
        old, new = (s.encoder.embeddings.word.weight[s.tokenizer.token_to_id(piece)] for s in (student, small))
        assert torch.equal(old, new)
    assert "[UNK]" not in small.tokenizer.encode("an unforgettable film").tokens


def test_the_number_system_reaches_the_linears_and_leaves_sparse_ones_sparse(student):
    student.formats["blocks.0.attention.query.weight"] = WeightFormat(32, sparse=True)
    options = techniques["number_system"].parse({"bits": 3, "numbers": "codebook", "outliers": 0.001, "scales": 32})
    made = techniques["number_system"].convert(student, options, Context())
    assert made.formats["blocks.0.attention.query.weight"] == WeightFormat(3, True, "codebook", outliers=0.001)
    assert made.formats["head.dense.weight"] == WeightFormat(3, numbers="codebook", outliers=0.001)
    grouped = techniques["number_system"].parse({"bits": 4, "scales": 32})
    assert techniques["number_system"].convert(student, grouped, Context()).formats["head.dense.weight"].group == 32
    slow = techniques["number_system"].parse({"bits": 4, "weight_only": True})
    assert not techniques["number_system"].convert(student, slow, Context()).formats["head.dense.weight"].runs_int8
    assert techniques["number_system"].describe(slow, student.encoder.shape).endswith("computed in FP32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 4, "numbers": "posit"}, "must be one of adaptivfloat"),
        ({"bits": 2, "numbers": "adaptivfloat"}, "adaptivfloat codes have 3, 4, 5, 6, 7, 8 bits, not 2"),
        ({"bits": 4, "scales": 1}, "at least 2 weights"),
    ],
)
def test_number_systems_that_do_not_exist_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        techniques["number_system"].parse(options, "a.yaml", "number_system")

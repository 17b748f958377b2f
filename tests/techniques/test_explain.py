"""The sentences that a card says of a plan."""

import pytest

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.exit_rules import exit_rules
from autocomp.heads import HeadShape
from autocomp.techniques import Options, Stage, Technique, techniques

TEACHER = EncoderShape(30_522, 512, 2, 384, 384, (BlockShape(12, 32, 1536),) * 6, tuple(range(6)), HeadShape(2, 384))
BITS = {"blocks.0.attention": 2, "blocks.0.feed_forward": 3, "blocks.1.attention": 2, "head.dense": 2}
SAID = [
    ("attention_heads", {"per_layer": [6, 4]}, "Its layers keep 6 and 4 of 12 attention heads"),
    ("depth", {"layers": 2, "kept": [0, 1]}, "Keeps 2 of the teacher's 6 layers: the lowest 2."),
    (
        "architecture",
        {"kind": "static", "dimensions": 128, "pairs": 8192},
        "It is no transformer but the weighted mean of word vectors and hashed word pairs, and one hidden layer: no "
        "layers, 128 dimensions, 8,192 rows for word pairs",
    ),
    ("depth", {"layers": 2, "kept": [0, 5]}, "Keeps 2 of the teacher's 6 layers: numbers 1 and 6 from below."),
    ("depth", {"layers": 1}, "Keeps 1 of the teacher's 6 layers: the lowest one."),
    ("distillation", {"hidden": 0}, "It was trained again, to follow the teacher's answers and the labels."),
    ("embedding_bits", {"bits": 4}, "Numbers of the embedding tables take 4 bits instead of 32."),
    (
        "exits",
        {"threshold": 0.9},
        "A text is answered before the last layer as soon as the head after a layer is at least 90",
    ),
    ("feed_forward", {"per_layer": [768, 768]}, "Every layer keeps 768 of 1,536 feed-forward neurons"),
    (
        "gradual_pruning",
        {"fraction": 0.6},
        "60 % of the linear weights, the smallest ones, are zero and left out of the file; they went little by little",
    ),
    ("hidden_size", {"size": 256}, "Between layers a token is 256 numbers instead of 384."),
    ("layer_sharing", {"layers": 3, "runs": [3, 3]}, "6 layers share 2 sets of weights"),
    ("linear_bits", {"bits": 4}, "Weights of the linear layers take 4 bits each instead of 32."),
    (
        "linear_bits",
        {"bits": 2.5, "per_group": BITS},
        "Weights of the linear layers take 2 bits each instead of 32; 3 in",
    ),
    ("local_attention", {"layers": 2}, "In the lowest 2 layers a token sees only its own text of the pair."),
    (
        "low_rank",
        {"kept": 0.5, "per_group": {"a": 96, "b": 128, "c": 0}},
        "Weight matrices are stored as two thin factors",
    ),
    (
        "number_system",
        {"bits": 3, "numbers": "codebook", "outliers": 0.001},
        "Weights of the linear layers take 3 bits each",
    ),
    (
        "quantization_aware",
        {"linears": 3, "embeddings": 2},
        "Weights of the linear layers take 3 bits each and numbers of the embedding tables take 2 bits each, and",
    ),
    ("sparsity", {"fraction": 0.5}, "50 % of the linear weights, the smallest ones, are zero"),
    (
        "token_elimination",
        {"kept": 0.5, "per_layer": [1, 0.5, 1]},
        "Tokens that nothing attends to are left behind: 50 %",
    ),
    ("vocabulary", {"pieces": 4000}, "Knows 4,000 of the teacher's 30,522 word pieces"),
]


@pytest.mark.parametrize(("name", "options", "said"), SAID)
def test_a_technique_says_what_it_did(name, options, said):
    technique = techniques[name]
    words = technique.explain(technique.parse(options), TEACHER)
    assert words.startswith(said) and words.endswith(".") and "\n" not in words


def test_every_technique_has_a_sentence_of_its_own():
    assert {name for name, _, _ in SAID} == set(techniques)
    assert [name for name in techniques if "explain" not in vars(type(techniques[name]))] == []


@pytest.mark.parametrize("name", [n for n in techniques if techniques[n].stage is not Stage.RECOVERY])
def test_where_nothing_changes_nothing_is_said(name):
    technique = techniques[name]
    assert technique.explain(technique.parse({}), TEACHER) == technique.describe(technique.parse({}), TEACHER) == ""


def test_a_technique_of_somebody_else_says_its_short_words():
    class Folding(Technique[Options]):
        Options = Options

        def describe(self, options, teacher):
            return "folded twice"

    assert Folding().explain(Options(), TEACHER) == "Folded twice."


@pytest.mark.parametrize("rule", exit_rules.names())
def test_every_rule_of_exits_ends_the_sentence(rule):
    for threshold in exit_rules[rule].grid[:-1]:
        assert exit_rules[rule].explain(threshold).startswith(("as soon as", "after"))

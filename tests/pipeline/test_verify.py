"""A fault anywhere in a file is found, and named where it is."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from autocomp.artifact.graph import optimized
from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import write_model
from autocomp.errors import ExportMismatch
from autocomp.formats import WeightFormat
from autocomp.inspection.session_check import check_session, norm_states, without_exits
from autocomp.models.encoder import plain_weights
from autocomp.pipeline.verify import MOST_STATE_ERROR, Answer, check_parity, in_8_bits, part_errors
from autocomp.tasks import Example
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.batches import encode

SHAPE = tiny_shape(layers=2, exits=(1,)).with_(embedding_size=24, order=(0, 1, 0))
TEXTS = ["a great movie", "what a terrible way to spend some time, and long", "now ignore all previous instructions"]


@pytest.fixture(scope="module")
def student():
    return random_student(SHAPE)


@pytest.fixture(scope="module")
def data(student):
    return encode(student, [Example(text, None, 0) for text in TEXTS])


@pytest.fixture
def write(student):
    """`write(bits, threshold, changed={name: function})`: the student as stored, its file with weights changed."""

    def made(bits=4, threshold=None, sparse=False, changed=(), **format):
        weights = {n: w.numpy() for n, w in plain_weights(student.encoder).items()}
        if sparse:
            weights = {n: np.where(np.abs(w) < 0.1, 0, w) if w.ndim == 2 else w for n, w in weights.items()}
        matrices = [n for n, w in weights.items() if w.ndim == 2 and "token_type" not in n]
        formats = dict.fromkeys(matrices, WeightFormat(bits, sparse, **format))
        in_file = {**weights, **{name: change(weights[name]) for name, change in dict(changed).items()}}
        model = write_model(SHAPE, in_file, formats, pairs=False, exit_threshold=threshold)
        made = replace(student, formats=formats, exit_threshold=threshold)
        if sparse:
            made = replace(made, encoder=random_student(SHAPE).encoder)
            made.encoder.load_state_dict({n: torch.from_numpy(w) for n, w in weights.items()})
        return made, model

    return made


def answers(model, data):
    texts = [{"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]} for ids in data.ids]
    session = open_session(model.SerializeToString())
    run = (session.run(["logits", "exit_depth"], text) for text in texts)
    return [Answer(s, logits, int(depth)) for s, (logits, depth) in zip(norm_states(model, texts), run, strict=True)]


def double(weight):
    return weight * 2


def one_row(weight):
    changed = weight.copy()
    changed[3] = -changed[3]
    return changed


FORMATS = [
    {"bits": 2},
    {"bits": 3, "sparse": True},
    {"bits": 8, "group": 0},
    {"bits": 3, "group": 8, "outliers": 0.01},
    {"bits": 3, "numbers": "codebook"},
    {"bits": 2, "numbers": "levels"},
    {"bits": 4, "numbers": "adaptivfloat"},
    {"bits": 16, "numbers": "bfloat16"},
    {"bits": 4, "weight_only": True},
    {"bits": 32},
]


@pytest.mark.parametrize("threshold", [None, 0.0])
@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_clean_files_pass_with_room(write, data, format, threshold):
    made, model = write(threshold=threshold, **format)
    check_session(model, {name: stored.runs_int8 for name, stored in made.formats.items()})
    found = part_errors(made, data, answers(model, data))
    heads = ["exits.1"] if threshold == 0.0 else ["head"]
    blocks = [f"blocks.{b}.{part}" for b in SHAPE.order for part in ("attention", "feed_forward")]
    assert [name for name, _ in found] == ["embeddings", *blocks, *heads]
    assert max(error for _, error in found) < MOST_STATE_ERROR / 10
    check_parity(made, data, answers(model, data))


@pytest.mark.parametrize("bits", [3, 32])
@pytest.mark.parametrize(
    ("weight", "change", "named"),
    [
        ("embeddings.word.weight", double, "embeddings"),
        ("embeddings.projection.bias", double, "blocks.0.attention"),
        ("blocks.0.attention.key.weight", double, "blocks.0.attention"),
        ("blocks.1.attention.value.weight", one_row, "blocks.1.attention"),
        ("blocks.1.feed_forward.input.weight", one_row, "blocks.1.feed_forward"),
        ("blocks.1.feed_forward.output.bias", double, "blocks.1.feed_forward"),
        ("blocks.1.feed_forward_norm.weight", one_row, "blocks.1.feed_forward"),
        ("head.dense.weight", one_row, "head"),
    ],
)
def test_a_fault_is_named_where_it_is(write, data, weight, change, named, bits):
    made, model = write(bits, changed={weight: change})
    with pytest.raises(ExportMismatch, match=rf"^{named}: the file's values are [\d.]+% away"):
        check_parity(made, data, answers(model, data))


@pytest.mark.parametrize(("bits", "runs_as"), [(4, "one"), (4, "two"), (32, "two")])
def test_weights_of_low_rank_pass(data, bits, runs_as, monkeypatch):
    """Multiplied out and rounded at load, or two products with the values between them rounded."""
    for module in ("artifact.weights", "formats.factors"):
        monkeypatch.setattr(f"autocomp.{module}.runs_as_two", lambda *_: runs_as == "two")
    monkeypatch.setattr("autocomp.pipeline.verify.runs_as_two", lambda *_: runs_as == "two")
    names = ("blocks.0.feed_forward.input.weight", "blocks.1.attention.value.weight")
    made = random_student(SHAPE.with_(ranks=tuple((name, 6) for name in names)))
    weights = {n: w.numpy() for n, w in plain_weights(made.encoder).items()}
    formats = {n: WeightFormat(bits) for n, w in weights.items() if n.startswith("blocks.") and w.ndim == 2}
    made = replace(made, formats=formats)
    model = write_model(made.encoder.shape, weights, formats, pairs=False)
    check_session(model, {name: stored.runs_int8 for name, stored in formats.items()})
    assert max(error for _, error in part_errors(made, data, answers(model, data))) < MOST_STATE_ERROR / 10
    wrong = {**weights, names[0]: -weights[names[0]]}
    wrong_model = write_model(made.encoder.shape, wrong, formats, pairs=False)
    with pytest.raises(ExportMismatch, match=r"^blocks\.0\.feed_forward: "):
        check_parity(made, data, answers(wrong_model, data))


def test_a_fault_stays_where_it_is(write, data):
    """Later parts go on with the file's states, and are found in order."""
    made, model = write(8, changed={"blocks.1.attention.output.weight": double})
    wrong = [name for name, error in part_errors(made, data, answers(model, data)) if error > MOST_STATE_ERROR]
    assert wrong == ["blocks.1.attention"]


def test_an_exit_head_is_compared_where_it_is_taken(write, data):
    made, model = write(8, threshold=0.0, changed={"exits.1.weight": double})
    with pytest.raises(ExportMismatch, match=r"^exits\.1: "):
        check_parity(made, data, answers(model, data))


def test_values_that_are_not_numbers_are_named(write, data):
    made, model = write(32, changed={"blocks.1.attention.query.bias": lambda bias: bias * np.float32("nan")})
    with pytest.raises(ExportMismatch, match=r"^blocks\.1\.attention: the file's values are nan% away"):
        check_parity(made, data, answers(model, data))


def test_another_number_of_layers_is_refused(student, write, data):
    made, model = write(32)
    deeper = random_student(SHAPE.with_(order=(0, 1, 0, 1)))
    with pytest.raises(ExportMismatch, match="the file has 7 layer norms, the student runs 9"):
        check_parity(deeper, data, answers(model, data))
    shallower = random_student(SHAPE.with_(order=(0, 1)))
    with pytest.raises(ExportMismatch, match="the file has 7 layer norms, the student runs 5"):
        check_parity(shallower, data, answers(model, data))
    check_parity(made, data, answers(model, data))


@pytest.mark.parametrize("bits", [3, 32])
@pytest.mark.parametrize("threshold", [None, 0.0])
def test_the_running_graph_has_the_same_states(write, data, bits, threshold):
    _, model = write(bits, threshold)
    texts = [{"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]} for ids in data.ids]
    for mine, same in zip(norm_states(model, texts), norm_states(model, texts, optimized(model)), strict=True):
        assert len(mine) == 7
        for one, other in zip(mine, same, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_file_without_exits_computes_all_layers(write, data):
    _, model = write(8, threshold=0.0)
    flat = without_exits(model)
    onnx.checker.check_model(flat)
    assert "If" not in {node.op_type for node in flat.graph.node}
    full = [logits.logits for logits in answers(write(8)[1], data)]
    np.testing.assert_allclose([a.logits for a in answers(flat, data)], full, atol=1e-5)
    assert {a.depth for a in answers(flat, data)} == {3} != {a.depth for a in answers(model, data)}


def test_rounding_is_that_of_the_runtime():
    """As DynamicQuantizeLinear defines it, against the operator itself."""
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0)) + 0.3
    node = onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "scale", "zero"])
    tensor = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None)
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = onnx.helper.make_graph([node], "g", [tensor], outputs)
    opsets = [onnx.helper.make_opsetid("", 21)]
    session = open_session(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    codes, scale, zero = session.run(None, {"x": x.numpy()})
    np.testing.assert_allclose(in_8_bits(x, x).numpy(), (codes.astype(np.float32) - zero) * scale, atol=1e-6)
    assert len(np.unique(in_8_bits(x, x[:, :1])[:, 1:])) <= 256

"""The check after building a session: clean files pass, and every fault is found and named."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autocomp.artifact.graph import optimized, walk
from autocomp.artifact.writer import plain_int8, write_model
from autocomp.errors import ExportMismatch
from autocomp.formats import WeightFormat
from autocomp.inspection import session_check
from autocomp.inspection.matmuls import products
from autocomp.inspection.session_check import check_session
from autocomp.testing.models import tiny_shape

SHAPE = tiny_shape(layers=2, exits=(1, 2)).with_(embedding_size=24, order=(0, 1, 0))
LINEARS = ["attention.query", "attention.key", "attention.value", "attention.output"]
LINEARS += ["feed_forward.input", "feed_forward.output"]


@pytest.fixture
def weights(kit):
    return kit.encoder(SHAPE)[1]


@pytest.fixture
def write(weights):
    """`write(bits, …)`: a file with all matrices in one format, but for those of `fp32`; and which run in int8."""

    def made(bits=4, sparse=False, threshold=None, fp32=()):
        names = [n for n, w in weights.items() if w.ndim == 2 and n not in fp32]
        formats = dict.fromkeys(names, WeightFormat(bits, sparse))
        model = write_model(SHAPE, weights, formats, pairs=True, exit_threshold=threshold)
        return model, dict.fromkeys(names, bits <= 8)

    return made


@pytest.mark.parametrize("threshold", [None, 0.9])
@pytest.mark.parametrize(("bits", "sparse"), [(2, False), (3, True), (32, False)])
def test_clean_files_pass(write, bits, sparse, threshold):
    model, int8 = write(bits, sparse, threshold)
    check_session(model, int8)
    check_session(model)


@pytest.mark.parametrize("threshold", [None, 0.9])
def test_every_product_is_traced_to_its_layer(write, threshold):
    model, _ = write(3, True, threshold, fp32=["blocks.1.feed_forward.input.weight"])
    found = products(model, optimized(model))
    exits = [] if threshold is None else ["exits.1", "exits.2"]
    blocks = [[f"blocks.{b}.{name}" for name in LINEARS] for b in SHAPE.order]
    middle = [*blocks[0], *exits[:1], *blocks[1], *exits[1:], *blocks[2]]
    expected = ["embeddings.projection", *middle, "head.dense", "head.classifier"]
    assert [layer for p in found for layer in p.layers] == expected
    assert {p.layers[0] for p in found if not p.is_int8} == {"blocks.1.feed_forward.input"}
    sizes = {p.layers[0]: p.size for p in found}
    assert sizes["blocks.0.feed_forward.input"] == (32, 64) and sizes["blocks.0.feed_forward.output"] == (64, 32)


def test_equal_weights_are_stored_once_and_still_pass(kit, weights):
    same = {n.replace("blocks.0", "blocks.1"): w for n, w in weights.items() if n.startswith("blocks.0")}
    weights = {**weights, **same}
    formats = {n: WeightFormat(4) for n, w in weights.items() if w.ndim == 2}
    model = write_model(SHAPE, weights, formats, pairs=True)
    check_session(model, dict.fromkeys(formats, True))
    assert len(products(model, optimized(model))) == 1 + 6 * SHAPE.depth + 2


@pytest.mark.parametrize("name", ["blocks.0.attention.key", "blocks.1.feed_forward.output", "head.dense", "exits.2"])
def test_a_linear_written_in_fp32_is_named(write, name):
    model, int8 = write(4, threshold=0.9, fp32=[f"{name}.weight"])
    with pytest.raises(ExportMismatch, match=rf"^{name}: the plan says int8, the runtime runs (MatMul|Gemm|FusedGemm)"):
        check_session(model, {**int8, f"{name}.weight": True})


def test_a_linear_that_should_be_fp32_is_named(write):
    model, int8 = write(8)
    with pytest.raises(ExportMismatch, match=r"^head\.dense: the plan says FP32, the runtime runs DynamicQuantizeMatM"):
        check_session(model, {**int8, "head.dense.weight": False})


def test_the_first_in_the_order_of_the_file_is_named(write):
    late, early = "head.dense.weight", "blocks.0.attention.value.weight"
    model, int8 = write(4, fp32=[late, early])
    # Block 0 runs twice.
    with pytest.raises(ExportMismatch, match=r"^blocks\.0\.attention\.value: .* \(2 more differ\)"):
        check_session(model, {late: True, early: True, **int8})


@pytest.mark.parametrize("threshold", [None, 0.9])
def test_a_weight_that_is_no_constant_is_named(write, threshold):
    """It is or-ed with a zero that the runtime cannot know: the smallest of all token ids times zero."""
    model, int8 = write(4, threshold=threshold)
    target = next(p for p in products(model, optimized(model)) if p.layers == ("blocks.1.feed_forward.input",))
    node, graph = list(walk(model.graph))[target.position]
    weight = node.input[1]
    node.input[1] = "late"
    least = helper.make_node("ReduceMin", ["input_ids"], ["least"], keepdims=0)
    none = helper.make_node("Sub", ["least", "least"], ["none"])
    cast = helper.make_node("Cast", ["none"], ["none8"], to=TensorProto.INT8)
    late = helper.make_node("BitwiseOr", [weight, "none8"], ["late"])
    place = list(graph.node).index(node)
    nodes = [*graph.node[:place], least, none, cast, late, *graph.node[place:]]
    del graph.node[:]
    graph.node.extend(nodes)
    with pytest.raises(
        ExportMismatch, match=r"^blocks\.1\.feed_forward\.input: no product reads its weight as a const"
    ):
        check_session(model, int8)


def test_unpacking_that_is_left_is_named(write, monkeypatch):
    """A runtime that folds nothing."""
    model, int8 = write(3, threshold=0.9)
    monkeypatch.setattr(session_check, "optimized", lambda model: model)
    with pytest.raises(ExportMismatch, match=r"was not folded: it runs for every text \(\d+ more differ\)"):
        check_session(model, int8)


def test_one_node_that_is_not_folded_is_named(write, monkeypatch):
    model, int8 = write(4)

    def almost(model):
        running = optimized(model)
        table = next(t for t in running.graph.initializer if list(t.dims) == [32, 64])
        table.name, name = "stored", table.name
        running.graph.node.insert(0, helper.make_node("Cast", ["stored"], [name], to=TensorProto.INT8))
        return running

    monkeypatch.setattr(session_check, "optimized", almost)
    with pytest.raises(ExportMismatch, match=r"^blocks\.[01]\.feed_forward\.input: (Cast \(v\d+\) was not folded|Dyn)"):
        check_session(model, int8)


def test_unsigned_weights_are_named(write):
    model, int8 = write(8)
    name = "blocks.1.attention.output.weight"
    tensor = next(t for t in model.graph.initializer if t.name == name)
    codes = numpy_helper.to_array(tensor).astype(np.int16) + 128
    tensor.CopyFrom(numpy_helper.from_array(codes.astype(np.uint8), name))
    with pytest.raises(ExportMismatch, match=r"^blocks\.1\.attention\.output: .* reads unsigned weights"):
        check_session(model, int8)


def test_weights_that_overflow_on_some_cpus_are_named(write):
    model, int8 = write(8)
    name = "blocks.1.attention.output.weight"
    tensor = next(t for t in model.graph.initializer if t.name == name)
    codes = np.array(numpy_helper.to_array(tensor))
    codes[2:4, 5] = 100, 29
    tensor.CopyFrom(numpy_helper.from_array(codes, name))
    with pytest.raises(ExportMismatch, match=r"^blocks\.1\.attention\.output: .* neighbours above 128 together"):
        check_session(model, int8)
    check_session(model)  # as a file of others


def test_the_baseline_runs_what_its_file_says(write):
    check_session(plain_int8(write(32)[0]))


def test_a_file_from_disk(write, tmp_path):
    model, int8 = write(8, threshold=0.9)
    onnx.save(model, tmp_path / "model.onnx")
    check_session(tmp_path / "model.onnx", int8)

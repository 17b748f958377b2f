import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from autocomp.artifact.graph import Graph
from autocomp.artifact.runtime import open_session
from autocomp.errors import InfeasiblePlan
from autocomp.formats import WeightFormat
from autocomp.formats.packing import packed_bytes, packing_for, packings
from autocomp.formats.quantize import largest_code

FORMATS = [WeightFormat(bits, sparse) for bits in (2, 3, 4, 5, 6, 7, 8, 32) for sparse in (False, True)]


def packed(codes: np.ndarray, format: WeightFormat) -> tuple[Graph, onnx.ModelProto]:
    graph = Graph()
    graph.rename(packing_for(format).write(graph, "w", codes, format), "y")
    kind = TensorProto.FLOAT if format.bits == 32 else TensorProto.INT8
    return graph, graph.to_model([], [helper.make_tensor_value_info("y", kind, codes.shape)])


def stored_bytes(graph: Graph) -> int:
    return sum(len(t.raw_data) for t in graph.initializers if t.name.split(".")[0] == "w")


def random_codes(rng: np.random.Generator, shape: tuple[int, ...], format: WeightFormat, zeros: float) -> np.ndarray:
    limit = largest_code(min(format.bits, 8))
    codes = rng.integers(-limit, limit + 1, shape) * (rng.random(shape) >= zeros)
    return codes.astype(np.float32 if format.bits == 32 else np.int8)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.integers(1, 19), min_size=1, max_size=3).map(tuple),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_the_session_unpacks_exactly_what_was_packed(format, shape, zeros, seed):
    codes = random_codes(np.random.default_rng(seed), shape, format, zeros)
    graph, model = packed(codes, format)
    unpacked = open_session(model.SerializeToString()).run(None, {})[0]
    assert unpacked.dtype == codes.dtype
    np.testing.assert_array_equal(unpacked, codes)
    assert stored_bytes(graph) <= packed_bytes(shape, format, int(np.count_nonzero(codes))), "equal planes are shared"


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("shape", [(131,), (16, 16), (7, 5, 9)])
def test_bytes_are_predicted_exactly(format, shape):
    codes = random_codes(np.random.default_rng(1), shape, format, 0.4)
    graph, _ = packed(codes, format)
    assert stored_bytes(graph) == packed_bytes(shape, format, int(np.count_nonzero(codes)))


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_unpacking_leaves_no_operator_behind(format, kit):
    codes = random_codes(np.random.default_rng(0), (17, 9), format, 0.5)
    assert not kit.operators(packed(codes, format)[1])


def test_exactly_one_packing_fits_each_format():
    for format in FORMATS:
        assert sum(packings[name].fits(format) for name in packings) == 1


@pytest.mark.parametrize("bits", [0, 1, 9, 16])
def test_a_format_nobody_stores_is_infeasible(bits):
    with pytest.raises(InfeasiblePlan, match=f"bits={bits}"):
        packing_for(WeightFormat(bits))


def test_fewer_bits_and_more_zeros_are_fewer_bytes():
    sizes = [packed_bytes((100, 100), WeightFormat(bits)) for bits in (2, 3, 4, 5, 6, 7, 8, 32)]
    assert sizes == [2500, 3750, 5000, 6250, 7500, 8750, 10000, 40000]
    assert packed_bytes((100, 100), WeightFormat(8, sparse=True), 1000) == 1250 + 1000
    assert packed_bytes((100, 100), WeightFormat(2, sparse=True), 1000) == 1250 + 125


def test_no_packing_asks_for_a_newer_opset():
    for format in FORMATS:
        _, model = packed(np.zeros((4, 4), np.float32 if format.bits == 32 else np.int8), format)
        assert model.opset_import[0].version == 21
        onnx.checker.check_model(model)

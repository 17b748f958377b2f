"""Every number system: what the session decodes is what numpy decodes, and errors are as small as they should be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from autocomp.artifact.graph import Graph
from autocomp.artifact.runtime import open_session
from autocomp.artifact.weights import WeightStore
from autocomp.errors import InfeasiblePlan
from autocomp.formats import WeightFormat
from autocomp.formats.numbers import decode, encode, number_systems, stored_bytes
from autocomp.formats.numbers.adaptivfloat import magnitudes
from autocomp.formats.numbers.codebook import k_means

FORMATS = [
    WeightFormat(bits, sparse, name)
    for name in number_systems
    for sparse in (False, True)
    for bits in number_systems[name].widths(sparse)
    if not (sparse and bits > 8)
]
FORMATS += [WeightFormat(bits, sparse, group=g) for bits in (2, 3, 4, 8) for g in (0, 4, 7) for sparse in (False, True)]
FORMATS += [WeightFormat(3, numbers=n, outliers=0.05) for n in ("codebook", "integer", "adaptivfloat")]


def matrix(seed: int, rows: int, width: int, zeros: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, width)) * (rng.random((rows, width)) >= zeros)).astype(np.float32)


def run(graph: Graph, value: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    graph.rename(value, "y")
    given = [
        helper.make_tensor_value_info(n, TensorProto.INT64 if a.dtype == np.int64 else TensorProto.FLOAT, a.shape)
        for n, a in inputs.items()
    ]
    model = graph.to_model(given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    return open_session(model.SerializeToString()).run(None, inputs)[0]


def store(weight: np.ndarray, format: WeightFormat) -> WeightStore:
    return WeightStore({"w": weight}, {"w": format}, {})


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(FORMATS), st.integers(1, 23), st.integers(1, 23), st.sampled_from([0, 0.4, 1.0]), st.integers(0, 99)
)
def test_the_session_decodes_what_numpy_decodes(format, rows, width, zeros, seed):
    weight = matrix(seed, rows, width, zeros)
    expected = decode(encode(weight, format), format)
    graph = Graph()
    got = run(graph, store(weight, format).table(graph, "w"), {})
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-12)
    if format.sparse:
        assert not expected[weight == 0].any(), "zeros stay exactly zero"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(2, 23), st.integers(1, 23), st.integers(0, 99))
def test_looked_up_rows_are_the_rows_of_the_whole(format, rows, width, seed):
    weight, ids = matrix(seed, rows, width), np.array([[0, 1, 0], [rows - 1, 1, 1]])
    graph = Graph()
    got = run(graph, store(weight, format).look_up(graph, "w", "ids"), {"ids": ids})
    np.testing.assert_allclose(got, decode(encode(weight, format), format)[ids], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("format", [f for f in FORMATS if f.bits <= 8], ids=str)
def test_a_linear_runs_in_int8_whatever_is_stored(format, rng, kit):
    weight, x = matrix(1, 12, 20), rng.normal(size=(3, 20)).astype(np.float32)
    graph, kept = Graph(), store(weight, format)
    quantized = graph.ops("DynamicQuantizeLinear", 3, "x")
    codes, scales = kept.int8_linear(graph, "w")
    total = graph.op("Cast", graph.op("MatMulInteger", quantized[0], codes, quantized[2]), to=TensorProto.FLOAT)
    graph.rename(graph.op("Mul", total, graph.op("Mul", quantized[1], scales)), "y")
    model = graph.to_model(
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    assert dict(kit.operators(model)) == {"DynamicQuantizeMatMul": 1}
    got = open_session(model.SerializeToString()).run(None, {"x": x})[0]
    expected = x @ decode(encode(weight, format), format).T
    assert np.sqrt(((got - expected) ** 2).mean()) < 0.02 * expected.std()


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("shape", [(16, 16), (7, 45)])
def test_bytes_are_predicted_exactly(format, shape):
    weight = matrix(3, *shape)
    graph = Graph()
    store(weight, format).table(graph, "w")
    shared_by_the_file = 4 << format.bits if format.numbers == "adaptivfloat" else 0
    nonzeros = int(np.count_nonzero(encode(weight, format).codes))
    found = sum(len(t.raw_data) for t in graph.initializers if t.name.startswith("w"))
    assert found - shared_by_the_file == stored_bytes(shape, format, nonzeros)


def error(weight: np.ndarray, format: WeightFormat) -> float:
    return float(np.linalg.norm(decode(encode(weight, format), format) - weight) / np.linalg.norm(weight))


def test_finer_scales_and_centroids_and_outliers_help_where_they_should():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(64, 256)).astype(np.float32)
    uneven = normal * np.exp(rng.normal(size=(64, 1))).astype(np.float32)
    patchy = normal * np.repeat(np.exp(rng.normal(size=(64, 8))), 32, axis=1).astype(np.float32)
    tailed = rng.standard_t(2, size=(64, 256)).astype(np.float32)
    assert error(uneven, WeightFormat(4)) < 0.6 * error(uneven, WeightFormat(4, group=0))
    assert error(patchy, WeightFormat(4, group=32)) < 0.8 * error(patchy, WeightFormat(4))
    assert error(normal, WeightFormat(2, numbers="codebook")) < 0.35 < error(normal, WeightFormat(2))
    assert error(tailed, WeightFormat(3, numbers="codebook", outliers=0.01)) < 0.5 * error(
        tailed, WeightFormat(3, group=0)
    )
    assert (
        error(normal, WeightFormat(16, numbers="float16"))
        < 4e-4
        < error(normal, WeightFormat(16, numbers="bfloat16"))
        < 3e-3
    )
    assert error(normal, WeightFormat(8, numbers="adaptivfloat")) < 0.02


def test_adaptivfloat_has_the_numbers_of_the_paper():
    assert magnitudes(4).tolist() == [0, 1.5, 2, 3, 4, 6, 8, 12]
    weight = np.array([[0.6, -0.3, 0.0, 0.02]], np.float32)
    got = decode(encode(weight, WeightFormat(4, numbers="adaptivfloat")), WeightFormat(4, numbers="adaptivfloat"))
    # 0.6 lies in [0.5, 1), so the highest exponent is -1 and the numbers are those above, divided by 16.
    np.testing.assert_allclose(got, np.array([[0.5, -0.25, 0.0, 0.0]]), atol=0.13)
    assert set(np.abs(got).ravel() * 16) <= set(magnitudes(4).tolist())


def test_k_means_finds_separate_clusters():
    rng = np.random.default_rng(0)
    values = np.sort(np.concatenate([rng.normal(c, 0.01, 50) for c in (-3, 0, 1, 7)]))
    np.testing.assert_allclose(k_means(values, 4), [-3, 0, 1, 7], atol=0.02)
    assert k_means(np.zeros(5), 4).tolist() == [0]


def test_infinite_weights_and_foreign_widths_are_refused():
    with pytest.raises(ValueError, match="finite"):
        encode(np.array([[np.inf]]), WeightFormat(8))
    for format in (WeightFormat(2, numbers="adaptivfloat"), WeightFormat(16), WeightFormat(16, True, "float16")):
        with pytest.raises(InfeasiblePlan, match=f"bits={format.bits}"):
            encode(np.ones((2, 2)), format)


def test_weight_only_computes_in_fp32(kit):
    assert not WeightFormat(4, weight_only=True).runs_int8
    assert kit.int8_products(kit.operators(_product(WeightFormat(4, weight_only=True)))) == 0


def _product(format: WeightFormat):
    graph = Graph()
    graph.rename(graph.op("MatMul", "x", store(matrix(0, 8, 16), format).linear(graph, "w")), "y")
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, s]) for n, s in (("x", 16), ("y", 8))]
    return graph.to_model(infos[:1], infos[1:])

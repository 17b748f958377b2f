import numpy as np
import pytest

from autocomp.artifact.graph import Graph
from autocomp.artifact.writer import write_model
from autocomp.formats import WeightFormat
from autocomp.testing.models import tiny_shape


@pytest.mark.parametrize("exit_threshold", [None, 0.9])
def test_fp32_files_have_no_int8_and_int8_files_no_float_linear(kit, exit_threshold):
    shape = tiny_shape(layers=2, exits=(1,))
    _, weights = kit.encoder(shape)
    formats = {n: WeightFormat(8) for n, w in weights.items() if w.ndim == 2}
    plain, int8 = (
        kit.operators(write_model(shape, weights, f, pairs=False, exit_threshold=exit_threshold)) for f in ({}, formats)
    )
    exits = 0 if exit_threshold is None else 1
    assert kit.int8_products(plain) == 0
    assert kit.int8_products(int8) == 6 * shape.depth + 2 + exits
    # What stays float: the attention, and an exit's mean.
    assert int8["Attention"] == shape.depth
    assert int8["MatMul"] + int8["FusedMatMul"] + int8["Gemm"] == exits


def test_equal_constants_are_stored_once():
    graph = Graph()
    branch = graph.branch()
    first = graph.constant(np.array([1, 2]))
    assert graph.constant(np.array([1, 2])) == first == branch.constant(np.array([1, 2]))
    assert graph.constant(np.array([[1, 2]])) != first
    assert branch.constant(np.array([1.0, 2.0])) != first
    assert [len(graph.initializers), len(branch.initializers)] == [2, 1]


def test_scalars_stay_scalars():
    graph = Graph()
    graph.constant(np.array(3.0, np.float32))
    assert list(graph.initializers[0].dims) == []

"""How fast could a file be? Its products' multiply-adds at the rate at which this machine does nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autocomp.artifact.graph import optimized
from autocomp.artifact.runtime import open_session
from autocomp.inspection.matmuls import Product, products
from autocomp.inspection.node_times import NodeTime, node_times
from autocomp.timing import once

ROWS, INPUTS, OUTPUTS = 128, 768, 3072


@dataclass(frozen=True)
class Rates:
    """Multiply-adds per millisecond of one thread."""

    int8: float
    fp32: float


@dataclass(frozen=True)
class Floor:
    """Multiply-adds of the products with weights for one text (mean over some texts), and their least time.

    Attention's own products of activations and all small operators count nothing.
    """

    int8_macs: float
    fp32_macs: float
    ms: float


@lru_cache(maxsize=1)
def gemm_rates(rounds: int = 5) -> Rates:
    """This machine's rates: uint8 x int8 and FP32, 128 x 768 x 3072, the best of several rounds; cached."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (ROWS, INPUTS)).astype(np.uint8)
    weight = rng.integers(-127, 128, (INPUTS, OUTPUTS)).astype(np.int8)
    return Rates(
        int8=_rate("MatMulInteger", codes, weight, TensorProto.UINT8, TensorProto.INT32, rounds),
        fp32=_rate(
            "MatMul", codes.astype(np.float32), weight.astype(np.float32), TensorProto.FLOAT, TensorProto.FLOAT, rounds
        ),
    )


def floor(model: onnx.ModelProto, texts: Sequence[Mapping[str, np.ndarray]]) -> Floor:
    """The floor of a file for some inputs, one thread, exits taken where the file takes them.

    Args:
        texts: inputs of the file, by name.
    """
    running = optimized(model)
    return floor_of(products(model, running), node_times(running, texts, rounds=1), len(texts))


def floor_of(file_products: Sequence[Product], times: Mapping[str, NodeTime], texts: int) -> Floor:
    """The floor from the file's products and the node times of `texts` texts, which say how many rows ran."""
    rates = gemm_rates()
    int8 = sum(macs(product, times) for product in file_products if product.is_int8) / texts
    fp32 = sum(macs(product, times) for product in file_products if not product.is_int8) / texts
    return Floor(int8, fp32, int8 / rates.int8 + fp32 / rates.fp32)


def macs(product: Product, times: Mapping[str, NodeTime]) -> int:
    """Multiply-adds of a product over all rows that it ran for; a branch that was not taken has none."""
    rows = times[product.output].rows if product.output in times else 0
    return rows * int(np.prod(product.size or (0,)))


def _rate(operator: str, x: np.ndarray, weight: np.ndarray, given: int, gives: int, rounds: int) -> float:
    node = helper.make_node(operator, ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "rate",
        [helper.make_tensor_value_info("x", given, list(x.shape))],
        [helper.make_tensor_value_info("y", gives, [len(x), weight.shape[1]])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = open_session(model.SerializeToString())
    session.run(None, {"x": x})
    return ROWS * INPUTS * OUTPUTS / min(once(session.run, None, {"x": x})[1] for _ in range(4 * rounds))

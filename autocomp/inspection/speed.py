"""Where does the time go, and how fast could a file be?

Times are ONNX Runtime's own profile of the graph that it runs. The least time of a file is that of its products'
multiply-adds at the rate at which this machine does nothing else.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autocomp.artifact.graph import optimized, walk
from autocomp.artifact.runtime import open_session
from autocomp.inspection.matmuls import Product, products
from autocomp.strict_json import JsonView
from autocomp.timing import once

Shapes = Sequence[Sequence[int]]
_KERNEL = "_kernel_time"
ROWS, INPUTS, OUTPUTS = 128, 768, 3072


@dataclass(frozen=True)
class NodeTime:
    """One node of the running graph, summed over texts.

    Attributes:
        operator: its type.
        us: microseconds, the median over rounds of each text; profiling itself adds a little to every node.
        rows: rows of its first output: the product of all sizes but the last.
    """

    operator: str
    us: float
    rows: int


def node_times(
    running: onnx.ModelProto, texts: Sequence[Mapping[str, np.ndarray]], rounds: int = 5
) -> dict[str, NodeTime]:
    """Times by the name of each node's first output; a node in a branch that no text took is left out.

    Args:
        running: a graph from `optimized`.
        texts: inputs of the file, by name.
    """
    return _summed(kernels(running, texts, rounds), len(texts))


@dataclass(frozen=True)
class Kernel:
    """One kernel of one run.

    Attributes:
        name: of its node's first output.
        operator: its node's type.
        us: microseconds.
        inputs: shapes of what it read, as far as the runtime reports them.
        outputs: shapes of what it made.
        output_bytes: bytes of that.
    """

    name: str
    operator: str
    us: float
    inputs: Shapes
    outputs: Shapes
    output_bytes: float

    @property
    def rows(self) -> int:
        """Rows of its first output: the product of all sizes but the last."""
        return math.prod(self.outputs[0][:-1]) if self.outputs else 0


def kernels(running: onnx.ModelProto, texts: Sequence[Mapping[str, np.ndarray]], rounds: int = 0) -> list[list[Kernel]]:
    """The kernels of each run: all texts in turn, once to warm up and `rounds` times more; an `If` is its branch.

    Args:
        running: a graph from `optimized`.
        texts: inputs of the file, by name.
    """
    named = onnx.ModelProto()
    named.CopyFrom(running)
    for node, _ in walk(named.graph):
        node.name = node.output[0]
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "profile"
        session = open_session(named.SerializeToString(), profile_to=prefix, is_optimized=True)
        for _ in range(rounds + 1):
            for text in texts:
                session.run(None, dict(text))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _by_run(events)


def _by_run(events: Sequence[JsonView]) -> list[list[Kernel]]:
    """Kernels by run; a run's own event comes after those of its nodes."""
    runs: list[list[Kernel]] = [[]]
    for event in events:
        if event["name"] == "model_run":
            runs.append([])
        elif event["name"].endswith(_KERNEL) and event["args"]["op_name"] != "If":
            runs[-1].append(_kernel(event))
    return runs[:-1]


def _kernel(event: JsonView) -> Kernel:
    """A kernel as ONNX Runtime reports it."""
    facts = event["args"]
    inputs, outputs = (_shapes(facts.get(f"{side}_type_shape", ())) for side in ("input", "output"))
    name, us = event["name"].removesuffix(_KERNEL), float(event["dur"])
    return Kernel(name, facts["op_name"], us, inputs, outputs, float(facts.get("output_size", 0)))


def _shapes(described: Sequence[Mapping[str, Sequence[int]]]) -> Shapes:
    """`[{"float": [1, 16, 384]}]`: `[[1, 16, 384]]`."""
    return [shape for one in described for shape in one.values()]


def _summed(runs: Sequence[Sequence[Kernel]], texts: int) -> dict[str, NodeTime]:
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    seen: dict[tuple[str, int], tuple[str, int]] = {}
    for number, run in enumerate(runs[texts:]):  # the first round warms up
        for kernel in run:
            key = (kernel.name, number % texts)
            taken[key].append(kernel.us)
            seen[key] = kernel.operator, kernel.rows
    found: dict[str, NodeTime] = {}
    for (name, _), us in taken.items():
        before = found.get(name, NodeTime("", 0.0, 0))
        found[name] = NodeTime("", before.us + float(np.median(us)), before.rows)
    for (name, _), (operator, rows) in seen.items():
        found[name] = NodeTime(operator, found[name].us, found[name].rows + rows)
    return found


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

"""Which operators really run? The proof that a packed model computes in int8 and was not folded back to FP32."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx

from autocomp.artifact.runtime import open_session

INT8_OPERATORS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulInteger")


def running_operators(model: onnx.ModelProto | bytes | str | Path) -> Counter[str]:
    """Operator types after the session's optimisation, those inside the branches of `If` included."""
    return Counter(node.op_type for node, _ in walk(optimized(model).graph))


def int8_linears(operators: Counter[str]) -> int:
    """How many matrix products run in int8."""
    return sum(operators[kind] for kind in INT8_OPERATORS)


def optimized(model: onnx.ModelProto | bytes | str | Path) -> onnx.ModelProto:
    """The graph as the session runs it: constants folded, operators fused."""
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "optimized.onnx"
        open_session(source, optimized_to=file)
        return onnx.load(file)


def walk(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, onnx.GraphProto]]:
    """Every node and the (sub)graph it stands in; the branches of an `If` after it, in the order they are written."""
    for node in graph.node:
        yield node, graph
        for branch in branches(node):
            yield from walk(branch)


def branches(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The sub-graphs of a node."""
    return [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]

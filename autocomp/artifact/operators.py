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
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "optimized.onnx"
        open_session(source, optimized_to=file)
        return Counter(node.op_type for node in _nodes(onnx.load(file).graph))


def int8_linears(operators: Counter[str]) -> int:
    """How many matrix products run in int8."""
    return sum(operators[kind] for kind in INT8_OPERATORS)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)

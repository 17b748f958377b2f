"""ONNX graphs: a thin builder of them, a walk through one, and the graph that the runtime makes of it.

The builder stores equal constants once, has sub-graphs for `If`, and raises the opset only when that is needed.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from autocomp.artifact.runtime import open_session

OPSET, IR_VERSION = 21, 10
INT8_OPERATORS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulInteger")
"""Operators of the runtime that multiply integers."""


class Graph:
    """Nodes and constants of one (sub)graph; a branch sees, and reuses, everything of the graphs around it.

    A constant stands in the branch that first needs it: the runtime prepares ("prepacks") int8 weights for its kernels
    only where they are used in the graph that holds them. Names are short, for they are bytes that a user ships.
    """

    def __init__(self, parent: Graph | None = None) -> None:
        self.root: Graph = parent.root if parent else self
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.value_info: list[onnx.ValueInfoProto] = []
        self._constants: ChainMap[object, str] = parent._constants.new_child() if parent else ChainMap()
        self._once: ChainMap[object, str] = parent._once.new_child() if parent else ChainMap()
        self._names, self._opset, self._ir_version = 0, OPSET, IR_VERSION  # of the whole file; the root's count

    def branch(self) -> Graph:
        """A sub-graph (a branch of `If`) that sees everything of this one."""
        return Graph(self)

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Append a node with one output and return the output's name."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: object) -> list[str]:
        """Append a node with several outputs and return their names."""
        names = [self.root._name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, value: np.ndarray, name: str | None = None) -> str:
        """An initializer; an equal one (type, shape, bytes) is stored once only."""
        value = np.asarray(value, order="C")  # not ascontiguousarray, which makes scalars vectors
        return self._stored(numpy_helper.from_array(value), name)

    def raw(self, data_type: int, shape: Sequence[int], data: bytes, name: str | None = None) -> str:
        """Like `constant`, for bytes of a type that numpy does not have, such as INT4 and BFLOAT16."""
        return self._stored(TensorProto(data_type=data_type, dims=shape, raw_data=data), name)

    def _stored(self, tensor: TensorProto, name: str | None) -> str:
        key = (tensor.data_type, tuple(tensor.dims), hashlib.sha256(tensor.raw_data).digest())
        if key not in self._constants:
            tensor.name = name or self.root._name()
            self._constants[key] = tensor.name
            self.initializers.append(tensor)
        return self._constants[key]

    def once(self, key: object, build: Callable[[Graph], str]) -> str:
        """What `build` emits, made at the first call with this key in this graph or those around it."""
        if key not in self._once:
            self._once[key] = build(self)
        return self._once[key]

    def local(self, key: object, value: str, shape: Sequence[int]) -> str:
        """A constant `once` made under `key`, as a copy of this branch if it stands in a graph around it.

        The copy costs nothing in the file: a Reshape that the runtime folds at load, into a tensor it can prepack.
        """
        if key in self._once.maps[0]:
            return value
        return self.once(("local", id(self), key), lambda g: g.op("Reshape", value, g.constant(np.array(shape))))

    def has_shape(self, value: str, data_type: int, shape: Sequence[int]) -> str:
        """State a value's shape, without which the runtime folds no constant whose shape depends on values."""
        self.value_info.append(helper.make_tensor_value_info(value, data_type, shape))
        return value

    def require(self, opset: int, ir_version: int) -> None:
        """Raise the file's opset: some tensor or operator in it needs that."""
        self.root._opset = max(self.root._opset, opset)
        self.root._ir_version = max(self.root._ir_version, ir_version)

    def rename(self, value: str, name: str) -> None:
        """Give an output its public name through an Identity, which the runtime removes."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def to_subgraph(self, name: str, outputs: Sequence[onnx.ValueInfoProto]) -> onnx.GraphProto:
        """The graph of a branch."""
        return helper.make_graph(self.nodes, name, [], list(outputs), self.initializers, value_info=self.value_info)

    def to_model(
        self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto], name: str = "autocomp"
    ) -> onnx.ModelProto:
        """The whole file."""
        proto = helper.make_graph(
            self.nodes, name, list(inputs), list(outputs), self.initializers, value_info=self.value_info
        )
        opsets = [helper.make_opsetid("", self._opset)]
        return helper.make_model(proto, opset_imports=opsets, ir_version=self._ir_version, producer_name="autocomp")

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"


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

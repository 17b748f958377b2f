"""From the runtime's optimized graph back to the layers: which stored weight does each running product read?

The optimizer keeps the names of values: a weight that it unpacked is a constant under the name that the file's last
unpacking node gave it. So no node needs a name, which would be bytes that a user ships.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from autocomp.artifact.graph import INT8_OPERATORS, walk
from autocomp.formats.quantize import saturates

WRITTEN_INT8 = "MatMulInteger"
_PRODUCTS = (WRITTEN_INT8, "MatMul", "Gemm")
_PARAMETER = re.compile(r"(?P<layer>.+)\.weight([._].+)?$")
_WEIGHT = re.compile(r"(?P<layer>.+?)\.weight(?:[._].+)?$")
_BIAS = re.compile(r"(?P<layer>.+?)\.bias$")
_LOOKED_UP = re.compile(r"embeddings\.(?!projection$)\w+$|.*norm$")

Sources = frozenset[str]
"""The stored tensors that a constant is made of."""


@dataclass(frozen=True)
class Product:
    """A matrix product with a stored weight, as written and as run.

    Attributes:
        layers: `blocks.3.feed_forward.input`; several if their weights are joined at load.
        position: number of its node in the file.
        written: its operator in the file.
        runs: its operator in the optimized graph; empty if none there reads the weight.
        is_folded: the weight is a constant of the very graph that the product stands in, so that it is prepacked.
        is_signed: the weight is not uint8, whose products take twice the time.
        saturates: some inputs would overflow in it on CPUs without an int8 dot product.
        output: name of the value that the running node gives.
        size: (inputs, outputs) of the weight; None while it is not folded.
    """

    layers: tuple[str, ...]
    position: int
    written: str
    runs: str
    is_folded: bool
    is_signed: bool
    saturates: bool
    output: str
    size: tuple[int, int] | None

    @property
    def is_int8(self) -> bool:
        """Whether it runs in int8."""
        return self.runs in INT8_OPERATORS


def constants(graph: onnx.GraphProto) -> dict[str, Sources]:
    """Stored tensors behind every value that is known at load, sub-graphs included."""
    given = {value.name for value in graph.input}
    known: dict[str, Sources] = {}
    seen: dict[int, onnx.GraphProto] = {}
    for node, where in walk(graph):
        for tensor in where.initializer if id(where) not in seen else ():
            if tensor.name not in given:
                known[tensor.name] = frozenset([tensor.name])
        seen[id(where)] = where  # kept, so that no other graph gets its id
        inputs = [name for name in node.input if name]
        if node.op_type == "Constant" or (inputs and all(name in known for name in inputs)):
            known |= dict.fromkeys(node.output, frozenset().union(*(known[name] for name in inputs)))
    return known


def layers_of(sources: Sources) -> tuple[str, ...]:
    """The layers whose weights are among some stored tensors, sorted."""
    found = {match["layer"] for name in sources if (match := _PARAMETER.match(name))}
    return tuple(sorted(layer for layer in found if not _LOOKED_UP.match(layer)))


def products(model: onnx.ModelProto, running: onnx.ModelProto) -> list[Product]:
    """Every product with a stored weight, in the order of the file.

    Args:
        model: the file.
        running: the same as the session runs it, from `optimized`.
    """
    known = constants(model.graph)
    readers = _Readers(running, known)
    named: dict[Sources, tuple[str, ...]] = {}
    found = []
    for position, (node, _) in enumerate(walk(model.graph)):
        weight = _weight(node, known)
        if weight is not None:
            layers = _name(known[weight], named)
            found.append(readers.product(weight, layers, position, node.op_type))
    return found


def stored_layers(model: onnx.ModelProto) -> dict[str, int]:
    """Layers of which the file stores a weight, with the position of the first node that reads it."""
    found: dict[str, int] = {}
    stored = constants(model.graph)
    for position, (node, _) in enumerate(walk(model.graph)):
        for layer in layers_of(frozenset(name for name in node.input if stored.get(name) == frozenset([name]))):
            found.setdefault(layer, position)
    return found


def _weight(node: onnx.NodeProto, known: Mapping[str, Sources]) -> str | None:
    if node.op_type not in _PRODUCTS or node.output[0] in known:
        return None
    return next((name for name in node.input if layers_of(known.get(name, frozenset()))), None)


def _name(sources: Sources, named: dict[Sources, tuple[str, ...]]) -> tuple[str, ...]:
    """Layers of a weight. Equal tensors are stored once, under the first one's name: a second weight has others too."""
    if sources not in named:
        taken = {layer for layers in named.values() for layer in layers}
        layers = layers_of(sources)
        named[sources] = tuple(layer for layer in layers if layer not in taken) or layers
    return named[sources]


class _Readers:
    """The products of the optimized graph by the weight they read."""

    def __init__(self, running: onnx.ModelProto, known: Mapping[str, Sources]) -> None:
        self._known = known
        self._nodes: dict[str, list[tuple[onnx.NodeProto, onnx.GraphProto]]] = defaultdict(list)
        for node, graph in walk(running.graph):
            for name in node.input if "MatMul" in node.op_type or "Gemm" in node.op_type else ():
                self._nodes[name].append((node, graph))

    def product(self, weight: str, layers: tuple[str, ...], position: int, written: str) -> Product:
        """The next unused reader of the weight, or of another value made of the same stored tensors."""
        same = [name for name, sources in self._known.items() if sources == self._known[weight] and name != weight]
        name = next((name for name in (weight, *same) if self._nodes[name]), None)
        if name is None:
            return Product(layers, position, written, "", False, True, False, "", None)
        node, graph = self._nodes[name].pop(0)
        tensor = next((t for t in graph.initializer if t.name == name), None)
        size = None if tensor is None else _size(tensor.dims)
        is_signed = tensor is None or tensor.data_type != onnx.TensorProto.UINT8
        is_int8 = tensor is not None and tensor.data_type == onnx.TensorProto.INT8
        overflows = is_int8 and saturates(numpy_helper.to_array(tensor))
        output, is_folded = node.output[0], tensor is not None
        return Product(layers, position, written, node.op_type, is_folded, is_signed, overflows, output, size)


def _size(dims: Sequence[int]) -> tuple[int, int] | None:
    return (dims[0], dims[1]) if len(dims) == 2 else None


@dataclass(frozen=True)
class Unpacked:
    """A weight as it lies in memory when the session is built: `shape` of the tensor and the fraction of `zeros`."""

    shape: tuple[int, ...]
    zeros: float


def layers_of_nodes(model: onnx.ModelProto, running: onnx.ModelProto, found: Sequence[Product]) -> dict[str, str]:
    """Layer by the name of a running node's first output, for those that read a stored tensor.

    Equal biases are stored once, under the first one's name, so a weight says more than a bias.
    """
    sources = constants(model.graph)
    layers = {product.output: product.layers[0] for product in found}
    for node, _ in walk(running.graph):
        read = frozenset().union(*(sources.get(name, frozenset()) for name in node.input if name))
        layer = _first(_WEIGHT, read) or _first(_BIAS, read)
        if layer:
            layers.setdefault(node.output[0], layer)
    return layers


def unpacked(model: onnx.ModelProto, running: onnx.ModelProto) -> dict[str, Unpacked]:
    """The largest tensor of each layer in the running graph."""
    sources: Mapping[str, Sources] = constants(model.graph)
    found: dict[str, Unpacked] = {}
    seen: set[str] = set()
    for _, graph in walk(running.graph):
        for tensor in graph.initializer:
            layer = _first(_WEIGHT, sources.get(tensor.name, frozenset()))
            size = int(np.prod(tensor.dims))
            if layer and tensor.name not in seen and size > np.prod(found[layer].shape if layer in found else (0,)):
                zeros = float((numpy_helper.to_array(tensor) == 0).mean())
                found[layer] = Unpacked(tuple(tensor.dims), zeros)
            seen.add(tensor.name)
    return found


def _first(pattern: re.Pattern[str], names: Sources) -> str | None:
    return min((match["layer"] for name in names if (match := pattern.match(name))), default=None)

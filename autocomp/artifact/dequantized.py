"""A file of ours for runtimes that do not fold and fuse as ONNX Runtime does: weights unpacked, products written out.

`MatMul(x, DequantizeLinear(codes, scales))` stands where the file has DynamicQuantizeLinear, MatMulInteger and two Mul:
the pattern from which other runtimes choose their own way to multiply by compressed weights.
"""

from __future__ import annotations

import tempfile
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from autocomp.artifact.operators import branches
from autocomp.artifact.writer import THRESHOLD
from autocomp.formats.packing._shared import packed

SMALLEST_PACKED = 1024
"""Integers from which a constant of 4-bit values is worth storing as such."""


def plain_products(model: bytes) -> onnx.ModelProto:
    """The same model in standard operators, each int8 product as a MatMul with a dequantized weight.

    Activations are no longer rounded, so logits differ a little. Integers of 4 bits or less are stored as INT4, uneven
    levels as INT8. The threshold of exits becomes an input that must be given; `defaults` has its value.
    """
    folded = _folded(_with_threshold_input(model))
    given = {value.name for value in folded.graph.input}
    constants = [tensor for tensor in folded.graph.initializer if tensor.name not in given]
    del folded.graph.initializer[:]
    folded.graph.initializer.extend(constants)
    _rewrite(folded.graph, ChainMap(), ChainMap())
    del folded.opset_import[:]
    folded.opset_import.extend([helper.make_opsetid("", max(o.version for o in _opsets(model)))])
    return folded


def defaults(model: bytes) -> dict[str, np.ndarray]:
    """Inputs of the plain form that need not be given of the file, with the values that they have then."""
    graph = onnx.load_from_string(model).graph
    given = {THRESHOLD, *(value.name for value in graph.input)}
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name in given}


def _with_threshold_input(model: bytes) -> bytes:
    proto = onnx.load_from_string(model)
    for name in defaults(model).keys() - {value.name for value in proto.graph.input}:
        proto.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, []))
    return bytes(proto.SerializeToString())


def has_branches(model: bytes) -> bool:
    """Whether a model decides while it runs what it computes (exits)."""
    return any(branches(node) for node in onnx.load_from_string(model).graph.node)


def _opsets(model: bytes) -> Iterator[onnx.OperatorSetIdProto]:
    return (o for o in onnx.load_from_string(model).opset_import if o.domain in ("", "ai.onnx"))


def _folded(model: bytes) -> onnx.ModelProto:
    """The model with what is constant computed, which the basic optimisation does without leaving the standard."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


Nodes = ChainMap[str, onnx.NodeProto]
Constants = ChainMap[str, onnx.TensorProto]


def _rewrite(graph: onnx.GraphProto, made: Nodes, constants: Constants) -> None:
    """Rewrite a graph and its branches in place, seeing what the graphs around it hold."""
    made = made.new_child({name: node for node in graph.node for name in node.output})
    constants = constants.new_child({tensor.name: tensor for tensor in graph.initializer})
    readers = _readers(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        product = _product(node, made, constants, readers)
        nodes += _plain(graph, node, *product) if product else [node]
        for branch in branches(node):
            _rewrite(branch, made, constants)
    _store_outputs_as_values(graph, nodes)
    nodes = _alive(graph, nodes)
    _pack_tables(graph, nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    used = _names_read(nodes)
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _readers(graph: onnx.GraphProto) -> Mapping[str, list[onnx.NodeProto]]:
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _product(
    mul: onnx.NodeProto, made: Nodes, constants: Constants, readers: Mapping[str, list[onnx.NodeProto]]
) -> tuple[str, np.ndarray, np.ndarray] | None:
    """`(x, codes, scales)` if this Mul ends an int8 product as `layers.py` writes it."""
    if mul.op_type != "Mul":
        return None
    for real, factor in (mul.input, reversed(mul.input)):
        cast, scaling = made.get(real), made.get(factor)
        product = made.get(cast.input[0]) if cast is not None and cast.op_type == "Cast" else None
        if product is None or product.op_type != "MatMulInteger" or scaling is None or scaling.op_type != "Mul":
            continue
        rounded = made.get(product.input[0])
        if rounded is None or rounded.op_type != "DynamicQuantizeLinear" or rounded.output[1] not in scaling.input:
            continue
        scales = next(name for name in scaling.input if name != rounded.output[1])
        if product.input[1] in constants and scales in constants:
            arrays = (numpy_helper.to_array(constants[name]) for name in (product.input[1], scales))
            codes, factors = arrays
            return rounded.input[0], codes, np.broadcast_to(factors.reshape(-1), codes.shape[1:]).astype(np.float32)
    return None


def _plain(
    graph: onnx.GraphProto, mul: onnx.NodeProto, x: str, codes: np.ndarray, scales: np.ndarray
) -> list[onnx.NodeProto]:
    name = mul.output[0]
    graph.initializer.extend([_integers(f"{name}.codes", codes), numpy_helper.from_array(scales, f"{name}.scales")])
    weight = helper.make_node("DequantizeLinear", [f"{name}.codes", f"{name}.scales"], [f"{name}.weight"], axis=1)
    return [weight, helper.make_node("MatMul", [x, weight.output[0]], [name])]


def _integers(name: str, codes: np.ndarray) -> TensorProto:
    """INT4 where that holds them, else INT8."""
    if codes.size >= SMALLEST_PACKED and codes.min() >= -8 and codes.max() <= 7:
        return TensorProto(name=name, data_type=TensorProto.INT4, dims=codes.shape, raw_data=packed(codes, 4))
    return numpy_helper.from_array(np.ascontiguousarray(codes), name)


def _store_outputs_as_values(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """An output that was folded to a constant becomes a value again: some readers know no other outputs."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for output in graph.output:
        if output.name in stored:
            stored[output.name].name = f"{output.name}.constant"
            nodes.append(helper.make_node("Identity", [f"{output.name}.constant"], [output.name]))


def _pack_tables(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Store INT8 tables of 4-bit values as INT4, cast when the model is loaded."""
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    tables = {n.input[0] for n in nodes if n.op_type == "Gather" and kinds.get(n.input[0]) == TensorProto.INT8}
    for tensor in [t for t in graph.initializer if t.name in tables]:
        packed = _integers(f"{tensor.name}.packed", numpy_helper.to_array(tensor))
        if packed.data_type == TensorProto.INT4:
            graph.initializer.append(packed)
            nodes.insert(0, helper.make_node("Cast", [packed.name], [tensor.name], to=TensorProto.INT8))
            graph.initializer.remove(tensor)


def _alive(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes that some output needs."""
    needed = Counter(output.name for output in graph.output)
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed.update(_names_read([node]))
    return kept[::-1]


def _names_read(nodes: list[onnx.NodeProto]) -> set[str]:
    """Names that nodes read, those inside their branches included."""
    found = {name for node in nodes for name in node.input}
    for node in nodes:
        for branch in branches(node):
            found |= _names_read(list(branch.node)) | {output.name for output in branch.output}
    return found

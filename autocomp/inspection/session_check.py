"""Does a session run what the plan says, with everything unpacked and folded, and which states does a file compute?

`norm_states` gives those after every layer norm, for comparing a file with the model that it was written from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from autocomp.artifact.graph import branches, optimized, walk
from autocomp.artifact.runtime import open_session
from autocomp.errors import ExportMismatch
from autocomp.formats.quantize import LARGEST_PAIR
from autocomp.inspection.matmuls import WRITTEN_INT8, Product, constants, layers_of, products, stored_layers

NORM = "LayerNormalization"
Fault = tuple[int, str]
"""Where in the file, and what."""


def check_session(model: onnx.ModelProto | str | Path, int8: Mapping[str, bool] | None = None) -> onnx.ModelProto:
    """Build the session and compare what it runs with what was meant.

    Every product with a stored weight runs in int8 or in FP32 as it should, on a constant; no operator is left whose
    inputs are all known at load.

    Args:
        model: the file.
        int8: whether a linear runs in int8, by parameter name (`head.dense.weight`), absent means FP32; products must
            then come out alike on every CPU (`formats/quantize.py`). None: as the file's own operators say.

    Returns:
        The graph as the session runs it.

    Raises:
        ExportMismatch: names the first layer or node that differs, in the order of the file.
    """
    model = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
    running = optimized(model)
    faults = sorted([*_wrong_products(model, products(model, running), int8), *_left_over(model, running)])
    if faults:
        more = f" ({len(faults) - 1} more differ)" if len(faults) > 1 else ""
        raise ExportMismatch(f"{faults[0][1]}{more}")
    return running


def _wrong_products(model: onnx.ModelProto, written: list[Product], int8: Mapping[str, bool] | None) -> Iterator[Fault]:
    for product in written:
        fault = _wrong(product, _says_int8(product, int8))
        if product.saturates and int8 is not None:  # other files may, ours never
            fault = fault or f"{product.runs} reads neighbours above {LARGEST_PAIR} together: it overflows on some CPUs"
        if fault:
            yield product.position, f"{' + '.join(product.layers)}: {fault}"
    read = {layer for product in written for layer in product.layers}
    for layer, position in stored_layers(model).items():
        if layer not in read:
            yield position, f"{layer}: no product reads its weight as a constant, so nothing is prepacked"


def _says_int8(product: Product, int8: Mapping[str, bool] | None) -> bool:
    if int8 is None:
        return product.written == WRITTEN_INT8
    return all(int8.get(f"{layer}.weight", False) for layer in product.layers)


def _wrong(product: Product, says_int8: bool) -> str | None:
    if not product.runs:
        return f"the file has a {product.written}, the runtime no product that reads its weight"
    if product.is_int8 != says_int8:
        return f"the plan says {'int8' if says_int8 else 'FP32'}, the runtime runs {product.runs}"
    if not product.is_folded:
        return f"{product.runs} reads a weight that is not a constant of its graph: it is unpacked at every run"
    return None if product.is_signed else f"{product.runs} reads unsigned weights, which take twice the time"


def _left_over(model: onnx.ModelProto, running: onnx.ModelProto) -> Iterator[Fault]:
    """Nodes that still run although all they read is known at load."""
    positions = {name: position for position, (node, _) in enumerate(walk(model.graph)) for name in node.output}
    sources = constants(model.graph)
    stored = constants(running.graph)
    for position, (node, _) in enumerate(walk(running.graph)):
        output = node.output[0]
        if output in stored and node.op_type not in ("Constant", "Identity") and not branches(node):
            layers = layers_of(sources.get(output, frozenset()))
            of = f"{' + '.join(layers)}: " if layers else ""
            fault = f"{of}{node.op_type} ({output}) was not folded: it runs for every text"
            yield positions.get(output, position), fault


def norm_states(
    model: onnx.ModelProto | str | Path,
    texts: Sequence[Mapping[str, np.ndarray]],
    running: onnx.ModelProto | None = None,
) -> list[list[np.ndarray]]:
    """What every layer norm gives, in the order of the file, for each of some inputs; no exit is taken.

    Args:
        texts: inputs of the file, by name.
        running: the file's optimized graph, if it is there already: its weights need no unpacking.

    Returns:
        Per text a float32 array `[batch, tokens, hidden]` per norm; the last layer's have one token only.
    """
    file = without_exits(model if isinstance(model, onnx.ModelProto) else onnx.load(model))
    names = [node.output[0] for node in file.graph.node if node.op_type == NORM]
    if not names:
        return [[] for _ in texts]
    flat = file if running is None else without_exits(running)
    flat.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = open_session(flat.SerializeToString(), is_optimized=running is not None)
    return [list(session.run(names, dict(text))) for text in texts]


def without_exits(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that always goes on: each `If` replaced by the nodes of its longer branch, values named as before."""
    flat = onnx.ModelProto()
    flat.CopyFrom(model)
    del flat.graph.node[:]
    _append(flat.graph, model.graph)
    return flat


def _append(flat: onnx.GraphProto, graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.op_type != "If":
            flat.node.append(node)
            flat.node[-1].name = ""  # the optimizer gives nodes of different branches one name
            continue
        longer = max(branches(node), key=lambda branch: len(branch.node))
        flat.initializer.extend(longer.initializer)
        _append(flat, longer)
        for inside, outside in zip(longer.output, node.output, strict=True):
            flat.node.append(helper.make_node("Identity", [inside.name], [outside]))

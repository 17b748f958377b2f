"""After building the session: does it run what the plan says, with everything unpacked and folded?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx

from autocomp.artifact.operators import branches, optimized, walk
from autocomp.errors import ExportMismatch
from autocomp.formats.quantize import LARGEST_PAIR
from autocomp.inspection.matmuls import WRITTEN_INT8, Product, constants, layers_of, products, stored_layers

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


def _wrong_products(model: onnx.ModelProto, found: list[Product], int8: Mapping[str, bool] | None) -> Iterator[Fault]:
    for product in found:
        fault = _wrong(product, _says_int8(product, int8))
        if product.saturates and int8 is not None:  # other files may, ours never
            fault = fault or f"{product.runs} reads neighbours above {LARGEST_PAIR} together: it overflows on some CPUs"
        if fault:
            yield product.place, f"{' + '.join(product.layers)}: {fault}"
    read = {layer for product in found for layer in product.layers}
    for layer, place in stored_layers(model).items():
        if layer not in read:
            yield place, f"{layer}: no product reads its weight as a constant, so nothing is prepacked"


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
    places = {name: place for place, (node, _) in enumerate(walk(model.graph)) for name in node.output}
    sources = constants(model.graph)
    stored = constants(running.graph)
    for place, (node, _) in enumerate(walk(running.graph)):
        output = node.output[0]
        if output in stored and node.op_type not in ("Constant", "Identity") and not branches(node):
            layers = layers_of(sources.get(output, frozenset()))
            of = f"{' + '.join(layers)}: " if layers else ""
            yield places.get(output, place), f"{of}{node.op_type} ({output}) was not folded: it runs for every text"

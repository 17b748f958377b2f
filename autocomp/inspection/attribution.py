"""Which layer does a running node, and a tensor that was unpacked for it, belong to?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from autocomp.artifact.operators import walk
from autocomp.inspection.matmuls import Product, Sources, constants

_WEIGHT = re.compile(r"(?P<layer>.+?)\.weight(?:[._].+)?$")
_BIAS = re.compile(r"(?P<layer>.+?)\.bias$")


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

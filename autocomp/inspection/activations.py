"""The states after every layer norm of a file, for comparing it with the model that it was written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from autocomp.artifact.operators import branches
from autocomp.artifact.runtime import open_session

NORM = "LayerNormalization"


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

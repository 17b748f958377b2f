"""The layers of the elastic encoder in standard ONNX operators.

Measured from 16 to 128 tokens, ONNX's Attention, LayerNormalization and Gelu are as fast as the runtime's own fused
operators or faster (its SkipLayerNormalization takes nine times as long), and allow each block its own number of heads.
DynamicQuantizeLinear + MatMulInteger become the runtime's int8 kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from autocomp.artifact.graph import Graph
from autocomp.artifact.weights import WeightStore
from autocomp.errors import ExportMismatch
from autocomp.models.shape import BlockShape

ACTIVATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
    "tanh": ("Tanh", {}),
}


def linears(graph: Graph, store: WeightStore, x: str, layers: Sequence[str]) -> list[str]:
    """Several linears of one input, which is quantized once for all of them.

    Args:
        x: float32 `[..., in]`.
        layers: name of each linear (`….query`, without `.weight`).
    """
    quantized: list[str] = []
    outputs = []
    for name in layers:
        if store.runs_int8(f"{name}.weight"):
            quantized = quantized or graph.ops("DynamicQuantizeLinear", 3, x)
            y = _int8_product(graph, store, quantized, f"{name}.weight")
        else:
            y = graph.op("MatMul", x, store.linear(graph, f"{name}.weight"))
        outputs.append(graph.op("Add", y, store.vector(graph, f"{name}.bias")))
    return outputs


def linear(graph: Graph, store: WeightStore, x: str, name: str) -> str:
    """`x @ weight.T + bias`."""
    return linears(graph, store, x, [name])[0]


def activation(graph: Graph, x: str, name: str) -> str:
    """Raises ExportMismatch when the name is not one of `ACTIVATIONS`."""
    if name not in ACTIVATIONS:
        raise ExportMismatch(f"no activation {name!r} in the exporter; known: {', '.join(ACTIVATIONS)}")
    kind, attributes = ACTIVATIONS[name]
    return graph.op(kind, x, **attributes)


def layer_norm(graph: Graph, store: WeightStore, x: str, name: str, epsilon: float) -> str:
    """LayerNorm over the last axis."""
    return graph.op(
        "LayerNormalization",
        x,
        store.vector(graph, f"{name}.weight"),
        store.vector(graph, f"{name}.bias"),
        epsilon=epsilon,
    )


def block(
    graph: Graph, store: WeightStore, x: str, mask: str, name: str, shape: BlockShape, kind: str, epsilon: float,
    first_only: bool = False,
) -> str:  # fmt: skip
    """One post-norm transformer layer.

    Args:
        x: `[batch, tokens, hidden]`.
        mask: additive attention mask `[batch, 1, n, tokens]`, n = 1 if `first_only`, else tokens.
        name: `blocks.3`.
        kind: activation of the feed-forward.
        first_only: compute the first token's output alone, `[batch, 1, hidden]`: all that the classifier reads of the
            last layer, which then needs keys and values of all tokens but a query of one.
    """
    kept = _first(graph, x) if first_only else x
    attended = attention(graph, store, kept, x, mask, f"{name}.attention", shape)
    y = layer_norm(graph, store, graph.op("Add", kept, attended), f"{name}.attention_norm", epsilon)
    inner = activation(graph, linear(graph, store, y, f"{name}.feed_forward.input"), kind)
    outer = linear(graph, store, inner, f"{name}.feed_forward.output")
    return layer_norm(graph, store, graph.op("Add", y, outer), f"{name}.feed_forward_norm", epsilon)


def attention(graph: Graph, store: WeightStore, asking: str, x: str, mask: str, name: str, shape: BlockShape) -> str:
    """Multi-head attention of `asking` `[batch, n, hidden]` to `x` `[batch, tokens, hidden]`.

    ONNX's own Attention splits and joins the heads itself: a tenth less time than Reshape, Transpose and Softmax around
    int8 projections, measured from 16 to 128 tokens. The runtime's contrib attentions are no faster.
    """
    graph.require(opset=23, ir_version=11)
    query, key, value = (f"{name}.{part}" for part in ("query", "key", "value"))
    if asking == x:
        q, k, v = linears(graph, store, x, [query, key, value])
    else:
        q, (k, v) = linear(graph, store, asking, query), linears(graph, store, x, [key, value])
    mixed = graph.op("Attention", q, k, v, mask, q_num_heads=shape.heads, kv_num_heads=shape.heads)
    return linear(graph, store, mixed, f"{name}.output")


def additive_mask(graph: Graph, attention_mask: str, for_all: bool) -> str:
    """0 where a token is, -10,000 where padding is (its softmax weight is exactly 0).

    Returns:
        `[batch, 1, tokens, tokens]` for all tokens, because ONNX Runtime's Attention wants a row per asking token;
        `[batch, 1, 1, tokens]` if only the first asks.
    """
    flat = graph.once("padding", lambda g: _padding(g, attention_mask))
    rows = graph.op("Unsqueeze", flat, graph.constant(np.array([1, 2])))
    # A number added to a whole row leaves its softmax as it is.
    return graph.op("Add", rows, graph.op("Unsqueeze", flat, graph.constant(np.array([1, 3])))) if for_all else rows


def mean_weights(graph: Graph, attention_mask: str) -> str:
    """Each token's share in the mean over the real tokens, `[batch, 1, tokens]`."""
    real = graph.op("Cast", attention_mask, to=TensorProto.FLOAT)
    axis = graph.constant(np.array([1]))
    return graph.op("Unsqueeze", graph.op("Div", real, graph.op("ReduceSum", real, axis, keepdims=1)), axis)


def exit_head(graph: Graph, store: WeightStore, x: str, shares: str, name: str) -> str:
    """Logits `[batch, labels]` from the masked mean of the hidden states."""
    mean = graph.op("Squeeze", graph.op("MatMul", shares, x), graph.constant(np.array([1])))
    return linear(graph, store, mean, name)


def first_token(graph: Graph, x: str) -> str:
    """`[batch, hidden]` of the first token."""
    return graph.op("Gather", x, graph.constant(np.array(0)), axis=1)


def _padding(graph: Graph, attention_mask: str) -> str:
    real = graph.op("Cast", attention_mask, to=TensorProto.FLOAT)
    padding = graph.op("Sub", graph.constant(np.array(1, np.float32)), real)
    return graph.op("Mul", padding, graph.constant(np.array(-1e4, np.float32)))


def _first(graph: Graph, x: str) -> str:
    start, stop, axis = (graph.constant(np.array([v])) for v in (0, 1, 1))
    return graph.op("Slice", x, start, stop, axis)


def _int8_product(graph: Graph, store: WeightStore, quantized: Sequence[str], weight: str) -> str:
    codes, scale, zero_point = quantized
    stored, row_scales = store.int8_linear(graph, weight)
    total = graph.op("MatMulInteger", codes, stored, zero_point)
    return graph.op("Mul", graph.op("Cast", total, to=TensorProto.FLOAT), graph.op("Mul", scale, row_scales))

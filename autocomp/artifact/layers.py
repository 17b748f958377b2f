"""The layers of the elastic encoder in standard ONNX operators.

Measured from 16 to 128 tokens, ONNX's Attention, LayerNormalization and Gelu are as fast as the runtime's own fused
operators or faster (its SkipLayerNormalization takes nine times as long), and allow each block its own number of heads.
DynamicQuantizeLinear + MatMulInteger become the runtime's int8 kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from autocomp.architectures import EncoderShape
from autocomp.artifact.graph import Graph
from autocomp.artifact.tokens import Tokens, additive_mask, mean_weights, most_attended, rows_at
from autocomp.artifact.weights import WeightStore
from autocomp.errors import ExportMismatch
from autocomp.formats.factors import factor_names

State = tuple[str, Tokens]
"""Hidden states `[batch, tokens, hidden]`, and what is known of their tokens."""

ACTIVATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
    "tanh": ("Tanh", {}),
}


def linears(graph: Graph, store: WeightStore, x: str, layers: Sequence[str]) -> list[str]:
    """Several linears of one input, which is quantized once for all of them; one of low rank is two in a row.

    Args:
        x: float32 `[..., in]`.
        layers: name of each linear (`….query`, without `.weight`).
    """
    x_int8 = _Quantized(x)
    outputs = []
    for name in layers:
        if store.runs_as_two(f"{name}.weight"):
            up, down = factor_names(f"{name}.weight")
            y = _product(graph, store, _Quantized(_product(graph, store, x_int8, down)), up)
        else:
            y = _product(graph, store, x_int8, f"{name}.weight")
        outputs.append(graph.op("Add", y, store.vector(graph, f"{name}.bias")))
    return outputs


def linear(graph: Graph, store: WeightStore, x: str, name: str) -> str:
    """`x @ weight.T + bias`."""
    return linears(graph, store, x, [name])[0]


def activation(graph: Graph, x: str, name: str) -> str:
    """An activation by its name.

    Raises:
        ExportMismatch: the name is not one of `ACTIVATIONS`.
    """
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


def block(graph: Graph, store: WeightStore, x: str, tokens: Tokens, shape: EncoderShape, depth: int) -> State:
    """One post-norm transformer layer.

    Where the head reads the first token only, the last layer computes that token's output alone, `[batch, 1, hidden]`.
    It then needs keys and values of all tokens but a query of one.

    Args:
        x: `[batch, tokens, hidden]`.
        tokens: what is known of these.
        shape: of the encoder.
        depth: which of its layers.
    """
    name, epsilon = f"blocks.{shape.order[depth]}", shape.norm_epsilon
    attended, kept, tokens = attention(graph, store, x, tokens, shape, depth)
    y = layer_norm(graph, store, graph.op("Add", kept, attended), f"{name}.attention_norm", epsilon)
    inner = activation(graph, linear(graph, store, y, f"{name}.feed_forward.input"), shape.activation)
    outer = linear(graph, store, inner, f"{name}.feed_forward.output")
    return layer_norm(graph, store, graph.op("Add", y, outer), f"{name}.feed_forward_norm", epsilon), tokens


def attention(
    graph: Graph, store: WeightStore, x: str, tokens: Tokens, shape: EncoderShape, depth: int
) -> tuple[str, str, Tokens]:
    """Multi-head attention of the layer at `depth`: its output, the rows of `x` that it is added to, and their tokens.

    ONNX's own Attention splits and joins the heads itself: a tenth less time than Reshape, Transpose and Softmax around
    int8 projections, measured from 16 to 128 tokens. The runtime's contrib attentions are no faster. Where tokens are
    left behind, its weights are its second output, and only those that go on are projected.
    """
    graph.require(opset=23, ir_version=11)
    index, last = shape.order[depth], depth == shape.depth - 1 and shape.reads_first_only
    query, key, value, output = (f"blocks.{index}.attention.{part}" for part in ("query", "key", "value", "output"))
    asking = _first(graph, x) if last else x
    if last:
        q, (k, v) = linear(graph, store, asking, query), linears(graph, store, x, [key, value])
    else:
        q, k, v = linears(graph, store, x, [query, key, value])
    mask = additive_mask(graph, tokens, first_only=last, local=depth < shape.local_layers)
    heads = shape.blocks[index].heads
    thousandths = shape.token_thousandths(depth)
    if thousandths is None:
        mixed = graph.op("Attention", q, k, v, mask, q_num_heads=heads, kv_num_heads=heads)
    else:
        mixed, weights = _attention_with_weights(graph, q, k, v, mask, heads)
        places, tokens = most_attended(graph, tokens, weights, thousandths)
        mixed, asking = (rows_at(graph, rows, places) for rows in (mixed, asking))
    return linear(graph, store, mixed, output), asking, tokens


def exit_head(graph: Graph, store: WeightStore, x: str, tokens: Tokens, name: str) -> str:
    """Logits `[batch, labels]` from the masked mean of the hidden states."""
    return linear(graph, store, token_mean(graph, x, tokens), name)


def token_mean(graph: Graph, x: str, tokens: Tokens) -> str:
    """`[batch, hidden]`, the mean over the tokens that are there."""
    return graph.op("Squeeze", graph.op("MatMul", mean_weights(graph, tokens), x), graph.constant(np.array([1])))


def first_token(graph: Graph, x: str) -> str:
    """`[batch, hidden]` of the first token."""
    return graph.op("Gather", x, graph.constant(np.array(0)), axis=1)


def _first(graph: Graph, x: str) -> str:
    start, stop, axis = (graph.constant(np.array([v])) for v in (0, 1, 1))
    return graph.op("Slice", x, start, stop, axis)


def _attention_with_weights(graph: Graph, q: str, k: str, v: str, mask: str, heads: int) -> tuple[str, str]:
    """Attention's output and its weights after the softmax, `[batch, heads, asking, tokens]`."""
    mixed, _, _, weights = graph.ops(
        "Attention", 4, q, k, v, mask, q_num_heads=heads, kv_num_heads=heads, qk_matmul_output_mode=3
    )
    graph.nodes[-1].output[1:3] = ["", ""]  # keys and values to go on from: ONNX Runtime 1.23 has none to give
    return mixed, weights


@dataclass
class _Quantized:
    """A value `x`, and its int8 codes, scale and zero point once an int8 product has needed them."""

    x: str
    codes: Sequence[str] = ()


def _product(graph: Graph, store: WeightStore, given: _Quantized, weight: str) -> str:
    """`x @ weight.T`, in int8 if the weight's format says so."""
    if not store.runs_int8(weight):
        return graph.op("MatMul", given.x, store.linear(graph, weight))
    given.codes = given.codes or graph.ops("DynamicQuantizeLinear", 3, given.x)
    codes, scale, zero_point = given.codes
    stored, row_scales = store.int8_linear(graph, weight)
    total = graph.op("MatMulInteger", codes, stored, zero_point)
    return graph.op("Mul", graph.op("Cast", total, to=TensorProto.FLOAT), graph.op("Mul", scale, row_scales))

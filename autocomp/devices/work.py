"""What a file does for a text, counted from the kernels that the runtime runs for it; its time follows from that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autocomp.artifact.graph import INT8_OPERATORS, optimized, walk
from autocomp.artifact.runtime import open_session
from autocomp.inspection.speed import Kernel, kernels

if TYPE_CHECKING:
    import onnx

Texts = Sequence[Mapping[str, np.ndarray]]
COUNTED = (
    "runs",  # 1: what a run costs beside its kernels
    "int8_products",
    "int8_macs",
    "int8_weights",
    "fp32_products",
    "fp32_macs",
    "fp32_weights",
    "quantized",  # activations turned into codes
    "scaled",  # outputs of int8 products, turned back
    "attention_macs",
    "attention_scores",  # heads x asking tokens x tokens: softmax
    "activated",  # values of GELU, tanh …
    "normed",  # values of layer norms
    "other_kernels",
    "other_bytes",  # written by them
)
"""What is counted, in the order of the counts."""
_FLOAT_PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "FusedGemm")
_ACTIVATIONS = ("Gelu", "FastGelu", "BiasGelu", "QuickGelu", "Tanh", "Erf")
_NORMS = ("LayerNormalization", "SkipLayerNormalization")
_INT8_PRODUCTS = (*INT8_OPERATORS, "MatMulNBits")


def work(model: onnx.ModelProto, texts: Texts) -> np.ndarray:
    """What a file does for each text, `[texts, len(COUNTED)]`; layers behind a taken exit do nothing.

    It depends on how many tokens a text has and on the exit that it takes, and on nothing else.

    Args:
        texts: inputs of the file, by name, of one text each.
    """
    running, kinds = optimized(model), _kinds(model, texts)
    first = dict(zip(kinds, texts, strict=True))
    heads = {node.output[0]: _heads(node) for node, _ in walk(running.graph) if node.op_type == "Attention"}
    runs = kernels(running, list(first.values()))
    counted = {key: _total_work(run, heads) for key, run in zip(first, runs, strict=True)}
    return np.array([counted[key] for key in kinds])


def _kinds(model: onnx.ModelProto, texts: Texts) -> list[tuple[int, int]]:
    """Tokens and layers run of each text: profiling each kind once is a hundred times quicker than each text."""
    tokens = [text["input_ids"].shape[1] for text in texts]
    if all(node.op_type != "If" for node in model.graph.node):
        return [(count, 0) for count in tokens]
    session = open_session(model.SerializeToString())
    depths = (int(session.run(["exit_depth"], dict(text))[0]) for text in texts)
    return list(zip(tokens, depths, strict=True))


def _heads(node: onnx.NodeProto) -> int:
    return int(next(a.i for a in node.attribute if a.name == "q_num_heads"))


def _total_work(run: Sequence[Kernel], heads: Mapping[str, int]) -> list[float]:
    total = dict.fromkeys(COUNTED, 0.0) | {"runs": 1.0}
    for kernel in run:
        for name, count in _counts(kernel, heads).items():
            total[name] += count
    return list(total.values())


def _counts(kernel: Kernel, heads: Mapping[str, int]) -> dict[str, float]:
    operator, inputs, outputs = kernel.operator, kernel.inputs, kernel.outputs
    if operator in (*_INT8_PRODUCTS, *_FLOAT_PRODUCTS):
        return _of_product(operator, inputs, outputs[0])
    if operator == "Attention":
        (*_, queries, width), (*_, tokens, _), (*_, values) = inputs[:3]
        pairs = queries * tokens
        return {"attention_macs": pairs * (width + values), "attention_scores": pairs * heads[kernel.name]}
    size = math.prod(outputs[0]) if outputs else 0
    names = {"DynamicQuantizeLinear": "quantized"}
    names |= dict.fromkeys(_ACTIVATIONS, "activated") | dict.fromkeys(_NORMS, "normed")
    if operator in names:
        return {names[operator]: size}
    return {"other_kernels": 1.0, "other_bytes": kernel.output_bytes}


def _of_product(operator: str, inputs: Sequence[Sequence[int]], output: Sequence[int]) -> dict[str, float]:
    """Work of a product; a weight that the runtime has packed is not among its reported inputs, an activation is."""
    inner, size = inputs[0][-1], math.prod(output)
    kind = "int8" if operator in _INT8_PRODUCTS else "fp32"
    has_weight = sum(len(shape) > 1 for shape in inputs) == 1
    counts = {f"{kind}_products": 1.0, f"{kind}_macs": float(size * inner)}
    counts[f"{kind}_weights"] = float(has_weight * inner * output[-1])
    if kind == "int8":
        counts["scaled"] = float(size)
    if operator == "DynamicQuantizeMatMul":
        counts["quantized"] = float(math.prod(inputs[0]))
    return counts

"""How close to the machine's limit a small int8 student runs, and where the rest goes.

    python benchmarks/limit.py                   # two minutes
    python benchmarks/limit.py --without-amx     # as on a CPU that has VNNI but no AMX

The student has 3 layers of hidden size 384, 12 heads and feed-forward 768, random weights. Three times for each length,
one thread, interleaved:

    floor      the int8 multiply-adds that it does at the machine's measured rate (128 x 768 x 3072)
    products   a file that holds nothing but the products, in their sizes, each with a weight of its own, so that these
               come from where they come from in use; quantizing and scaling included, which the operator does
    student    the whole file

The last layer computes only the first token. `plain floor` counts every token in every layer, as a plain export does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from artifact import formats, machine, random_weights
from onnx import TensorProto, helper

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.artifact.graph import Graph
from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import write_model
from autocomp.formats import usual_format
from autocomp.heads import HeadShape
from autocomp.inspection.speed import floor, gemm_rates
from autocomp.timing import time_interleaved

RESULTS = Path(__file__).parent / "results"
LENGTHS = (16, 25, 64, 128)
HIDDEN, INNER, LAYERS = 384, 768, 3
ROUNDS, REPEATS = 25, 40
SHAPE = EncoderShape(
    4000, 128, 2, HIDDEN, HIDDEN, (BlockShape(12, 32, INNER),) * LAYERS, tuple(range(LAYERS)), HeadShape(2, HIDDEN)
)


def student(activation: str = "gelu") -> onnx.ModelProto:
    """The whole file, 8 bits."""
    weights = random_weights(SHAPE)
    chosen = formats(weights, usual_format(8))
    return write_model(SHAPE.with_(activation=activation), weights, chosen, pairs=False)


def products() -> onnx.ModelProto:
    """The student's products, one after another; after the last layer's keys and values only the first token's."""
    graph, rng = Graph(), np.random.default_rng(0)
    x = "x"
    for layer in range(LAYERS):
        sizes = [(HIDDEN, HIDDEN)] * 4 + [(HIDDEN, INNER), (INNER, HIDDEN)]
        for place, (inputs, outputs) in enumerate(sizes):
            if layer == LAYERS - 1 and place == 2:
                cut = (graph.constant(np.array([v])) for v in (0, 1, 1))
                x = graph.op("Slice", x, *cut)
            x = _product(graph, rng, x, inputs, outputs)
    graph.rename(x, "y")
    shapes = (("x", ["batch", "tokens", HIDDEN]), ("y", None))
    given, gives = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    return graph.to_model([given], [gives])


def _product(graph: Graph, rng: np.random.Generator, x: str, inputs: int, outputs: int) -> str:
    codes, scale, zero = graph.ops("DynamicQuantizeLinear", 3, x)
    weight = graph.constant(rng.integers(-127, 128, (inputs, outputs)).astype(np.int8))
    scales = graph.op("Mul", scale, graph.constant(rng.uniform(1e-3, 2e-3, outputs).astype(np.float32)))
    total = graph.op("Cast", graph.op("MatMulInteger", codes, weight, zero), to=TensorProto.FLOAT)
    return graph.op("Mul", total, scales)


def measure(tokens: int) -> dict[str, float]:
    """Milliseconds of each, for one text."""
    rng = np.random.default_rng(tokens)
    ids = rng.integers(1000, 4000, (1, tokens))
    text = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    states = {"x": rng.normal(size=(1, tokens, HIDDEN)).astype(np.float32)}
    whole = student()
    files = {"student": (whole, text), "with ReLU": (student("relu"), text), "products": (products(), states)}
    runs = {}
    for name, (model, given) in files.items():
        session = open_session(model.SerializeToString())
        runs[name] = lambda _, session=session, given=given: session.run(None, given)
    times = time_interleaved(runs, rounds=ROUNDS, inputs=REPEATS)
    found = {name: float(np.median(np.median(taken, axis=1))) for name, taken in times.items()}
    least = floor(whole, [text])
    plain = LAYERS * tokens * (4 * HIDDEN**2 + 2 * HIDDEN * INNER)
    found |= {"int8 multiply-adds": least.int8_macs, "plain multiply-adds": plain}
    found |= {"floor": least.ms, "plain floor": plain / gemm_rates().int8}
    found |= {f"student over {base}": found["student"] / found[base] for base in ("floor", "plain floor")}
    found |= {"student over products": found["student"] / found["products"]}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def main() -> int:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without-amx", action="store_true", help="hide AMX from the runtime (Linux, x86-64)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.without_amx:
        from _instructions import rerun_without_amx

        rerun_without_amx()
    found: dict[str, Any] = {str(tokens): measure(tokens) for tokens in LENGTHS}
    for tokens, figures in found.items():
        print(f"{tokens} tokens:", figures)
    rates = gemm_rates()
    gemm = {"int8 GMAC/s": round(rates.int8 / 1e6), "fp32 GMAC/s": round(rates.fp32 / 1e6)}
    out = args.out or RESULTS / f"limit{'-vnni' if args.without_amx else ''}.json"
    kept = {**machine(), "instructions": "without AMX" if args.without_amx else "all", "rates": gemm, "tokens": found}
    out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(out, gemm)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Size, load time and latency of our files beside FP32, plain int8 and MatMulNBits, interleaved in one run.

    python benchmarks/artifact.py                                   # everything: about 20 minutes
    python benchmarks/artifact.py --shapes minilm --threads 1       # a part of it
    python benchmarks/artifact.py --without-amx                     # as on a CPU that has VNNI but no AMX

Shapes are real, weights random: neither bytes nor times depend on their values, but for sparsity. Needs `onnx-ir`
beside what `make install` brings (ONNX Runtime's 4-bit quantizer asks for it): `pip install onnx-ir`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from autocomp.architectures import BlockShape, EncoderShape
from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import plain_int8, write_model
from autocomp.formats import WeightFormat, usual_format
from autocomp.formats.numbers import encode, stored_bytes
from autocomp.heads import HeadShape
from autocomp.timing import once, time_interleaved

RESULTS = Path(__file__).parent / "results"
INPUTS, LOADS = 8, 9
REOPENED = 3
"""Where the weights come to lie in memory differs from session to session, and with it the time, by up to 5 %."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 25
BASES = ("plain int8", "MatMulNBits 4 bits", "8 bits")
EXITING, NEVER = "8 bits, exit", 2.0
"""A threshold that no probability reaches."""

Weights = dict[str, np.ndarray]


def bert(layers: int, hidden: int, heads: int) -> EncoderShape:
    """A BERT of the usual proportions, uncased vocabulary, two labels."""
    blocks = (BlockShape(heads, hidden // heads, 4 * hidden),) * layers
    return EncoderShape(30522, 512, 2, hidden, hidden, blocks, tuple(range(layers)), HeadShape(2, hidden))


SHAPES = {"minilm": bert(6, 384, 12), "bert_base": bert(12, 768, 12)}
OURS = {
    **{f"{bits} bits": usual_format(bits) for bits in (8, 4, 3, 2)},
    "8 bits, 80 % sparse": WeightFormat(8, sparse=True),
    "8 bits, 90 % sparse": WeightFormat(8, sparse=True),
    "3-bit codebook": WeightFormat(3, numbers="codebook", outliers=0.001),
    "3 bits, groups of 64": WeightFormat(3, group=64),
}
SPARSITY = {"8 bits, 80 % sparse": 0.8, "8 bits, 90 % sparse": 0.9}


def random_weights(shape: EncoderShape) -> Weights:
    """Weights by name; no two vectors are equal, for equal constants would be stored once."""
    import torch

    from autocomp.models.encoder import plain_weights
    from autocomp.testing.models import scattered_encoder

    encoder = scattered_encoder(shape, torch.Generator().manual_seed(0))
    return {name: value.numpy() * (0.1 if value.ndim == 2 else 1) for name, value in plain_weights(encoder).items()}


def sparse(weights: Weights, fraction: float) -> Weights:
    """The smallest of each matrix set to zero."""
    return {n: np.where(np.abs(w) < np.quantile(np.abs(w), fraction), 0, w) if _is_stored(n, w) else w
            for n, w in weights.items()}  # fmt: skip


def _is_stored(name: str, weight: np.ndarray) -> bool:
    """Every matrix has the format but the classifiers; token types are folded into the positions."""
    return weight.ndim == 2 and not name.startswith(("exits", "head.classifier", "embeddings.token_type"))


def formats(weights: Weights, format: WeightFormat) -> dict[str, WeightFormat]:
    """Linears in the format, embeddings as they usually are at its bits."""
    table = replace(usual_format(format.bits), sparse=format.sparse)
    return {n: table if "embeddings" in n else format for n, w in weights.items() if _is_stored(n, w)}


def information(weights: Weights, format: WeightFormat) -> int:
    """Bytes that a file must hold: codes, masks, scales and FP32 vectors."""
    chosen, total = formats(weights, format), 0
    for name, weight in weights.items():
        if name in chosen:
            nonzeros = np.count_nonzero(encode(weight, chosen[name]).codes) if format.sparse else None
            total += stored_bytes(weight.shape, chosen[name], nonzeros)
        elif "token_type" not in name:
            total += weight.nbytes
    return total


def matmul_nbits(fp32: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime's 4-bit weights in its fastest setting here: blocks of 128, int8 activations."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    copy = onnx.ModelProto()
    copy.CopyFrom(fp32)
    quantizer = MatMulNBitsQuantizer(copy, bits=4, block_size=128, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    return quantizer.model.model


def build(shape: EncoderShape) -> Iterator[tuple[str, onnx.ModelProto, int | None]]:
    """(name, model, bytes of information if it is ours) of every subject."""
    weights = random_weights(shape)
    fp32 = write_model(shape, weights, {}, pairs=False)
    yield "fp32", fp32, None
    yield "plain int8", plain_int8(fp32), None
    yield "MatMulNBits 4 bits", matmul_nbits(fp32), None
    for name, format in OURS.items():
        kept = sparse(weights, SPARSITY[name]) if name in SPARSITY else weights
        yield name, write_model(shape, kept, formats(kept, format), pairs=False), information(kept, format)
    half = shape.with_(exits=(shape.depth // 2,))
    weights = random_weights(half)
    yield (
        EXITING,
        write_model(half, weights, formats(weights, OURS["8 bits"]), pairs=False, exit_threshold=0.9),
        None,
    )


def inputs_of(shape: EncoderShape, tokens: int) -> list[dict[str, np.ndarray]]:
    """Random texts of one length."""
    rng = np.random.default_rng(tokens)
    ids = rng.integers(1000, shape.vocabulary, (INPUTS, 1, tokens))
    return [{"input_ids": row, "attention_mask": np.ones_like(row)} for row in ids]


def median_confidence(file: Path, inputs: list[dict[str, np.ndarray]]) -> float:
    """The threshold at which half of the inputs leave, found by bisection on the file itself."""
    low, high = 0.0, 1.0
    layers = _layers_run(file, inputs, NEVER)
    for _ in range(20):
        middle = (low + high) / 2
        left = (_layers_run(file, inputs, middle) < layers).sum()
        low, high = (middle, high) if left > len(inputs) / 2 else (low, middle)
    return high


def _layers_run(file: Path, inputs: list[dict[str, np.ndarray]], threshold: float) -> np.ndarray:
    session = open_session(file, exit_threshold=threshold)
    return np.array([session.run(["exit_depth"], given)[0] for given in inputs])


def latencies(
    files: Mapping[str, Path], shape: EncoderShape, threads: int, tokens: int, seconds: float
) -> dict[str, Any]:
    """`{subject: {mean, p50, p95, over plain int8, over 8 bits}}` in ms, all subjects in turns.

    Every file is opened anew several times, in another order each time.
    """
    inputs, orders = inputs_of(shape, tokens), np.random.default_rng(tokens)
    timed, half = [], median_confidence(files[EXITING], inputs)
    for _ in range(REOPENED):
        names = [str(name) for name in orders.permutation(list(files))]
        timed.append(_timed(_opened({n: files[n] for n in names}, threads, half), inputs, seconds / REOPENED))
    together = {name: np.concatenate([times[name] for times in timed]) for name in timed[0]}
    return {name: {**_figures(together[name]), **_ratios(timed, name)} for name in together}


def _opened(files: Mapping[str, Path], threads: int, half: float) -> dict[str, Any]:
    """A session of each subject; a file with an exit is two."""
    sessions = {name: open_session(file, threads) for name, file in files.items() if name != EXITING}
    sessions[f"{EXITING} never taken"] = open_session(files[EXITING], threads, exit_threshold=NEVER)
    sessions[f"{EXITING} taken by half"] = open_session(files[EXITING], threads, exit_threshold=half)
    return sessions


def _timed(sessions: Mapping[str, Any], inputs: list[dict[str, np.ndarray]], seconds: float) -> dict[str, np.ndarray]:
    """Milliseconds of each subject `[rounds, inputs]`."""
    runs = {name: _runner(session, inputs) for name, session in sessions.items()}
    probe = time_interleaved(runs, rounds=1, warmup=1, inputs=INPUTS)
    rounds = int(np.clip(seconds * 1e3 / sum(t.sum() for t in probe.values()), LEAST_ROUNDS, MOST_ROUNDS))
    return time_interleaved(runs, rounds=rounds, warmup=0, inputs=INPUTS)


def _ratios(timed: Sequence[Mapping[str, np.ndarray]], name: str) -> dict[str, float]:
    """Means over sessions of medians over rounds of the ratio within a round: what slows a whole round cancels."""

    def over(base: str) -> float:
        return float(np.mean([np.median(t[name].mean(axis=1) / t[base].mean(axis=1)) for t in timed]))

    return {f"over {base}": round(over(base), 4) for base in BASES}


def _runner(session: Any, inputs: list[dict[str, np.ndarray]]) -> Callable[[int], object]:
    return lambda index: session.run(None, inputs[index])


def _figures(times: np.ndarray) -> dict[str, float]:
    each = np.median(times, axis=0)
    low, high = np.percentile(times.mean(axis=1), [25, 75])
    p50, p95 = np.percentile(times, [50, 95])
    found = {"mean": each.mean(), "p50": p50, "p95": p95, "spread": high - low}
    return {name: round(float(value), 4) for name, value in found.items()}


def load_times(files: Mapping[str, Path]) -> dict[str, float]:
    """Milliseconds to open each file, median of several turns."""

    def opened(file: Path) -> float:
        return once(open_session, file)[1]

    taken = [{name: opened(file) for name, file in files.items()} for _ in range(LOADS)]
    return {name: round(float(np.median([t[name] for t in taken])), 2) for name in files}


def measure(name: str, threads: list[int], tokens: list[int], seconds: float, folder: Path) -> dict[str, Any]:
    """Everything about one shape."""
    shape, files, known = SHAPES[name], {}, {}
    for subject, model, stored in build(shape):
        files[subject] = folder / f"{name}-{len(files)}.onnx"
        files[subject].write_bytes(model.SerializeToString())
        known[subject] = {"bytes": files[subject].stat().st_size, "information": stored}
        print(f"{name}: {subject}: {known[subject]['bytes'] / 1e6:.2f} MB", flush=True)
    for subject, ms in load_times(files).items():
        known[subject]["load_ms"] = ms
    timed = []
    for count in threads:
        for length in tokens:
            figures = latencies(files, shape, count, length, seconds)
            timed.append({"threads": count, "tokens": length, "ms": figures})
            print(f"{name}: {count} threads, {length} tokens:", {k: v["mean"] for k, v in figures.items()}, flush=True)
    return {"files": known, "latency": timed}


def claims(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each claim of the artifact as its worst figure over all shapes, threads and lengths, beside its limit."""
    files = [shape["files"] for shape in found.values()]

    def over(name: str, base: str) -> list[float]:
        return [row["ms"][name][f"over {base}"] for shape in found.values() for row in shape["latency"]]

    def smaller(name: str) -> float:
        return min(f["plain int8"]["bytes"] / f[name]["bytes"] for f in files)

    stored = [f[n]["bytes"] / f[n]["information"] for f in files for n in OURS]
    shown = {
        **{f"latency over plain int8: {n}": ("at most", 1.05, max(over(n, "plain int8"))) for n in OURS},
        "file over information stored": ("at most", 1.03, max(stored)),
        "4 bits: times smaller than plain int8": ("at least", 1.9, smaller("4 bits")),
        "4 bits: times faster than MatMulNBits": ("at least", 1.5, 1 / max(over("4 bits", "MatMulNBits 4 bits"))),
        "90 % sparse: times smaller than plain int8": ("at least", 4.0, smaller("8 bits, 90 % sparse")),
        "exit taken by half: mean over full": ("at most", 0.8, max(over("8 bits, exit taken by half", "8 bits"))),
        "exit never taken: mean over full": ("at most", 1.02, max(over("8 bits, exit never taken", "8 bits"))),
    }
    if "minilm" in found:
        loads = found["minilm"]["files"]
        ratio = loads["4 bits"]["load_ms"] / loads["plain int8"]["load_ms"]
        shown["MiniLM at 4 bits: load time over plain int8"] = ("at most", 3.0, ratio)
    return {name: _judged(*claim) for name, claim in shown.items()}


def _judged(way: str, limit: float, value: float) -> dict[str, Any]:
    holds = value <= limit if way == "at most" else value >= limit
    return {way: limit, "found": round(float(value), 4), "holds": bool(holds)}


def machine() -> dict[str, Any]:
    """Processor and versions."""
    from autocomp.environment import machine_facts, versions

    return {"machine": machine_facts(), "versions": versions()}


def main() -> int:
    """Measure, judge, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--tokens", nargs="+", type=int, default=[16, 64, 128])
    parser.add_argument("--seconds", type=float, default=25, help="for each shape, number of threads and length")
    parser.add_argument("--without-amx", action="store_true", help="hide AMX from the runtime (Linux, x86-64)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.without_amx:
        from _instructions import rerun_without_amx

        rerun_without_amx()
    with tempfile.TemporaryDirectory() as folder:
        found = {n: measure(n, args.threads, args.tokens, args.seconds, Path(folder)) for n in args.shapes}
    judged = claims(found)
    out = args.out or RESULTS / f"artifact{'-vnni' if args.without_amx else ''}.json"
    kept = {**machine(), "instructions": "without AMX" if args.without_amx else "all", "claims": judged, **found}
    out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for name, claim in judged.items():
        print(f"{'holds' if claim['holds'] else 'FAILS'}  {name}: {claim}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

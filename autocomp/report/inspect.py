"""What is in an artifact, layer by layer, and how near to its floor it runs here."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

import numpy as np

from autocomp.artifact.files import MODEL, TOKENIZER, file_bytes
from autocomp.measures import figures_of, headline, measures_of_files, of_files
from autocomp.strict_json import Json, JsonView
from autocomp.timing import time_interleaved

if TYPE_CHECKING:
    import onnx

    from autocomp.artifact.loader import Predictor
    from autocomp.inspection.matmuls import Product, Unpacked
    from autocomp.inspection.speed import NodeTime
    from autocomp.inspection.stored import StoredWeight

Inputs = Sequence[Mapping[str, np.ndarray]]
THRESHOLD = "exit_threshold"


class Exits(TypedDict):
    """After which layers texts may leave, of how many, by which rule, and its threshold; None if the file has none."""

    rule: str
    depths: list[int]
    layers: NotRequired[int]
    threshold: float | None


class LayerContents(TypedDict):
    """A layer of a file: what it stores of it, and what running it takes.

    Attributes:
        shape: outputs and inputs of a linear, rows and width of an embedding, length of a vector.
        rank: of its factors; None where it has none.
        numbers, bits: the number system of its codes, and bits of each.
        parameters, stored_parameters: numbers, and those of them that the file holds.
        sparsity: fraction that is zero; None where codes do not tell.
        bytes: in the file.
        runs: how its products are computed: `int8`, `float32`.
        macs: multiply-adds a text.
        time_share: fraction of the profiled time.
    """

    layer: str
    shape: list[int]
    rank: int | None
    numbers: str
    bits: int
    parameters: int
    stored_parameters: int
    sparsity: float | None
    is_stored_sparse: bool
    bytes: int
    runs: list[str]
    macs: float
    time_share: float


class OperatorShare(TypedDict):
    """The fraction of the profiled time that one kind of operator takes."""

    operator: str
    time_share: float


class Contents(TypedDict, total=False):
    """Everything that `autocomp inspect` shows: docs/command-line.md says what its keys are.

    Sizes are bytes, times milliseconds; figures of measures of files stand beside these keys, under their own.
    """

    artifact: str
    files: dict[str, int]
    weight_bytes: int
    graph_bytes: int
    stored_parameters: int
    parameters: int
    bytes: int
    gzip_bytes: int
    resident_mb: float | None
    labels: list[str]
    max_length: int
    pairs: bool
    vocabulary: int
    exits: Exits | None
    plan: JsonView | None
    load_ms: float
    tokens: float
    latency_ms: float
    floor_ms: float
    latency_over_floor: float
    int8_macs: float
    fp32_macs: float
    layers: list[LayerContents]
    operators: list[OperatorShare]
    predicted: JsonView | None


def contents(folder: Path, predictor: Predictor, texts: Inputs, load_ms: float, rounds: int = 20) -> Contents:
    """Everything that `autocomp inspect` shows; keys are described in docs/command-line.md.

    Args:
        predictor: of the folder, with one thread.
        texts: prepared inputs of one text each, over which times are measured.
    """
    import onnx

    from autocomp.artifact.graph import optimized
    from autocomp.inspection.matmuls import layers_of_nodes, products, unpacked
    from autocomp.inspection.speed import floor_of, node_times
    from autocomp.inspection.stored import stored_weights

    model = onnx.load(folder / MODEL)
    running = optimized(model)
    found, weights = products(model, running), stored_weights(model)
    times = node_times(running, texts, min(rounds, 10))
    by_layer = _shares(times, layers_of_nodes(model, running, found))
    by_operator = _shares(times, {output: t.operator for output, t in times.items()})
    latency, least = _latency_ms(predictor, texts, rounds), floor_of(found, times, len(texts))
    known: Json = {
        "artifact": str(folder),
        **_sizes(folder, weights),
        **_facts(folder, model, predictor, weights),
        "load_ms": load_ms,
        "tokens": float(np.mean([text["input_ids"].shape[1] for text in texts])),
        headline()[1].key: latency,
        "floor_ms": least.ms,
        "latency_over_floor": latency / least.ms,
        "int8_macs": least.int8_macs,
        "fp32_macs": least.fp32_macs,
        "layers": _layers(weights, unpacked(model, running), found, by_layer, len(texts), times),
        "operators": [
            {"operator": name, "time_share": share}
            for name, share in sorted(by_operator.items(), key=lambda item: -item[1])
        ],
    }
    return cast(Contents, known)  # figures come under the keys that measures declare


def _sizes(folder: Path, weights: Sequence[StoredWeight]) -> Json:
    files = file_bytes(folder)
    return {
        "files": files,
        "weight_bytes": sum(w.nbytes for w in weights),
        "graph_bytes": files[MODEL] - sum(w.nbytes for w in weights),
        "stored_parameters": sum(w.values for w in weights),
        **figures_of({name: of_files(name, folder) for name in measures_of_files()}),
    }


def _facts(folder: Path, model: onnx.ModelProto, predictor: Predictor, weights: Sequence[StoredWeight]) -> Json:
    tokenizer = json.loads((folder / TOKENIZER).read_bytes())
    manifest = predictor.manifest
    return {
        "labels": list(manifest["labels"]),
        "max_length": manifest["max_length"],
        "pairs": manifest["pairs"],
        "vocabulary": len(tokenizer.get("model", {}).get("vocab", ())),
        "exits": _exits(model, manifest.get("exits"), weights),
        "plan": manifest.get("plan"),
    }


def _exits(model: onnx.ModelProto, stated: JsonView | None, weights: Sequence[StoredWeight]) -> Exits | None:
    """Depths and threshold from the file, the rule from the manifest."""
    import onnx

    depths = sorted({int(w.layer.split(".")[1]) for w in weights if w.layer.startswith("exits.")})
    if not depths:
        return None
    threshold = next((t for t in model.graph.initializer if t.name == THRESHOLD), None)
    value = None if threshold is None else float(onnx.numpy_helper.to_array(threshold))
    return cast(Exits, {"rule": "probability", **(stated or {}), "depths": depths, "threshold": value})


def _latency_ms(predictor: Predictor, texts: Inputs, rounds: int) -> float:
    """Mean over texts of each one's median; profiling is off."""

    def run(index: int) -> object:
        return predictor.run(dict(texts[index]))

    taken = time_interleaved({"file": run}, rounds, inputs=len(texts))["file"]
    return float(np.median(taken, axis=0).mean())


def _layers(
    weights: Sequence[StoredWeight],
    tensors: Mapping[str, Unpacked],
    found: Sequence[Product],
    shares: Mapping[str, float],
    texts: int,
    times: Mapping[str, NodeTime],
) -> list[LayerContents]:
    """A row for every layer, in the order of the file."""
    from autocomp.inspection.speed import macs

    own: dict[str, list[StoredWeight]] = defaultdict(list)
    for weight in weights:
        own[weight.layer].append(weight)
    rows: list[LayerContents] = []
    for layer, parts in own.items():
        main = next((w for w in parts if not w.name.endswith(".bias")), parts[0])
        runs = [p for p in found if layer in p.layers]
        shape, rank = _shape(parts, runs, tensors.get(layer))
        rows.append({
            "layer": layer,
            "shape": shape,
            "rank": rank,
            "numbers": main.numbers,
            "bits": main.bits,
            "parameters": sum(w.size for w in parts),
            "stored_parameters": sum(w.values for w in parts),
            "sparsity": 1 - main.values / main.size if main.is_sparse else _zeros(main, tensors.get(layer)),
            "is_stored_sparse": main.is_sparse,
            "bytes": sum(w.nbytes for w in parts),
            "runs": sorted({p.runs for p in runs}),
            "macs": sum(macs(p, times) for p in runs) / texts,
            "time_share": shares.get(layer, 0.0),
        })  # fmt: skip
    return rows


def _shape(
    parts: Sequence[StoredWeight], runs: Sequence[Product], tensor: Unpacked | None
) -> tuple[list[int], int | None]:
    """Outputs and inputs of a linear, rows and width of an embedding, length of a vector; and the rank of factors."""
    sizes = [p.size for p in runs if p.size]
    up = next((w.size for w in parts if w.name.endswith(".up")), None)
    if up is None or not sizes:
        return (list(sizes[0])[::-1] if sizes else list(tensor.shape) if tensor else [parts[0].size]), None
    if len(sizes) > 1 and sizes[0] != sizes[1]:  # two products in a row
        return [sizes[1][1], sizes[0][0]], sizes[0][1]
    return list(sizes[0])[::-1], up // sizes[0][1]


def _zeros(main: StoredWeight, tensor: Unpacked | None) -> float | None:
    """Codes of a table that is looked up as it is stored need not be zero where the weight is."""
    if tensor is None or (main.numbers in ("codebook", "adaptivfloat") and main.layer.startswith("embeddings.")):
        return None
    return tensor.zeros


def _shares(times: Mapping[str, NodeTime], keys: Mapping[str, str]) -> dict[str, float]:
    """Fraction of the profiled time by key; nodes that have none are left out."""
    whole, found = sum(t.us for t in times.values()), defaultdict[str, float](float)
    for output, time_ in times.items():
        if output in keys:
            found[keys[output]] += time_.us / whole
    return dict(found)

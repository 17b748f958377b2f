"""Do our files run in the browser's engine? Answers of onnxruntime-web under Node beside ONNX Runtime's in Python.

    python benchmarks/node.py --model ../shared/teachers/minilm-sst2 --texts sentences.txt

Needs Node 20 and npm, which installs onnxruntime-web (WebAssembly) into a temporary folder. onnxruntime-node is the
same runtime as Python's, but fetches its library from elsewhere than npm.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autocomp.architectures._encoder import Encoder
from autocomp.artifact.converting import TEXTS
from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import plain_int8, write_model
from autocomp.formats import WeightFormat
from autocomp.heads import HeadShape
from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.models.loading import MINILM, load_teacher
from autocomp.models.slicing import add_exits, keep_layers, keep_ranks, keep_tokens
from autocomp.models.student import Student
from autocomp.tasks import Example
from autocomp.training.predictions import fit_exits

HERE = Path(__file__).parent
VERSION = "1.30.0"
FORMATS = {
    "8 bits": WeightFormat(8),
    "7 bits": WeightFormat(7),
    "6 bits": WeightFormat(6),
    "5 bits": WeightFormat(5),
    "4 bits": WeightFormat(4),
    "3 bits": WeightFormat(3),
    "2 bits": WeightFormat(2),
    "4 bits, groups of 64": WeightFormat(4, group=64),
    "8 bits, 80 % sparse": WeightFormat(8, sparse=True),
    "4 bits, 80 % sparse": WeightFormat(4, sparse=True),
    "4-bit levels": WeightFormat(4, numbers="levels"),
    "3-bit levels": WeightFormat(3, numbers="levels"),
    "2-bit levels": WeightFormat(2, numbers="levels"),
    "4-bit codebook with outliers": WeightFormat(4, numbers="codebook", outliers=0.001),
    "6-bit AdaptivFloat": WeightFormat(6, numbers="adaptivfloat"),
    "FP16": WeightFormat(16, numbers="float16"),
    "BF16": WeightFormat(16, numbers="bfloat16"),
}

HEADS = {
    "4 bits, several labels off the mean": HeadShape(28, kind="multi_label", pooling="mean"),
    "4 bits, a number off the mean": HeadShape(1, kind="regression", pooling="mean", scale=1.5, offset=2.5),
}
"""Heads of other kinds, with random weights."""


def with_head(encoder: Encoder, head: HeadShape) -> Encoder:
    """The encoder under another head."""
    weights = {n: w for n, w in plain_weights(encoder).items() if not n.startswith("head.")}
    draw = torch.Generator().manual_seed(0)
    weights["head.classifier.weight"] = torch.randn(head.labels, encoder.shape.hidden, generator=draw) / 4
    weights["head.classifier.bias"] = torch.zeros(head.labels)
    return encoder_from(encoder.shape.with_(head=head), weights)


def written(encoder: Encoder, format: WeightFormat | None, threshold: float | None = None) -> bytes:
    """A file of an encoder; sparse ones lose their smallest weights first."""
    weights = {name: w.numpy() for name, w in plain_weights(encoder).items()}
    stored = [n for n, w in weights.items() if w.ndim == 2 and n.startswith(("blocks", "embeddings.word"))]
    if format and format.sparse:
        weights |= {
            n: np.where(np.abs(weights[n]) < np.quantile(np.abs(weights[n]), 0.8), 0, weights[n]) for n in stored
        }
    formats = dict.fromkeys(stored, format) if format else {}
    tables = {n: WeightFormat(f.bits if f.bits <= 8 else 8) for n, f in formats.items() if "embeddings" in n}
    model = write_model(encoder.shape, weights, {**formats, **tables}, pairs=False, exit_threshold=threshold)
    return bytes(model.SerializeToString())


def files(student: Student, texts: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every kind of file, by name."""
    encoder = student.encoder
    fp32 = written(encoder, None)
    yield "FP32", fp32
    import onnx

    yield "plain int8", plain_int8(onnx.load_from_string(fp32)).SerializeToString()
    for name, format in FORMATS.items():
        yield name, written(encoder, format)
    answers = in_python(fp32, batches(student, texts))[: len(texts)]
    labels = [Example(text, None, int(logits.argmax())) for text, (logits, _) in zip(texts, answers, strict=True)]
    exits = add_exits(encoder, (2, 4), torch.Generator().manual_seed(0))
    fitted = fit_exits(replace(student, encoder=exits), labels, np.random.default_rng(0))
    yield "8 bits, exits", written(fitted.encoder, WeightFormat(8), 0.95)
    yield "4 bits, tokens left behind", written(keep_tokens(encoder, (0.8,) * encoder.shape.depth), WeightFormat(4))
    ranks = {f"blocks.{b}.feed_forward.input.weight": 96 for b in range(len(encoder.shape.blocks))}
    yield "8 bits, rank 96", written(keep_ranks(encoder, ranks), WeightFormat(8))
    for name, head in HEADS.items():
        yield name, written(with_head(encoder, head), WeightFormat(4))
    yield "4 bits, 3 layers", written(keep_layers(encoder, (0, 2, 4)), WeightFormat(4))


def batches(student: Student, texts: list[str]) -> list[dict[str, list[list[int]]]]:
    """One text each, then two padded batches."""
    student.tokenizer.enable_truncation(student.max_length)
    ids = [e.ids for e in student.tokenizer.encode_batch(texts)]
    groups = [[row] for row in ids] + [ids[:3], ids[3:7]]
    return [
        {
            "ids": [row + [0] * (max(map(len, rows)) - len(row)) for row in rows],
            "mask": [[1] * len(row) + [0] * (max(map(len, rows)) - len(row)) for row in rows],
        }
        for rows in groups
    ]


def in_python(model: bytes, given: list[dict[str, list[list[int]]]]) -> list[tuple[np.ndarray, int]]:
    """Logits and depth of each batch."""
    session = open_session(model)
    feeds = [{"input_ids": np.array(b["ids"]), "attention_mask": np.array(b["mask"])} for b in given]
    return [(logits, int(depth)) for logits, depth in (session.run(["logits", "exit_depth"], f) for f in feeds)]


def compared(ours: list[tuple[np.ndarray, int]], theirs: dict[str, Any], size: int) -> dict[str, Any]:
    """How far Node's answers are from Python's."""
    if "error" in theirs:
        return {"bytes": size, "error": theirs["error"]}
    pairs = list(zip(theirs["outputs"], ours, strict=True))
    expected = np.concatenate([logits for logits, _ in ours])
    found = np.concatenate([np.array(o["logits"], np.float32).reshape(logits.shape) for o, (logits, _) in pairs])
    return {
        "bytes": size,
        "largest_difference": float(np.abs(found - expected).max()),
        "logits_deviation": float(expected.std()),
        "labels_agree": float((found.argmax(-1) == expected.argmax(-1)).mean()),
        "depths_agree": float(np.mean([o["depth"] == depth for o, (_, depth) in pairs])),
        "mean_depth": float(np.mean([d for _, d in ours])),
        "load_ms": round(theirs["load_ms"], 1),
        "mean_ms": round(theirs["mean_ms"], 2),
    }


def main() -> None:
    """Write the files, run them here and there, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MINILM, help="a BERT, better one that is fine-tuned")
    parser.add_argument("--texts", type=Path, help="real texts, one a line; the first 64 are used")
    args = parser.parse_args()
    student = load_teacher(args.model, max_length=128).student
    texts = args.texts.read_text(encoding="utf-8").splitlines()[:64] if args.texts else list(TEXTS)
    given = batches(student, texts)
    with tempfile.TemporaryDirectory() as scratch:
        cases, modules = Path(scratch, "cases"), Path(scratch, "modules")
        cases.mkdir()
        install = ["npm", "install", "--silent", "--prefix", str(modules), f"onnxruntime-web@{VERSION}"]
        subprocess.run(install, check=True)
        (cases / "inputs.json").write_text(json.dumps(given))
        models = dict(files(student, texts))
        for name, model in models.items():
            (cases / f"{name}.onnx").write_bytes(model)
        command = ["node", str(HERE / "node.mjs"), str(cases), str(modules)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    results = {n: compared(in_python(m, given), said["answers"][n], len(m)) for n, m in models.items()}
    versions = {
        "node": said["node"],
        "onnxruntime-web": VERSION,
        "onnxruntime": importlib.metadata.version("onnxruntime"),
    }
    data = {
        "versions": versions,
        "model": Path(args.model).name,
        "texts": len(texts),
        "provider": "wasm, 1 thread",
        "files": results,
    }
    out = HERE / "results" / "node.json"
    out.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, one in results.items():
        print(f"{name:30}", one.get("error") or {k: v for k, v in one.items() if k != "error"})


if __name__ == "__main__":
    main()

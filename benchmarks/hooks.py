"""What acting during training is worth: one student, pruned and quantized after its training or in it, at equal steps.

    python benchmarks/hooks.py --model ../shared/teachers/minilm-sst2 --task ../shared/data/sst2
    python benchmarks/hooks.py --model TEACHER --task DATA --steps 20 --seeds 1 --texts 100 --out try.json

The student is cut from the teacher (3 layers, half the feed-forward, 8,000 pieces) and recovered for `--steps` steps by
distillation. From there each way takes `--steps` more, on the same texts in the same order:

    plain      distillation alone; its files are converted afterwards: FP32, 60 % sparse, 2/2 and 3/2 bits (linear
               weights / embeddings), and sparse at 3/2 bits
    pruned     `gradual_pruning` to 60 %
    aware 2/2  `quantization_aware` at 2 bits for linear weights and embeddings, from 60 % of the steps on
    aware 3/2  the same at 3 and 2 bits
    both       `gradual_pruning` to 60 % and `quantization_aware` at 3/2 bits

Of every file: its accuracy, agreement with the teacher and divergence from it (KL in nats) on the validation and test
splits together, at batch 1 in ONNX Runtime, and its bytes. What an earlier run of the same settings wrote to `--out`
stays, and what is missing is added.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from autocomp.artifact.files import artifact_bytes
from autocomp.environment import machine_facts, versions
from autocomp.models.importance import measure_importance
from autocomp.models.loading import load_teacher
from autocomp.models.student import Student
from autocomp.pipeline.evaluate import run_over
from autocomp.pipeline.export import write_artifact
from autocomp.pipeline.plans import complete, convert, hooks_of, prepare, recovery_options
from autocomp.pipeline.teacher import as_student
from autocomp.plan import CompressionPlan, Step
from autocomp.tasks import Example, TaskData, resolve_task
from autocomp.techniques import Context
from autocomp.tokenizers.vocabulary import count_pieces
from autocomp.training.batches import collate, encode, in_order
from autocomp.training.predictions import divergence, predict
from autocomp.training.recovery import recover
from autocomp.training.teacher_signal import TeacherCache, TeacherSignal

RESULTS = Path(__file__).parent / "results"
STRUCTURE = {"vocabulary": {"pieces": 8000}, "depth": {"layers": 3}, "feed_forward": {"kept": 0.5}}
SPARSE = {"sparsity": {"fraction": 0.6}}
PRUNED = {"gradual_pruning": {"fraction": 0.6}}
BATCH, IMPORTANCE_ROWS = 32, 256

Options = Mapping[str, Mapping[str, Any]]


def bits(linears: int, embeddings: int) -> Options:
    """Bits set after training."""
    return {"linear_bits": {"bits": linears}, "embedding_bits": {"bits": embeddings}}


def aware(linears: int, embeddings: int) -> Options:
    """Bits seen in training."""
    return {"quantization_aware": {"linears": linears, "embeddings": embeddings}}


WAYS: dict[str, Options] = {
    "plain": {},
    "pruned": PRUNED,
    "aware 2/2": aware(2, 2),
    "aware 3/2": aware(3, 2),
    "both": PRUNED | aware(3, 2),
}
CONVERTED: dict[str, Options] = {
    "fp32": {},
    "sparse": SPARSE,
    "2/2": bits(2, 2),
    "3/2": bits(3, 2),
    "sparse 3/2": SPARSE | bits(3, 2),
}
"""Files of the plain student; the others have one each, as they were trained."""
PAIRS = {"pruned": "sparse", "aware 2/2": "2/2", "aware 3/2": "3/2", "both": "sparse 3/2"}


def plan(options: Options) -> CompressionPlan:
    """Distillation and what is beside it."""
    steps = {"distillation": {}, **options}
    return CompressionPlan(tuple(Step(name, dict(chosen)) for name, chosen in steps.items()))


def known(teacher: Student, data: TaskData) -> Context:
    """What a study learns from its teacher."""
    rows = np.random.default_rng(0).permutation(len(data.train))[:IMPORTANCE_ROWS]
    sample = encode(teacher, [data.train[i] for i in rows])
    importance = measure_importance(teacher.encoder, (collate(teacher, sample, r) for r in in_order(sample, 32)))
    return Context(importance, count_pieces(teacher.tokenizer, [e.text for e in data.train]))


class Bench:
    """One teacher with its texts, and the students that learn from it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.data = args, resolve_task(args.task, max_length=64)
        self.teacher = load_teacher(args.model, self.data.labels, pairs=self.data.pairs, max_length=64).student
        self.texts: list[Example] = [*self.data.search, *self.data.held_out][: args.texts]
        self.reference = predict(self.teacher, encode(self.teacher, self.texts)).logits
        structure = CompressionPlan(tuple(Step(name, dict(options)) for name, options in STRUCTURE.items()))
        self.start = prepare(as_student(self.teacher), structure, known(self.teacher, self.data))[0]
        self.memory = TeacherCache()

    def train(self, student: Student, options: Options, seed: int, part: int) -> float:
        """Train a student in place for the steps of one part; seconds."""
        chosen = plan(options)
        signal = TeacherSignal(self.teacher, self.data.train, 10 * seed + part, self.memory)
        hooks, rng = hooks_of(student, chosen, Context()), np.random.default_rng([seed, part])
        done = recover(
            student, signal, recovery_options(chosen), hooks, steps=self.args.steps, batch=BATCH, rng=rng
        )  # fmt: skip
        return done.seconds

    def seed(self, seed: int) -> Iterator[dict[str, Any]]:
        """Every file of one seed."""
        self.memory = TeacherCache()
        first = copied(self.start)
        self.train(first, {}, seed, 0)
        for way, options in WAYS.items():
            student = copied(first)
            seconds = self.train(student, options, seed, 1)
            student = complete(student, plan(options), Context())
            for name, after in CONVERTED.items() if way == "plain" else [(way, {})]:
                made = convert(student, plan(after), Context())[0]
                yield {"seed": seed, "file": name, "train_s": round(seconds, 1), **self.figures(made)}

    def figures(self, student: Student) -> dict[str, Any]:
        """Of a student's file."""
        with tempfile.TemporaryDirectory() as folder:
            write_artifact(student, Path(folder) / "a", {})
            logits = run_over(Path(folder) / "a", self.texts, self.args.threads).logits
            nbytes = artifact_bytes(Path(folder) / "a")
        said, labels = logits.argmax(-1), np.array([example.target for example in self.texts])
        return {
            "accuracy": round(float((said == labels).mean()), 4),
            "agreement": round(float((said == self.reference.argmax(-1)).mean()), 4),
            "divergence": round(divergence(student, self.reference, logits), 4),
            "bytes": nbytes,
        }


def copied(student: Student) -> Student:
    """A student with weights of its own."""
    return replace(student, encoder=deepcopy(student.encoder))


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each file the mean over seeds, and its spread; of each pair the differences seed by seed."""
    by_file: dict[str, dict[int, dict[str, Any]]] = {}
    for one in found:
        by_file.setdefault(one["file"], {})[one["seed"]] = one
    figures = ("accuracy", "agreement", "divergence", "bytes")
    files = {name: {f: _spread([one[f] for one in ones.values()]) for f in figures} for name, ones in by_file.items()}
    gains = {
        f"{within} over {after}": {
            f: _spread([one[f] - by_file[after][seed][f] for seed, one in by_file[within].items()]) for f in figures
        }
        for within, after in PAIRS.items()
        if within in by_file and after in by_file
    }
    return {"files": files, "gains": gains}


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": round(mean(values), 5), "stdev": round(stdev(values), 5) if len(values) > 1 else None}


def before(file: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What an earlier run of the same settings found."""
    if not file.is_file():
        return []
    made = json.loads(file.read_text(encoding="utf-8"))
    return list(made["found"]) if made.get("settings") == settings else []


def main() -> int:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a fine-tuned teacher")
    parser.add_argument("--task", required=True, help="its texts")
    parser.add_argument("--steps", type=int, default=600, help="of each of the two parts")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--texts", type=int, help="that files are scored on; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "hooks-zen4.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    bench, started = Bench(args), time.time()
    settings = {
        "command": f"python benchmarks/hooks.py --model {Path(args.model).name} --task {Path(args.task).name}",
        "structure": STRUCTURE,
        "steps": [args.steps, args.steps],
        "batch": BATCH,
        "texts": len(bench.texts),
        "threads": args.threads,
    }
    found = before(args.out, settings)
    teacher = float((bench.reference.argmax(-1) == [example.target for example in bench.texts]).mean())
    complete_seeds = {s for s in range(args.seeds) if sum(one["seed"] == s for one in found) == 9}
    found = [one for one in found if one["seed"] in complete_seeds]
    for seed in sorted(set(range(args.seeds)) - complete_seeds):
        for one in bench.seed(seed):
            found.append(one)
            print(json.dumps(one), f"{time.time() - started:.0f} s", flush=True)
        made = {"settings": settings, "teacher_accuracy": round(teacher, 4), **summary(found), "found": found}
        made |= {"machine": machine_facts(), "versions": versions()}
        args.out.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(summary(found), indent=1), args.out, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""How fast are recovery steps, in which number format, compiled or not? Writes `results/training-KIND.json`.

    python benchmarks/training.py --model ../shared/teachers/minilm-sst2 --task ../shared/data/sst2

It computes on the GPU that PyTorch sees, else on CPU threads (`--threads`), KIND being `cpu` or `cuda`. A step is one
of `autocomp.training.recovery`: a batch of 32 texts, losses on logits and hidden states, AdamW; of students with a
third of the teacher's layers and with all of them. What the teacher says of a batch is asked anew, but where a student
before is taken to have read it (`remembered`). Each way first takes `--first` steps, in which kernels are chosen
and code is compiled; then all ways are timed in turns, and the middle round counts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from autocomp.environment import machine_facts, versions
from autocomp.models.loading import load_teacher
from autocomp.models.student import Student
from autocomp.study.gpu_sharing import third_of
from autocomp.tasks import resolve_task
from autocomp.techniques.depth import shrink_depth
from autocomp.techniques.distillation import DistillationOptions
from autocomp.training import accelerator
from autocomp.training.accelerator import computing_on, current_device, gpu_name, gpus
from autocomp.training.distillation import distil
from autocomp.training.teacher_signal import TeacherCache, TeacherSignal

HAS_BF16 = accelerator.has_bf16
RESULTS = Path(__file__).parent / "results"
ROWS = 3000
WAYS: dict[str, dict[str, Any]] = {
    "fp32": {"bf16": False},
    "fp32, remembered": {"bf16": False, "remembers": True, "only": "cpu"},
    "bf16": {"bf16": True},
    "bf16, remembered": {"bf16": True, "remembers": True, "only": "cpu"},
    "bf16, compiled": {"bf16": True, "compile": {"dynamic": True}},
    "bf16, CUDA graphs": {"bf16": True, "compile": {"mode": "reduce-overhead"}, "only": "cuda"},
}


def ways(kind: str) -> dict[str, dict[str, Any]]:
    """Those that this device knows."""
    knows = {name: way for name, way in WAYS.items() if way.get("only", kind) == kind}
    return {name: way for name, way in knows.items() if HAS_BF16(kind) or not way["bf16"]}


def steps(student: Student, signal: TeacherSignal, way: dict[str, Any], count: int, seed: int) -> float:
    """Seconds of a step."""
    accelerator.has_bf16 = lambda kind="cpu": way["bf16"]  # type: ignore[assignment]
    options, rng = DistillationOptions(hidden=1.0), np.random.default_rng(seed)
    done = distil(student, signal, options, steps=count, batch=32, rng=rng)
    return done.seconds / done.steps


def timed(teacher: Student, signal: TeacherSignal, layers: int, args: argparse.Namespace) -> dict[str, Any]:
    """Every way on a student of so many layers."""
    students, signals, found = {}, {}, {}
    for name, way in ways(current_device().type).items():
        signals[name] = replace(signal, cache=TeacherCache()) if "remembers" in way else signal
        students[name] = shrink_depth(teacher, range(layers))
        if "compile" in way:
            students[name].encoder.compile(**way["compile"])
        began = time.time()
        steps(students[name], signals[name], way, args.first, 0)
        found[name] = {"first_s": round(time.time() - began, 2), "step_ms": list[float]()}
    for turn in range(args.rounds):
        for name, way in ways(current_device().type).items():
            found[name]["step_ms"].append(1e3 * steps(students[name], signals[name], way, args.steps, 1 + turn))
    return {name: {**one, **_middle(one["step_ms"])} for name, one in found.items()}


def _middle(times: list[float]) -> dict[str, float]:
    return {"step_ms": round(median(times), 2), "least_ms": round(min(times), 2), "most_ms": round(max(times), 2)}


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a fine-tuned teacher")
    parser.add_argument("--task", required=True)
    parser.add_argument("--threads", type=int, default=1, help="where there is no GPU")
    parser.add_argument("--first", type=int, default=60)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/training-KIND.json")
    args = parser.parse_args()
    # Code that an earlier run compiled is no help to a search, whose students are all of other sizes.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="training-")
    torch.set_num_threads(args.threads)
    data = resolve_task(args.task, max_length=64)
    teacher = load_teacher(args.model, data.labels, pairs=data.pairs, max_length=64).student
    depth = teacher.encoder.shape.depth
    with computing_on(float(gpus() > 0)):
        kind, rows = current_device().type, data.train[:ROWS]
        signal = TeacherSignal(teacher, rows)
        found = {f"{n} of {depth} layers": timed(teacher, signal, n, args) for n in (third_of(depth), depth)}
    made = {"command": f"python benchmarks/training.py --model {args.model} --task {args.task}", "gpu": gpu_name()}
    made |= {
        "threads": args.threads,
        "first": args.first,
        "timed": [args.rounds, args.steps],
        "machine": machine_facts(),
        "versions": versions(),
    }
    file = args.out or RESULTS / f"training-{kind}.json"
    file.write_text(json.dumps({**made, "steps": found}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1), file, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

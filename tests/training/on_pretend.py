"""The same work on the CPU and on a pretend GPU; prints as JSON what each gave and how much the GPU computed.

Run by `test_accelerator.py` in a process of its own, with the pretend GPU in PYTHONPATH.
"""

import json
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import torch
from conftest import write_examples
from torch.nn.attention import SDPBackend, sdpa_kernel

from autocomp.models.importance import measure_importance
from autocomp.models.student import fingerprint
from autocomp.pipeline.fake_quantize import simulate
from autocomp.pipeline.plans import is_cheap
from autocomp.plan import Step
from autocomp.techniques import techniques
from autocomp.techniques.distillation import DistillationOptions
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.technique_contract import applied, contract_student, grid
from autocomp.training import accelerator
from autocomp.training.accelerator import computing_on, on_device
from autocomp.training.batches import collate, encode, in_order
from autocomp.training.distillation import distil
from autocomp.training.loop import fine_tune
from autocomp.training.predictions import fit_exits, predict
from autocomp.training.teacher_signal import TeacherSignal

EXAMPLES = write_examples(32, 0)
INSIDE = DistillationOptions(hidden=1.0, relations=1.0, learning_rate=3e-3)
accelerator.has_bf16 = lambda kind="cpu": False  # with the same number formats and kernels both give the same bits


def digest(*arrays) -> str:
    return sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def fine_tuned():
    start = random_student(tiny_shape())
    start.encoder.dropout = 0.1
    return fine_tune(start, EXAMPLES, epochs=1, learning_rate=3e-3, rng=np.random.default_rng(0))[0]


def recovered(name: str) -> str:
    """A student of the contract's teacher, by one technique's smallest setting; recovered if that comes after it."""
    teacher = contract_student()
    student = applied(techniques[name], next(iter(grid(techniques[name]))), teacher)
    if not is_cheap(Step(name, {})):
        signal = TeacherSignal(teacher, EXAMPLES)
        distil(student, signal, INSIDE, steps=2, batch=16, rng=np.random.default_rng(0))
        student = fit_exits(replace(student, exit_threshold=None), EXAMPLES, np.random.default_rng(0))
    return f"{fingerprint(student)} {digest(simulate(student, encode(student, EXAMPLES)).logits)}"


def learnt() -> str:
    """Everything that a study learns from its teacher."""
    teacher = fine_tuned()
    data = encode(teacher, EXAMPLES)
    seen = predict(teacher, data, means=True, fast=True)
    with on_device(teacher.encoder):
        found = measure_importance(teacher.encoder, (collate(teacher, data, rows) for rows in in_order(data, 16)))
    return f"{fingerprint(teacher)} {digest(seen.logits, seen.means, *found.values())}"


def everything() -> dict[str, str]:
    return {"teacher": learnt(), **{name: recovered(name) for name in techniques}}


def ran(share: float) -> dict:
    """What everything gave on that share of the GPU, and how many operators ran there."""
    before = torch.get_device_module("pretend").ran
    with computing_on(share), sdpa_kernel(SDPBackend.MATH):
        given = everything()
    return {"given": given, "operators": torch.get_device_module("pretend").ran - before}


json.dump({"cpu": ran(0), "gpu": ran(0.5), "gpus": accelerator.gpus(), "name": accelerator.gpu_name()}, sys.stdout)

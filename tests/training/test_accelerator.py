"""Training on a GPU, without one: on a device that PyTorch takes for another than the CPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autocomp.techniques import techniques
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training import accelerator
from autocomp.training.accelerator import computing_on, current_device, on_device, ready_to_read

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def on_pretend(script: Path, **env: str) -> subprocess.CompletedProcess:
    """A script in a process with a pretend GPU."""
    path = os.pathsep.join(map(str, (HERE / "pretend", HERE, ROOT)))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **env}
    return subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def both():
    done = on_pretend(HERE / "on_pretend.py")
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", ["teacher", *techniques])
def test_a_gpu_gives_what_the_cpu_gives(both, what):
    assert both["gpu"]["given"][what] == both["cpu"]["given"][what]


def test_the_gpu_is_used_when_a_share_is_held_and_only_then(both):
    assert both["cpu"]["operators"] == 0
    assert both["gpu"]["operators"] > 1000 * len(list(techniques))
    assert (both["gpus"], both["name"]) == (1, "Pretend GPU")


def test_a_tensor_of_the_cpu_among_those_of_the_gpu_is_an_error(tmp_path):
    script = tmp_path / "mixed.py"
    script.write_text("import torch\ntorch.ones(2, device='pretend') + torch.ones(2)\n")
    assert "of the CPU among those of the device" in on_pretend(script).stderr


WITHOUT = """
from autocomp.training import accelerator
print(accelerator.gpus(), repr(accelerator.gpu_name()), accelerator.current_device())
with accelerator.computing_on(0.5):
    pass
"""


def test_a_share_of_no_gpu_is_refused(tmp_path):
    script = tmp_path / "without.py"
    script.write_text(WITHOUT)
    done = on_pretend(script, PRETEND_GPUS="0")
    assert done.stdout == "0 '' cpu\n"
    refusal = done.stderr.splitlines()[-1]
    assert re.search(r"GpuError: .*PyTorch \(.+\) can use none; install .+ no --gpu-share", refusal), refusal


def test_without_a_share_nothing_moves():
    module = torch.nn.Linear(2, 2)
    weight = module.weight
    with computing_on(0), on_device(module) as device:
        assert device == current_device() == torch.device("cpu")
        assert module.weight is weight


@pytest.mark.parametrize("has_bf16", [True, False])
def test_a_copy_to_read_gives_the_same_and_casts_no_linear_again(has_bf16, monkeypatch):
    monkeypatch.setattr(accelerator, "has_bf16", lambda kind="cpu": has_bf16)
    encoder = random_student(tiny_shape()).encoder
    copied = ready_to_read(encoder)
    ids = torch.arange(5, 29).view(2, 12)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(copied(ids, torch.ones_like(ids)).logits, encoder(ids, torch.ones_like(ids)).logits)
    kept = {name for name, weight in copied.named_parameters() if weight.dtype is torch.float32}
    assert kept == {name for name, _ in encoder.named_parameters() if not has_bf16 or "norm" in name or "embed" in name}
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}, "who is copied stays as he is"

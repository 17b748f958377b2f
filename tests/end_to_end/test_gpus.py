"""Whole studies on GPUs, without one: on a device that PyTorch takes for a GPU (`tests/training/pretend`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autocomp.journal import read_lines

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join(map(str, (ROOT / "tests" / "training" / "pretend", ROOT)))
TELLS = """
import sys
from autocomp.cli import main
status = main(sys.argv[1:])
import torch
print("operators on the GPU:", torch.get_device_module("pretend").ran, file=sys.stderr)
sys.exit(status)
"""


def environment(cache, gpus):
    here = {"PYTHONPATH": PATH, "AUTOCOMP_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PRETEND_GPUS": str(gpus)}
    return {**os.environ, **here, "RAY_USAGE_STATS_ENABLED": "0"}


def search(*words, cache, gpus):
    """`autocomp search` in a process of its own that sees so many pretend GPUs."""
    words = [sys.executable, "-c", TELLS, *map(str, words)]
    env = environment(cache, gpus)
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def events(run, kind):
    return [e for e in read_lines(run / "journal.jsonl") if e["event"] == kind]


def gpu_seconds(run):
    """By purpose: what the ledger says was held of GPUs, and what jobs and phases say themselves."""
    charges = [e["charge"] for e in events(run, "charge")]
    return {what: sum(c["gpu_s"] for c in charges if c["what"] == what) for what in {c["what"] for c in charges}}


def check_trials(run, share):
    """Each has two charges: a core and a share while it trained, and a core alone while its files were scored."""
    charges = [e["charge"] for e in events(run, "charge") if e["charge"]["what"] in ("recovery", "post_training")]
    parts = {done: [c for c in charges if c["trials"] == done] for done in (0, 1)}
    assert len(parts[0]) == len(parts[1]) == len(events(run, "started"))
    assert all(c["gpu_s"] == pytest.approx(share * c["cpu_s"], abs=0.01) for c in parts[0])
    assert all((c["gpu_s"], c["cpu_s"] > 0) == (0, True) for c in parts[1])
    seconds = sum(e["record"]["seconds"] for e in events(run, "record"))
    assert sum(c["cpu_s"] for c in charges) == pytest.approx(seconds, abs=0.1), "as the records say"


@pytest.mark.slow
def test_a_study_with_gpu_hours_trains_on_gpus_and_books_what_it_held(tiny, tmp_path, books):
    run = tmp_path / "run"
    flags = ["--budget", "0.1gpu-hours,2trials", "--gpu-share", "0.5", "--log", "--json", "--out", run]
    study = tiny(workers=2, teacher_epochs=2.0, recovery_steps=[10])
    done = search("search", study, *flags, cache=tmp_path / "cache", gpus=2)
    books(run, 2)
    [found] = events(run, "gpus")
    seen = [found[name] for name in ("gpu", "jobs", "share", "held", "found")]
    assert seen == ["Pretend GPU", 1, 0.5, 0.5, 2], "of two workers one trains and one scores"
    assert "2 × Pretend GPU: " in done.stderr
    assert int(done.stderr.rsplit("operators on the GPU: ", 1)[1]) > 1000, "the teacher was fine-tuned there"
    held = gpu_seconds(run)
    assert held["teacher"] > 0 and held["front"] == 0
    check_trials(run, 0.5)
    assert json.loads(done.stdout)["budget"]["spent"]["gpu_s"] == pytest.approx(sum(held.values()), abs=0.1)
    assert {r["record"]["status"] for r in events(run, "record")} == {"complete"}


@pytest.mark.slow
def test_gpu_hours_on_a_cluster_are_those_of_its_nodes(tiny, tmp_path, books):
    """The driver has no GPU; one node offers two, each shared by as many trainings as measured."""
    from ray.cluster_utils import Cluster

    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment(tmp_path / "driver", 0).items():
            patch.setenv(key, value)
        head = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        far = {"AUTOCOMP_CACHE": str(tmp_path / "far"), "PYTHONPATH": PATH, "PRETEND_GPUS": "2"}
        try:
            cluster.add_node(num_cpus=2, num_gpus=2, env_vars=far)
            flags = ["--budget", "0.2gpu-hours,3trials", "--log", "--out", run, "--ray", cluster.address]
            search("search", tiny(workers=0), *flags, cache=tmp_path / "driver", gpus=0)
        finally:
            cluster.shutdown()
    books(run, 3)
    [found] = events(run, "gpus")
    assert found["gpu"] == "Pretend GPU" and found["found"] == 2
    held = gpu_seconds(run)
    assert held["teacher"] == held["front"] == 0, "the driver has no GPU"
    check_trials(run, found["share"])
    assert {r["record"]["status"] for r in events(run, "record")} == {"complete"}

"""Benchmarks that are quick enough to run with every change still run."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_simulated_study_of_the_scale_benchmark(tmp_path):
    words = [sys.executable, ROOT / "benchmarks" / "scale.py", "--trials", "30", "--searchers", "tpe"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "AUTOCOMP_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([*words, "--out", tmp_path / "scale.json"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    [study] = json.loads((tmp_path / "scale.json").read_text())["studies"]
    assert study["trials"] == 30

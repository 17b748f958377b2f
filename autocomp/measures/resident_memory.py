"""Memory that an artifact takes: what loading it and one run add to a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import autocomp
from autocomp.errors import MeasurementError
from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

ON_DEVICE = True
FIGURES = (Figure("resident_mb", "memory", "MB"),)
_SCRIPT = """
import sys
from autocomp.artifact.loader import load

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

before = resident()
predictor = load(sys.argv[1])
text = "one text of ordinary length, as long as a request that somebody might send to a service"
predictor.predict([(text, text) if predictor.manifest["pairs"] else text])
print(resident() - before)
"""


def resident_memory(folder: str | Path) -> Measurement:
    """Megabytes (10^6 bytes) resident after loading and one run over before; takes a process of its own.

    Raises:
        MeasurementError: no Linux, whose /proc says it, or the file does not load.
    """
    if not Path("/proc/self/statm").exists():
        raise MeasurementError("resident memory is read from /proc/self/statm, which only Linux has")
    path = os.pathsep.join([str(Path(autocomp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MeasurementError(f"{folder} cannot be loaded to measure its memory: {last}")
    return Measurement(int(done.stdout) * os.sysconf("SC_PAGESIZE") / 1e6, "MB")


of_files = resident_memory


def measure(subject: Subject) -> Measurement:
    """Memory that the subject's file takes."""
    return resident_memory(subject.folder)

"""deploy/slurm.sh with real Ray and a real study: only Slurm is stood in for, by running its steps on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autocomp.journal import read_lines
from autocomp.report.status import run_status
from autocomp.testing.studies import write_study

ROOT = Path(__file__).parents[2]
FAKES = {
    "scontrol": 'if [ "$1" = show ]; then tr , "\\n" <<< "$3"; else echo "$*" >> "$REQUEUED"; fi\n',
    "srun": 'while [[ $1 == -* ]]; do shift; done\nexec "$@"\n',
}


@pytest.fixture
def submit(tmp_path):
    """`submit(*words)` starts the job, the first time or again; two nodes of one core and one that measures."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in FAKES.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{text}")
        (programs / name).chmod(0o755)
    number = str(os.getpid())
    env = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_JOB_ID": number,
        "SLURM_JOB_NODELIST": "localhost,127.0.0.1,127.0.0.1",
        "SLURM_CPUS_PER_TASK": "1",
        "AUTOCOMP_ENV": str(Path(sys.executable).parents[1]),
        "AUTOCOMP_RUN": str(tmp_path / "run"),
        "AUTOCOMP_CACHE": str(tmp_path / "cache"),
        "REQUEUED": str(tmp_path / "requeued"),
    }
    jobs = []

    def start(*words):
        with (tmp_path / "job.log").open("a") as log:
            command = ["bash", str(ROOT / "deploy" / "slurm.sh"), *map(str, words)]
            jobs.append(
                subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
            )
        return jobs[-1]

    yield start
    for job in jobs:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
    shutil.rmtree(f"/tmp/ray-{number}", ignore_errors=True)


@pytest.mark.slow
def test_a_study_on_three_nodes_is_requeued_and_goes_on(submit, tmp_path):
    run, journal = tmp_path / "run", tmp_path / "run" / "journal.jsonl"
    study = write_study(tmp_path / "study", budget="6trials", workers=0)
    first, nodes = submit(study), []
    until = time.monotonic() + 300
    while not (journal.exists() and any(read_lines(journal, "record"))):
        assert time.monotonic() < until and first.poll() is None, (tmp_path / "job.log").read_text()
        nodes = max(nodes, run_status(run)["nodes"] if journal.exists() else [], key=len)
        time.sleep(0.5)
    assert sorted((n["device"] or "", n["resources"].get("CPU", 0)) for n in nodes) == [
        ("", 1.0),
        ("", 1.0),
        ("cpu_1_thread", 0),
    ]
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 0, (tmp_path / "job.log").read_text()
    assert (tmp_path / "requeued").read_text().split() == ["requeue", str(os.getpid())]
    before = journal.read_bytes()
    assert run_status(run)["status"] == "interrupted"
    assert submit(study).wait(400) == 0, (tmp_path / "job.log").read_text()
    found = run_status(run)
    assert (found["status"], found["final"], found["trials"]["jobs"]) == ("finished", True, 6)
    assert journal.read_bytes().startswith(before) and any(read_lines(journal, "resumed"))
    names = [json.dumps(e["record"]["id"]) for e in read_lines(journal, "record")]
    assert len(names) == len(set(names))

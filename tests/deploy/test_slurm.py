"""deploy/slurm.sh, run on this machine: Slurm, Ray and autocomp are stood in for."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm.sh"
NOTE = 'echo "$(basename "$0") $*" >> "$LOG"\n'
FAKES = {
    "scontrol": 'if [ "$1" = show ]; then tr , "\\n" <<< "$3"; fi\n',
    # Options, then a command, which runs here.
    "srun": 'while [[ $1 == -* ]]; do shift; done\nexec "$@"\n',
    "ray": (
        '[ "$RAY_AUTH_MODE" = token ] || exit 1\n'
        'case "$* " in\n'
        "*--address*--block*)\n"
        '  [ "$(grep -c "^ray start --address" "$LOG")" -gt "${FAILING:-0}" ] || exit 1; exec sleep 1000 ;;\n'
        '*--block*) [ -z "${NO_HEAD:-}" ] && exec sleep 1000 || exit 1 ;;\n'
        'health-check*) [ -z "${NO_HEAD:-}" ] ;;\n'
        "esac\n"
    ),
    # The script's own few lines that wait for the nodes: `python - ADDRESS NODES`.
    "python": (
        'seen() { grep -cE "^ray start|^autocomp device" "$LOG"; }\n'
        'until [ "$(seen)" -ge $(($3 + ${FAILING:-0})) ]; do sleep 0.05; done\n'
    ),
    "autocomp": (
        'trap \'echo "interrupted" >> "$LOG"; kill %1; exit 143\' TERM\n'
        'case "$1" in device) exec sleep 1000 ;; resume) exit 0 ;; esac\n'
        'mkdir -p "$AUTOCOMP_RUN"; touch "$AUTOCOMP_RUN/journal.jsonl"\n'
        'sleep "${SEARCH_S:-0}" & wait $!\n'
        'exit "${SEARCH_STATUS:-0}"\n'
    ),
}


@pytest.fixture
def job(tmp_path):
    """`job(*words, **environment)` starts the script as Slurm would: a process, whose calls are in `tmp_path/log`."""
    programs = tmp_path / "env" / "bin"
    programs.mkdir(parents=True)
    for name, text in FAKES.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{NOTE}{text}")
        (programs / name).chmod(0o755)
    slurm = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "localhost,127.0.0.2,127.0.0.3", "SLURM_CPUS_PER_TASK": "8"}
    own = {"AUTOCOMP_ENV": str(tmp_path / "env"), "AUTOCOMP_RUN": str(tmp_path / "run"), "LOG": str(tmp_path / "log")}
    path = f"{programs}:{os.environ['PATH']}"

    started = []

    def start(*words, **environment):
        process = subprocess.Popen(
            ["bash", str(SCRIPT), *words],
            env={**os.environ, **slurm, **own, "PATH": path, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def calls(tmp_path, program):
    """What a program was called with, in order of its calls."""
    lines = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []
    return [line.removeprefix(f"{program} ") for line in lines if line.startswith(f"{program} ")]


def ended(process):
    """Exit status and output; what the script started is gone with it."""
    out, _ = process.communicate(timeout=60)
    until = time.monotonic() + 10
    while is_alive(process.pid):
        assert time.monotonic() < until, "the script left something behind"
        time.sleep(0.05)
    return process.returncode, out


def is_alive(group):
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_head_workers_and_search(job, tmp_path):
    assert ended(job("demo", "--budget", "1h")) == (0, "")
    # Each step runs in the background, and the one that is started first need not be the first to write.
    started = [line for line in calls(tmp_path, "srun") if "ray start" in line]
    head, *workers = sorted(started, key=lambda line: "--head" not in line)
    assert "--nodelist=localhost ray start --head --node-ip-address=127.0.0.1 --port=24711" in head
    assert [re.search(r"--nodelist=(\S+)", w)[1] for w in workers] == ["127.0.0.2"]
    (join,) = [line for line in calls(tmp_path, "srun") if "device join" in line]
    assert "--nodelist=127.0.0.3 autocomp device join 127.0.0.1:24711 --device cpu_1_thread" in join
    assert all("ray start --address=127.0.0.1:24711" in w and "--num-cpus=8 --block" in w for w in workers)
    search = f"search demo --budget 1h --out {tmp_path}/run --ray 127.0.0.1:24711 --log"
    assert calls(tmp_path, "autocomp")[-1] == search


def test_a_requeued_job_goes_on(job, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").touch()
    assert ended(job("demo"))[0] == 0
    assert calls(tmp_path, "autocomp")[-1] == f"resume {tmp_path}/run --ray 127.0.0.1:24711 --log"


def test_near_the_time_limit_it_interrupts_the_search_and_requeues_itself(job, tmp_path):
    process = job("demo", SEARCH_S="1000")
    until = time.monotonic() + 30
    while not (tmp_path / "run" / "journal.jsonl").exists():
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    status, out = ended(process)
    assert status == 0 and "goes on with" in out
    assert "interrupted" in (tmp_path / "log").read_text()
    assert calls(tmp_path, "scontrol")[-1] == "requeue 4711"


def test_one_node_needs_none_that_measures(job, tmp_path):
    assert ended(job("demo", SLURM_JOB_NODELIST="localhost"))[0] == 0
    assert len(calls(tmp_path, "srun")) == 1 and len(calls(tmp_path, "autocomp")) == 1


def test_the_last_node_is_the_device_that_is_named(job, tmp_path):
    assert ended(job("demo", "--device", "rack", AUTOCOMP_DEVICE="rack"))[0] == 0
    steps = calls(tmp_path, "srun")
    assert sum("ray start" in step for step in steps) == 2
    (join,) = [step for step in steps if "device join" in step]
    assert "--nodelist=127.0.0.3 autocomp device join 127.0.0.1:24711 --device rack" in join


def test_a_failed_search_fails_the_job(job):
    assert ended(job("demo", SEARCH_STATUS="2"))[0] == 2


def test_a_node_that_does_not_start_is_started_again(job, tmp_path):
    status, out = ended(job("demo", FAILING="2"))
    assert (status, out.count("127.0.0.2 did not start; it is started again")) == (0, 2)
    assert sum("ray start --address" in step for step in calls(tmp_path, "srun")) == 3
    assert calls(tmp_path, "autocomp")[-1].startswith("search demo")


def test_a_head_that_does_not_start_is_told(job, tmp_path):
    status, out = ended(job("demo", NO_HEAD="1"))
    assert status == 1 and "head did not start on localhost" in out
    assert calls(tmp_path, "autocomp") == []


def test_shellcheck_finds_nothing():
    done = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", SCRIPT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_it_asks_of_slurm():
    lines = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", SCRIPT.read_text(encoding="utf-8"), re.M)
    asked = dict(lines)
    assert len(asked) == len(lines) == SCRIPT.read_text(encoding="utf-8").count("#SBATCH")
    assert {"requeue", "no-kill", "exclusive"} <= set(asked) and asked["signal"].startswith("B:TERM@")
    assert asked["ntasks-per-node"] == "1" and int(asked["nodes"]) >= 2

"""Jobs in this process and in workers; workers that die, hang or cannot report."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import process
from pathlib import Path

import pytest

from autocomp.executors import local
from autocomp.executors.local import LocalExecutor, share_of_cores, visible


def work(job):
    """What a job says: sleep, die, raise, or tell who did it."""
    time.sleep(job.get("sleep", 0))
    if job.get("die"):
        os._exit(9)
    if job.get("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if job.get("full"):
        raise OSError(28, "No space left on device", "/cache")
    if job.get("raise"):
        raise ValueError(job["raise"])
    told = {"threads": os.environ.get("OMP_NUM_THREADS"), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
    return {"name": job["name"], "pid": os.getpid(), **told}


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # workers import `work` by this module's name
    made = []

    def new(workers, threads=1):
        made.append(LocalExecutor(work, workers, threads))
        return made[-1]

    yield new
    for one in made:
        one.close()


def collect_all(executor):
    """`{name: (result, reason)}` of everything that runs."""
    found = {}
    while executor.running:
        found |= {job["name"]: (result, failure and str(failure)) for job, result, failure in executor.collect(30)}
    return found


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_no_workers_means_at_once_and_here(executor):
    here = executor(0)
    assert here.free == 1
    here.submit({"name": "a"})
    assert here.free == 0 and [j["name"] for j in here.running] == ["a"]
    [(job, result, reason)] = here.collect(0)
    assert (job["name"], result["pid"], reason) == ("a", os.getpid(), None)
    assert here.running == [] and here.free == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_that_work_lets_out_is_a_reason(executor, workers):
    one = executor(workers)
    one.submit({"name": "a", "raise": "no such thing"})
    assert collect_all(one) == {"a": (None, "ValueError: no such thing")}
    one.submit({"name": "b"})
    assert collect_all(one)["b"][1] is None


def test_workers_work_side_by_side_with_their_own_threads(executor):
    two = executor(2, threads=3)
    for name in "ab":
        two.submit({"name": name, "sleep": 0.3})
    assert two.free == 0
    found = {name: result for name, (result, _) in collect_all(two).items()}
    assert len({found["a"]["pid"], found["b"]["pid"], os.getpid()}) == 3
    assert {r["threads"] for r in found.values()} == {"3"}
    two.submit({"name": "c"})
    assert collect_all(two)["c"][0]["pid"] in {r["pid"] for r in found.values()}


def test_nothing_ended_is_an_empty_list(executor):
    one = executor(1)
    one.submit({"name": "a", "sleep": 30})
    assert one.collect(0.05) == [] and one.free == 0


def test_a_worker_that_dies_takes_only_its_own_job(executor):
    two = executor(2)
    two.submit({"name": "dies", "die": True, "sleep": 0.2})
    two.submit({"name": "lives", "sleep": 1.0})
    found = collect_all(two)
    assert found["dies"][0] is None and "its worker process died" in found["dies"][1]
    assert found["lives"][0]["name"] == "lives"
    [lost] = two.lost()
    assert (lost.job["name"], lost.again) == ("dies", False) and lost.held_s > 0.1 and two.lost() == []
    two.submit({"name": "next"})
    assert collect_all(two)["next"][0]["name"] == "next"


@pytest.mark.parametrize(
    ("how", "words"),
    [("die", "it ended by itself with status 9"), ("killed", "SIGKILL (killed by the system, most often for memory)")],
)
def test_a_reason_says_what_the_worker_died_of(executor, how, words):
    one = executor(1)
    one.submit({"name": "a", how: True})
    [(_, result, failure)] = one.collect(30)
    assert (result, failure.reason, failure.is_environment) == (None, f"its worker process died: {words}", False)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_the_system_refuses_is_no_fault_of_the_job(executor, workers):
    one = executor(workers)
    one.submit({"name": "a", "full": True})
    [(_, result, failure)] = one.collect(30)
    assert (result, failure.is_environment) == (None, True) and "No space left on device: '/cache'" in failure.reason
    assert [lost.job["name"] for lost in one.lost()] == ["a"], "what it held is paid for"
    one.submit({"name": "b", "raise": "its own"})
    [(_, result, failure)] = one.collect(30)
    assert (failure.is_environment, one.lost()) == (False, [])


def cannot_prepare(*_):
    """As a library that ends the process when it is loaded."""
    os._exit(3)


BROKEN_IN_WORKERS = """
import multiprocessing
if multiprocessing.parent_process():
    raise ImportError("libgomp.so.1: cannot open shared object file")
def work(job):
    return dict(job)
"""


def test_a_worker_that_cannot_import_its_work_says_so_and_blames_nobody_else(tmp_path, monkeypatch):
    (tmp_path / "broken_in_workers.py").write_text(BROKEN_IN_WORKERS)
    monkeypatch.syspath_prepend(tmp_path)
    one = LocalExecutor(importlib.import_module("broken_in_workers").work, 1, 1)
    one.submit({"name": "a"})
    [(_, result, failure)] = one.collect(30)
    one.close()
    assert (result, failure.is_environment) == (None, True)
    assert (
        failure.reason == "a worker process could not start: ImportError: libgomp.so.1: cannot open shared object file"
    )


def test_a_worker_that_dies_before_its_first_job_never_started(executor, monkeypatch):
    monkeypatch.setattr(local, "_start_worker", cannot_prepare)
    one = executor(1)
    one.submit({"name": "a"})
    [(_, result, failure)] = one.collect(30)
    assert (result, failure.is_environment) == (None, True)
    assert "could not start: it ended by itself with status 3" in failure.reason


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from autocomp.executors.local import LocalExecutor
import test_local
print("the script runs", flush=True)
executor = LocalExecutor(test_local.work, 2, 1)
for name in "ab":
    executor.submit({"name": name, "sleep": 0.2})
while executor.running:
    for job, result, failure in executor.collect(60):
        print(job["name"], result and result["name"], failure, flush=True)
executor.close()
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, tmp_path / "script.py", Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["a a None", "b b None", "the script runs"]


def test_a_closed_executor_leaves_no_thread_that_the_interpreter_could_meet_on_its_way_out(executor, monkeypatch):
    """The thread of a pool is made slow to end, as it is now and then on a busy machine."""
    thread = process._ExecutorManagerThread
    ends = thread.join_executor_internals
    monkeypatch.setattr(thread, "join_executor_internals", lambda self: (time.sleep(0.3), ends(self)))
    before = set(threading.enumerate())
    two = executor(2)
    for name in "ab":
        two.submit({"name": name})
    collect_all(two)
    two.close()
    assert set(threading.enumerate()) <= before


def test_a_worker_that_dies_while_idle_is_renewed(executor):
    one = executor(1)
    one.submit({"name": "a"})
    pid = collect_all(one)["a"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    deadline = time.time() + 10
    while alive(pid) and time.time() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)  # the pool's own thread has to notice
    one.submit({"name": "b"})
    assert collect_all(one)["b"][0]["pid"] != pid


def test_close_ends_running_jobs_at_once_and_may_be_repeated(executor):
    one = executor(1)
    one.submit({"name": "warm"})
    pid = collect_all(one)["warm"][0]["pid"]
    one.submit({"name": "long", "sleep": 60})
    started = time.time()
    one.close()
    one.close()
    assert time.time() - started < 45 and not alive(pid), "its job takes 60 s"


@pytest.mark.parametrize(
    ("cores", "wanted", "expected"), [(4, 0, (4, 1)), (4, 2, (2, 2)), (2, 3, (3, 1)), (1, 0, (1, 1)), (5, 2, (2, 2))]
)
def test_each_worker_has_its_share_of_the_cores(monkeypatch, cores, wanted, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert share_of_cores(wanted) == expected


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from autocomp.executors.local import LocalExecutor
import test_local
if __name__ == "__main__":
    executor = LocalExecutor(test_local.work, 1, 1)
    executor.submit({"name": "a"})
    print(executor.collect(60)[0][1]["pid"], flush=True)
    executor.submit({"name": "b", "sleep": 60})
    time.sleep(60)
"""


def test_workers_do_not_outlive_a_study_that_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, tmp_path / "parent.py", Path(__file__).parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as parent:
        worker = int(parent.stdout.readline())
        assert alive(worker)
        parent.kill()
    deadline = time.time() + 10
    while alive(worker) and time.time() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def test_gpus_have_the_names_that_this_process_may_see(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert visible(1) == ["GPU-a"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible(3) == ["0", "1", "2"]

"""Works for the tests of the Ray executors: found by name in Ray's workers."""

import os
import signal
import time
from pathlib import Path

from autocomp.executors import FollowUp, Work
from autocomp.result_cache import ResultCache


def work(job):
    """What a job says: leave a mark, sleep, raise, die so many times, make a stage, or tell who did it."""
    if job.get("mark"):
        (Path(job["marks"]) / f"{job['id']}-begun").touch()
    time.sleep(job.get("sleep", 0))
    if job.get("raise"):
        raise ValueError(job["raise"])
    if "die" in job:
        _die(Path(job["marks"]), job)
    made = _make(job) if "make" in job else None
    read = [(ResultCache(Path(job["store"])).folder(k) / "text").read_text() for k in job.get("reads", ())]
    seen = {"cache": os.environ.get("AUTOCOMP_CACHE"), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
    seen["tells"] = os.environ.get("ORT_DISABLE_TELEMETRY")
    return {"id": job["id"], "pid": os.getpid(), "made": made, "read": read, **seen}


def _die(marks, job):
    """The first `die` attempts end with a kill -9."""
    before = len(list(marks.glob(f"{job['id']}-*")))
    (marks / f"{job['id']}-{before}").touch()
    if before < job["die"]:
        os.kill(os.getpid(), signal.SIGKILL)


def _make(job):
    def build(folder):
        (folder / "text").write_text(job["make"])

    return ResultCache(Path(job["store"])).make("data", {"text": job["make"]}, build).key


def reads(job):
    return list(job.get("reads", ()))


def made(_, result):
    return [result["made"]] if result["made"] else []


def second(job, result):
    return None if job.get("alone") else {"id": job["id"], "run": job["run"], "reads": made(job, result)}


def merged(result, measured):
    return {**result, "measured": measured}


def mirror(card, store, folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def card(run):
    return {}


MEASURE = Work("ray_works:MEASURE", work, reads, made)
TASKS = Work("ray_works:TASKS", work, reads, made)
TRIALS = Work("ray_works:TRIALS", work, reads, made, FollowUp(MEASURE, second, merged, at_device=True))
SCORED = Work("ray_works:SCORED", work, reads, made, FollowUp(MEASURE, second, merged, at_device=True))


def scored(job, result):
    return {**job, "die": 1, "make": f"scored {job['id']}", "reads": made(job, result)}


def with_scored(result, found):
    return None if isinstance(found, str) else {**result, "scored": found}


GPU_TRIALS = Work("ray_works:GPU_TRIALS", work, reads, made, FollowUp(SCORED, scored, with_scored))

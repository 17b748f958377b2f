"""Jobs of two parts: what the first held is free while the second is done, and nothing is lost between them."""

import os
import time
from pathlib import Path

import pytest

from autocomp.executors import FollowUp, Work
from autocomp.executors.local import LocalExecutor, LocalPool
from autocomp.executors.two_step import TwoStepExecutor


def first(job):
    """Train."""
    time.sleep(job.get("train_s", 0))
    if job.get("die") == "first":
        os._exit(9)
    return {"id": job["id"], "trained": True, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}


def second(job):
    """Score."""
    time.sleep(job.get("score_s", 0))
    if job.get("die") == "second":
        os._exit(9)
    if job.get("full"):
        raise OSError(28, "No space left on device", "/cache")
    return {"scored": job["trained"], "scored_beside": os.environ.get("CUDA_VISIBLE_DEVICES")}


def score_job(job, result):
    return None if job.get("alone") else {**job, "trained": result["trained"]}


def both(result, scored):
    return None if isinstance(scored, str) else {**result, **scored}


THEN = FollowUp(Work("x:SCORE", second), score_job, both)


@pytest.fixture
def chain(monkeypatch):
    """One process trains and one scores."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    with TwoStepExecutor(LocalExecutor(first, 1, 1, share=0.5), THEN, LocalExecutor(second, 1, 1)) as made:
        yield made


def collect(chain, count=None):
    """`{id: (result, reason)}` of everything that runs, or of the next few."""
    found, until = {}, time.time() + 60
    while chain.running and len(found) != count:
        assert time.time() < until, "waited in vain"
        found |= {job["id"]: (result, failure and str(failure)) for job, result, failure in chain.collect(0.2)}
    return found


def test_a_job_goes_through_both_parts(chain):
    chain.submit({"id": "a"})
    [(result, reason)] = collect(chain).values()
    assert (result["trained"], result["scored"], reason) == (True, True, None)
    [(job, trained)] = chain.parts()
    assert (job["id"], trained["trained"], "scored" in trained, chain.parts()) == ("a", True, False, [])


def test_the_next_trains_while_one_is_scored(chain):
    chain.submit({"id": "a", "score_s": 1.5})
    until = time.time() + 30
    while not chain.free and time.time() < until:
        chain.collect(0.05)
    assert [job["id"] for job in chain.running] == ["a"] and chain.free == 1
    chain.submit({"id": "b", "train_s": 0.2})
    assert set(collect(chain)) == {"a", "b"}


def test_no_new_jobs_while_as_many_wait_as_can_be_scored(chain):
    chain.submit({"id": "a", "score_s": 3})
    until = time.time() + 30
    while not chain.free and time.time() < until:
        chain.collect(0.05)
    chain.submit({"id": "b"})
    while len(chain.parts()) == 0 or chain._first.running:
        assert time.time() < until
        chain.collect(0.05)
    assert chain._first.free == 1 and chain.free == 0 and len(chain.running) == 2
    assert set(collect(chain)) == {"a", "b"} and chain.free == 1


def test_what_has_no_second_part_ends_with_the_first(chain):
    chain.submit({"id": "a", "alone": True})
    [(result, reason)] = collect(chain).values()
    assert (result["trained"], "scored" in result, reason, chain.parts()) == (True, False, None, [])


@pytest.mark.parametrize(("part", "share", "parts"), [("first", 0.5, 0), ("second", 0.0, 1)])
def test_a_worker_that_dies_is_booked_with_what_it_held(chain, part, share, parts):
    chain.submit({"id": "a", "die": part})
    [(result, reason)] = collect(chain).values()
    assert result is None and "its worker process died" in reason
    [lost] = chain.lost()
    assert (lost.job["id"], lost.gpu_share, lost.again, len(chain.parts())) == ("a", share, False, parts)
    chain.submit({"id": "b"})
    assert collect(chain)["b"][1] is None


def test_a_second_part_that_the_machine_fails_is_not_merged_into_a_result(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    merging = FollowUp(Work("x:SCORE", second), score_job, lambda result, scored: {**result, "scored": str(scored)})
    with TwoStepExecutor(LocalExecutor(first, 1, 1), merging, LocalExecutor(second, 1, 1)) as chain:
        chain.submit({"id": "a", "full": True})
        [(result, reason)] = collect(chain).values()
    assert result is None and "No space left on device" in reason


def test_it_waits_for_what_runs_without_spinning(chain):
    chain.submit({"id": "a", "score_s": 2})
    began, calls = time.process_time(), 0
    while chain.running:
        chain.collect(0.5)
        calls += 1
    assert calls < 30 and time.process_time() - began < 1


def test_workers_of_this_machine_share_gpus_and_others_score_without_one(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    with LocalPool(8, 1, gpus=2).executor(Work("x:TRAIN", first, then=THEN), share=0.5) as executor:
        assert (executor.workers, executor.threads, executor.gpu_share, executor.free) == (4, 1, 0.5, 4)
        for name in "abcd":
            executor.submit({"id": name, "train_s": 0.3})
        found = collect(executor)
    assert sorted(result["gpu"] for result, _ in found.values()) == ["3", "3", "5", "5"]
    assert {result["scored_beside"] for result, _ in found.values()} == {"3,5,7"}, "as this process; it uses none"


@pytest.mark.parametrize(
    ("workers", "share", "trainings", "scoring"),
    [(8, 1.0, 2, 6), (8, 0.5, 4, 4), (8, 0.01, 4, 4), (16, 0.25, 8, 8), (2, 0.5, 1, 1), (1, 0.5, 1, 1)],
)
def test_at_most_half_of_the_workers_train(workers, share, trainings, scoring):
    executor = LocalPool(workers, 1, gpus=2).executor(Work("x", first, then=THEN), share=share)
    assert (executor.workers, executor._second.workers) == (trainings, scoring)


def test_without_a_share_a_job_is_done_in_one_go():
    executor = LocalPool(8, 1, gpus=2).executor(Work("x", first, then=THEN))
    assert isinstance(executor, LocalExecutor) and executor.workers == 8

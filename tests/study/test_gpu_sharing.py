"""How many trainings share a GPU: decided from steps a second, journaled once."""

import json
import math
import time
from types import SimpleNamespace

import pytest

from autocomp.budget import Fidelity
from autocomp.errors import GpuError
from autocomp.executors.local import LocalPool, per_gpu
from autocomp.journal import Journal
from autocomp.journal.events import GpusShared, StudyBegun
from autocomp.study import gpu_sharing as sharing
from autocomp.study.gpu_sharing import (
    Rate,
    Sharing,
    SharingJob,
    StepsJob,
    enough,
    settle_sharing,
    share_of,
    third_of,
    time_steps,
)
from autocomp.study.time_model import BACKWARD, BATCH, auto_ladder, clock_of_steps


def rates(*steps):
    return [Rate(2**i, rate) for i, rate in enumerate(steps)]


@pytest.mark.parametrize(
    ("steps", "jobs"),
    [((10,), 1), ((10, 9), 1), ((10, 10.9), 1), ((10, 18, 30), 4), ((10, 18, 19, 90), 2), ((10, 11), 2)],
)
def test_as_many_share_as_gain_a_tenth_each_time(steps, jobs):
    assert enough(rates(*steps)).jobs == jobs


def pool(measured, gpus=2, workers=16):
    asked = []

    def at_gpu(work, job):
        asked.append(job)
        return json.loads(json.dumps(measured.to_json()))

    room = LocalPool(workers, 1, gpus).room
    return SimpleNamespace(at_gpu=at_gpu, gpus=gpus, room=room, asked=asked)


def begun(folder):
    journal = Journal(folder / "journal.jsonl")
    journal.append(StudyBegun())
    return journal


def hang(job):
    time.sleep(60)


MEASURED = Sharing("H", 4, 0.25, third_s=0.01, whole_s=0.03, tried=tuple(rates(10, 18, 30)))


def test_it_is_measured_once_and_journaled(tmp_path):
    journal, one = begun(tmp_path), pool(MEASURED)
    first = settle_sharing(journal, one, tmp_path, None)
    again = settle_sharing(Journal(tmp_path / "journal.jsonl"), one, tmp_path, None)
    assert first == again and len(one.asked) == 1
    assert (first.share, first.jobs, first.third_s) == (0.25, 4, 0.01)
    [event] = (e.to_json() for e in journal.events(GpusShared))
    assert (event["share"], event["held"], event["found"]) == (0.25, 2.0, 2)


@pytest.mark.parametrize(("wanted", "tried"), [(None, [1, 2, 4, 8, 16]), (0.25, [4]), (0.3, [3]), (1.0, [1])])
def test_a_share_that_a_person_gives_is_taken(tmp_path, wanted, tried):
    one = pool(MEASURED)
    settle_sharing(begun(tmp_path), one, tmp_path, wanted)
    assert (one.asked[0]["tried"], one.asked[0]["share"]) == (tried, wanted)


@pytest.mark.parametrize("jobs", range(1, 40))
def test_so_many_shares_fit(jobs):
    assert per_gpu(share_of(jobs)) == jobs


def test_a_gpu_without_memory_for_more_is_shared_by_fewer(context, monkeypatch):
    def together(run, jobs, share):
        if jobs > 2:
            raise GpuError("out of memory")
        return Sharing("H", jobs, share, third_s=1 / jobs, whole_s=2), Rate(jobs, jobs * jobs)

    def measured(tried, cores, share=None):
        found = sharing.measure(SharingJob(str(context.run), share, tried), cores)
        return found.jobs, found.share

    monkeypatch.setattr(sharing, "_together", together)
    assert measured([1, 2, 4], cores=8) == (2, 0.5)
    assert measured([1, 2, 4], cores=1) == (1, 1.0), "never more processes than cores"
    assert measured([100], cores=2, share=0.01) == (2, 0.01), "what a person gave stays as it is"
    assert measured([1], cores=2, share=0.7) == (1, 0.7)
    with pytest.raises(GpuError, match="memory"):
        measured([4], cores=8)


def test_trainings_meet_and_are_timed_together(context, monkeypatch):
    """Two processes, here without a GPU."""
    found, rate = sharing._together(str(context.run), 2, 0.0)
    assert (found.jobs, found.share, found.gpu) == (2, 0.0, "")
    assert min(found.third_s, found.whole_s) > 0, "which takes longer is for a machine with nothing else to do"
    assert rate.steps_per_s > 1 / found.third_s, "of both"


def test_trainings_that_hang_are_given_up_together(context, monkeypatch):
    monkeypatch.setattr(sharing, "PATIENCE_S", 0.5)
    monkeypatch.setattr(sharing, "TIMED_S", 0.1)
    monkeypatch.setattr(sharing, "time_steps", hang)
    with pytest.raises(GpuError, match=r"2 trainings at once .*it did not end"):
        sharing._together(str(context.run), 2, 0.5)


def test_steps_are_timed_of_two_sizes_on_real_students(context, tmp_path, monkeypatch):
    """On the CPU here: a job without a share; where it computes is tried in `tests/training` and `tests/end_to_end`."""
    monkeypatch.setattr(sharing, "TIMED_S", 0.4)
    found = time_steps(StepsJob("0", str(context.run), 1, 0.0, str(tmp_path)).to_json())
    assert min(found["third_s"], found["whole_s"]) > 0, "which takes longer is for a machine with nothing else to do"
    assert third_of(3) == third_of(1) == 1 and third_of(12) == 4


def test_the_clock_goes_by_what_was_timed():
    clock = clock_of_steps(0.010, 0.016, 1 / 3, 9_000_000, latency_s=0.01, rows=100)
    assert clock.step_s(3e6, BATCH) == pytest.approx(0.010)
    assert clock.step_s(9e6, BATCH) == pytest.approx(0.016)
    assert clock.step_s(6e6, BATCH) == pytest.approx(0.013)
    assert clock.per_weight_s * BATCH * BACKWARD * 6e6 == pytest.approx(0.006)


@pytest.mark.parametrize(("third", "whole", "part"), [(0.01, 0.008, 1 / 3), (0.01, 0.01, 1.0), (0.001, 0.1, 0.5)])
def test_a_clock_of_odd_timings_still_counts_up(third, whole, part):
    """A GPU may take as long for a third as for all: then a step is overhead alone."""
    clock = clock_of_steps(third, whole, part, 9_000_000, 0.01, 100)
    steps = [clock.step_s(w, BATCH) for w in (1e6, 4e6, 9e6)]
    assert steps == sorted(steps) and steps[0] >= 0 and math.isfinite(steps[-1])
    assert all(isinstance(rung, Fidelity) and rung.steps >= 60 for rung in auto_ladder(clock, 600, 4))

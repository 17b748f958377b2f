"""Running files over texts, and how slow the machine is just now."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from autocomp.pipeline import baselines, evaluate
from autocomp.pipeline.context import context_keys, texts_of
from autocomp.pipeline.evaluate import TeacherClock, measure_artifact, opened, run_over, time_teacher
from autocomp.pipeline.job_io import BaselineJob
from autocomp.spec import DeviceProfile
from autocomp.tasks import Example
from autocomp.timing import once


class Predictor:
    """Takes the time that the clock on the wall is moved by."""

    def __init__(self, clock, ms):
        self.clock, self.ms, self.runs = clock, ms, []

    def batches(self, texts):
        return list(range(len(texts)))

    def run(self, given):
        self.runs.append(given)
        self.clock.now += self.ms[given] / 1e3


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(evaluate, "once", partial(once, clock=lambda: clock.now))
    return clock


EXAMPLES = [Example(f"text {i}", None, 0) for i in range(10)]


def test_a_slower_machine_is_seen_on_the_teacher(clock):
    predictor = Predictor(clock, [2.0, 4.0, 6.0, 8.0])
    teacher = TeacherClock(predictor, EXAMPLES, np.array([1.0, 2.0, 3.0, 4.0]))
    for index in range(10):
        teacher.tick(index, 10)
    assert predictor.runs == [0, 1, 2, 3, 0]  # at inputs 0, 2, 4, 6 and 8
    assert teacher.slowdown() == pytest.approx(2.0)
    assert teacher.slowdown() == 1.0


def test_one_hiccup_does_not_count(clock):
    predictor = Predictor(clock, [1.0, 1.0, 500.0, 1.0, 1.0])
    teacher = TeacherClock(predictor, EXAMPLES, np.ones(5))
    for index in range(5):
        teacher.tick(index, 5)
    assert teacher.slowdown() == pytest.approx(1.0)


def test_fewer_texts_than_the_teacher_knows(clock):
    teacher = TeacherClock(Predictor(clock, [1.0] * 8), EXAMPLES, np.ones(8))
    for index in range(3):
        teacher.tick(index, 3)
    assert teacher.slowdown() == pytest.approx(1.0)


def test_texts_and_pairs():
    assert texts_of([Example("a", None, 0), Example("a", "b", 1)]) == ["a", ("a", "b")]


def test_a_run_is_what_the_file_answers(context):
    run = run_over(context.teacher_artifact, context.data.search, 1)
    rows = len(context.data.search)
    assert run.logits.shape == (rows, 2) and run.times_ms.shape == run.depths.shape == (rows,)
    assert np.allclose(run.logits, context.knowledge.search_logits, atol=1e-5)
    assert np.all(run.times_ms > 0) and run.load_ms > 0 and set(run.depths) == {3}


def test_the_teacher_is_timed_alone(context):
    times, _ = time_teacher(context.teacher_artifact, context.data.search, 1, rounds=2)
    assert times.shape == (evaluate.TEACHER_TEXTS,) and np.all(times > 0)


@pytest.mark.parametrize(("disturbed_attempts", "marked", "runs"), [(0, False, 1), (1, False, 2), (9, True, 3)])
def test_a_teacher_that_is_disturbed_is_timed_again_and_then_marked(context, disturbed_attempts, marked, runs):
    seconds, calls = [0.0], [0]
    per_attempt = 4 * 2 * evaluate.TEACHER_TEXTS  # rounds times readings before and after each text

    def clock():
        calls[0] += 1
        of_round = (calls[0] - 1) // (2 * evaluate.TEACHER_TEXTS)
        is_disturbed = (calls[0] - 1) // (per_attempt + 2 * evaluate.TEACHER_TEXTS) < disturbed_attempts
        seconds[0] += 1e-3 * (1 + of_round % 3 if is_disturbed else 1)
        return seconds[0]

    times, disturbed = time_teacher(context.teacher_artifact, context.data.search, 1, rounds=4, clock=clock)
    assert disturbed == marked and times.shape == (evaluate.TEACHER_TEXTS,)
    assert calls[0] == runs * (per_attempt + 2 * evaluate.TEACHER_TEXTS)


def test_the_speed_of_the_teacher_is_of_a_run_and_of_no_stage(prepared, monkeypatch):
    """A study that finds all stages in the cache measures the teacher's speed all the same."""
    keys = context_keys(prepared.run)
    device = DeviceProfile(**keys.device)
    job = BaselineJob(str(prepared.run), keys.store, keys.data, keys.teacher, device).to_json()
    found = []
    for factor in (1.0, 5.0):  # the second time something else runs
        times = factor * np.ones(evaluate.TEACHER_TEXTS)
        monkeypatch.setattr(baselines, "time_teacher", lambda *_: (times, factor > 1))  # noqa: B023 - called at once
        found.append(baselines.make_baseline(job))
    assert found[0]["key"] == found[1]["key"] == keys.baseline
    assert [(one["speed"]["alone_ms"][0], one["speed"]["disturbed"]) for one in found] == [(1.0, False), (5.0, True)]
    store = prepared.context.store
    held = load_file(store.folder(keys.baseline) / "arrays.safetensors")
    assert [name for name in held if "logits" not in name] == []
    assert set(store.find(keys.knowledge).facts) == {"texts", "tokens"}
    assert len(keys.speed.alone_ms) == evaluate.TEACHER_TEXTS and keys.speed.forward_s > 0


def test_latencies_are_divided_by_the_slowdown(context):
    names = ("latency", "task_score", "agreement", "artifact_size")
    alone, predictor = np.array(context.speed.alone_ms), opened(context.teacher_artifact, 1)[0]
    honest = measure_artifact(
        context, context.teacher_artifact, TeacherClock(predictor, context.data.search, alone), names
    )
    slow = TeacherClock(predictor, context.data.search, alone / 10)
    corrected = measure_artifact(context, context.teacher_artifact, slow, names)
    assert corrected["latency"].details["p50"] < honest["latency"].details["p50"] / 4
    assert honest["agreement"].value == 1.0 and honest["task_score"].value > 0.9
    assert honest["latency"].device == context.machine

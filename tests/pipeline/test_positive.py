"""Wherever a file is scored, the score is about the task's positive label."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from autocomp.metrics import metrics
from autocomp.pipeline import baselines, evaluate
from autocomp.pipeline.context import LANDMARKS
from autocomp.pipeline.evaluate import measure_artifact
from autocomp.pipeline.job_io import Timings
from autocomp.pipeline.teacher import manifest_of
from autocomp.study.front import Scored, held_out_figures
from autocomp.study.validate import data_facts

POSITIVES = (0, 1)


def about(context, positive):
    """The context with F1 of that label, on search rows of which most have label 0."""
    rows = context.data.search
    data = replace(context.data, metric="f1", positive=positive, search=rows, held_out=rows)
    return replace(context, data=data)


def answers(context, wrong=7):
    """Logits that are wrong in the first rows: 0 is answered too often."""
    labels = np.array([row.target for row in context.data.search])
    labels[:wrong] = 0
    return np.eye(2)[labels]


def expected(context, logits, positive):
    labels = np.array([row.target for row in context.data.search])
    return metrics["f1"](labels, logits.argmax(-1), 2, positive=positive)


@pytest.fixture
def different(context):
    logits = answers(context)
    assert expected(context, logits, 0) != expected(context, logits, 1), "else the test cannot fail"
    return logits


@pytest.mark.parametrize("positive", POSITIVES)
def test_of_the_final_front(context, different, positive):
    times = np.ones((3, 4))
    other = Scored(context.teacher_artifact, different, times, "here", [1] * 4, np.ones(len(different)))
    perfect = replace(other, logits=answers(context, 0))
    found = held_out_figures(about(context, positive), {"m01": other, "teacher": perfect}, "m01")
    assert found["score"] == pytest.approx(expected(context, different, positive))
    assert found["score_difference"] == pytest.approx(found["score"] - 1)


@pytest.mark.parametrize("positive", POSITIVES)
def test_of_a_trial(context, different, positive, monkeypatch):
    run = evaluate.run_over(context.teacher_artifact, context.data.search, 1)
    monkeypatch.setattr(evaluate, "run_over", lambda *given: replace(run, logits=different))
    found = measure_artifact(about(context, positive), context.teacher_artifact, None, ("task_score",))
    assert found["task_score"].value == pytest.approx(expected(context, different, positive))
    teacher = expected(context, context.knowledge.search_logits, positive)
    assert found["task_score"].details["teacher"] == pytest.approx(teacher)


@pytest.mark.parametrize("positive", POSITIVES)
def test_of_the_landmarks(context, different, positive, monkeypatch):
    timed = Timings(dict.fromkeys(LANDMARKS, np.ones((1, len(different)))))
    monkeypatch.setattr(baselines, "place", lambda device, pool: "here")
    monkeypatch.setattr(baselines, "search_logits", lambda context: dict.fromkeys(LANDMARKS, different))
    monkeypatch.setattr(baselines, "final_measurements", lambda folder: {})
    pool = SimpleNamespace(at_device=lambda work, job: timed.to_json())
    for found in baselines.landmark_measurements(about(context, positive), ("task_score",), pool).values():
        assert found["task_score"].value == pytest.approx(expected(context, different, positive))


def test_it_is_told_wherever_the_metric_is(context):
    data = about(context, 0).data
    assert data_facts(data)["positive"] == manifest_of(context.teacher, data)["positive"] == data.labels[0]
    assert data_facts(replace(data, metric="accuracy"))["positive"] is None

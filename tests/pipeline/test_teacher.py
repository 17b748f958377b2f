"""The teacher's stage: fine-tuned for as long as there is time, and never twice for nothing."""

import math
from types import SimpleNamespace

import pytest

from autocomp.models.loading import load_teacher
from autocomp.pipeline import teacher as room
from autocomp.pipeline.teacher import teacher_stage
from autocomp.result_cache import ResultCache
from autocomp.tasks import resolve_task
from autocomp.training.loop import Trained


@pytest.fixture
def parts(tiny_parts, tmp_path):
    """`(store, loaded, data)` of the tiny study, whose model has no head yet."""
    data = resolve_task(tiny_parts["texts"], max_length=24)
    return ResultCache(tmp_path / "stages"), load_teacher(tiny_parts["model"], data.labels, max_length=24), data


SPEC = SimpleNamespace(teacher_epochs=1.0, teacher_learning_rate=1e-3, seed=0, budget="10s")


def make(parts, allowed_s=math.inf, before=None):
    return teacher_stage(*parts, SPEC, allowed_s, lambda fraction: None, before)


def test_without_a_limit_all_steps_are_taken_and_it_is_found_again(parts):
    made = make(parts)
    assert made.facts["steps"] == made.facts["of_steps"] > 5 and not made.was_cached
    assert make(parts, allowed_s=0.0).key == made.key, "a whole one serves however little time there is"


def test_a_short_budget_trains_for_half_of_what_there_is(parts, monkeypatch):
    deadlines = []

    def never_done(student, rows, *, deadline, **_):
        deadlines.append(deadline)
        return student, Trained(4, 5.0, 0.3)

    monkeypatch.setattr("autocomp.training.loop.fine_tune", never_done)
    monkeypatch.setattr(room.time, "time", lambda: 1000.0)
    made = make(parts, allowed_s=60.0)
    assert deadlines == [1030.0]
    assert (made.facts["steps"], made.facts["of_steps"] > 4) == (4, True)


def test_one_that_is_cut_short_is_no_whole_one_but_stays_its_own_studys(parts):
    short = make(parts, allowed_s=1e-3)
    assert short.facts["steps"] < short.facts["of_steps"]
    again = make(parts, allowed_s=1e-3, before=short.key)
    assert (again.key, again.was_cached) == (short.key, True), "a study that is resumed has one teacher"
    whole = make(parts)
    assert whole.key != short.key and whole.facts["steps"] == whole.facts["of_steps"]


@pytest.mark.parametrize("other", [{"seed": 1}, {"teacher_learning_rate": 2e-3}])
def test_a_teacher_that_was_made_of_something_else_is_not_taken(parts, other):
    short = make(parts, allowed_s=1e-3)
    changed = SimpleNamespace(**{**vars(SPEC), **other})
    again = teacher_stage(*parts, changed, 1e-3, lambda fraction: None, short.key)
    assert again.key != short.key and not again.was_cached


def test_a_teacher_that_is_gone_is_made_again(parts):
    made = make(parts, allowed_s=1e-3, before="teacher-0123456789abcdef")
    assert not made.was_cached and (made.folder / "student").is_dir()

"""Losses relative to the teacher, limits, the front of the records."""

import math
from dataclasses import replace

import numpy as np
import pytest

from autocomp.spec import read_objective
from autocomp.study.archive import ParetoArchive
from autocomp.study.front import MEMBER_S, START_S, candidates, rank_agreement
from autocomp.study.losses import LossScale, member

NAMES = ("artifact_size", "latency", "task_score")


@pytest.fixture
def judge():
    return LossScale(tuple(read_objective(n) for n in NAMES), (10_000.0, 8.0, 0.9))


def limited(judge, name, limit):
    changed = tuple(o.model_copy(update={"limit": limit}) if o.name == name else o for o in judge.objectives)
    return LossScale(changed, judge.teacher)


def front(judge, records, most):
    found = ParetoArchive(judge)
    for record in records:
        found.add(record)
    return judge.spread(found.front(), most)


def test_losses_are_logarithms_of_ratios_and_differences_of_scores(judge, records):
    [losses] = judge.of([records("a", nbytes=1000, ms=4.0, score=0.85)])
    assert losses == pytest.approx([math.log(0.1), math.log(0.5), 0.05])
    assert judge.of([]).shape == (0, 3)


def test_the_teacher_is_zero_and_inside_the_reference(judge, records):
    teacher = judge.of([records("teacher", nbytes=10_000, ms=8.0, score=0.9)])[0]
    assert np.allclose(teacher, 0) and np.all(teacher < judge.reference)
    assert judge.hypervolume([records("a", nbytes=1000)]) > judge.hypervolume([records("t", nbytes=10_000, ms=8.0)]) > 0
    assert judge.hypervolume([]) == 0


@pytest.mark.parametrize(
    ("name", "limit", "fits"),
    [("latency", 2.0, True), ("latency", 0.5, False), ("task_score", 0.95, False), ("task_score", 0.9, True)],
)
def test_limits_decide_what_is_feasible(judge, records, name, limit, fits):
    one = records("a", ms=1.0, score=0.9)
    strict = limited(judge, name, limit)
    assert strict.is_feasible(one) is fits
    assert len(front(strict, [one], 8)) == fits


def test_a_failed_record_is_never_feasible(judge, records):
    assert not judge.is_feasible(records("a", status="failed"))
    assert front(judge, [records("a", status="failed")], 8) == []
    assert front(judge, [], 8) == judge.spread([], 8) == []


def test_the_front_holds_what_nothing_beats(judge, records):
    small = records("small", nbytes=500, score=0.85, layers=1)
    good = records("good", nbytes=2000, score=0.9, layers=2)
    worse = records("worse", nbytes=2500, score=0.89, layers=3)
    assert {r.id for r in front(judge, [small, good, worse], 8)} == {"small", "good"}


def test_of_equal_plans_the_best_trained_counts(judge, records):
    early, late = records("early", score=0.91, steps=20), records("late", score=0.88, steps=60)
    assert [r.id for r in front(judge, [late, early], 8)] == ["late"]


def test_what_lies_beyond_the_reference_is_kept_only_if_there_is_nothing_else(judge, records):
    hopeless, good = records("hopeless", nbytes=100, score=0.3, layers=1), records("good", layers=2)
    assert [r.id for r in front(judge, [hopeless, good], 8)] == ["good"]
    assert [r.id for r in front(judge, [hopeless], 8)] == ["hopeless"]


def test_a_large_front_is_thinned_and_keeps_its_ends(judge, records):
    many = [records(f"r{i}", nbytes=1000 * (i + 1), score=0.85 + 0.005 * i, layers=i + 1) for i in range(9)]
    kept = {r.id for r in front(judge, many, 4)}
    assert len(kept) == 4 and {"r0", "r8"} <= kept


def test_as_many_candidates_as_there_is_time_for(judge, records):
    many = [records(f"r{i}", nbytes=1000 * (i + 1), ms=1.0, score=0.85 + 0.005 * i, layers=i + 1) for i in range(9)]
    assert len(candidates(judge, many, 8, seconds=1e9, rows=100, workers=1)) == 8
    few = candidates(judge, many, 8, seconds=START_S + 3 * MEMBER_S + 0.35, rows=100, workers=1)
    assert len(few) == 3, "each is scored for 0.1 s and then written"
    more = candidates(judge, many, 8, seconds=START_S + 3 * (MEMBER_S + 1), rows=2000, workers=2)
    assert len(more) == 3, "two workers score in half the time, one process writes"
    assert len(candidates(judge, many, 8, seconds=0, rows=100, workers=1)) == 1
    assert candidates(judge, [], 8, seconds=0, rows=100, workers=1) == []


def test_a_member_says_what_was_measured(records):
    one = member(records("t0001-0", nbytes=1234, ms=2.0, score=0.8), "words")
    assert (one["id"], one["record"], one["bytes"], one["latency_ms"], one["search_score"]) == (
        "t0001-0",
        "t0001-0",
        1234,
        2.0,
        0.8,
    )
    assert one["latency_predicted"] is False


def test_a_member_says_what_was_predicted(records):
    record = records("t0001-0", nbytes=1234, ms=2.0, score=0.8)
    predicted = replace(record.measurements["latency"], predicted=True)
    record = replace(record, measurements={**record.measurements, "latency": predicted})
    assert member(record, "words")["latency_predicted"] is True


def test_rank_agreement():
    members = [{"search_score": s, "score": t} for s, t in [(0.1, 0.5), (0.2, 0.6), (0.3, 0.7)]]
    assert rank_agreement(members) == {"search_vs_held_out": pytest.approx(1.0), "members": 3}
    turned = [{**m, "score": -m["score"]} for m in members]
    assert rank_agreement(turned)["search_vs_held_out"] == pytest.approx(-1.0)
    assert rank_agreement(members[:2])["search_vs_held_out"] is None
    assert rank_agreement([])["members"] == 0

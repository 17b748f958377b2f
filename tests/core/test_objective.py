import pytest
from pydantic import ValidationError

from autocomp.errors import SpecError
from autocomp.measurement import Measurement
from autocomp.objective import Objective

SMALLER = Objective(name="latency", measure="latency", limit=5.0)
LARGER = Objective(name="task_score", measure="task_score", direction="maximize", limit=0.9)


def test_the_value_is_the_measures_or_the_named_statistic():
    found = {"latency": Measurement(3.0, "ms", 0.1, 60, "cpu", {"p95": 4.0})}
    assert SMALLER.value(found) == 3.0
    assert Objective(name="tail", measure="latency", options={"statistic": "p95"}).value(found) == 4.0


def test_an_unknown_statistic_names_those_there_are():
    found = {"latency": Measurement(3.0, "ms", details={"p95": 4.0, "p50": 3.0})}
    with pytest.raises(SpecError, match=r"objective tail: options.statistic: .*\(p50, p95\), got 'p42'"):
        Objective(name="tail", measure="latency", options={"statistic": "p42"}).value(found)


def test_a_loss_is_always_minimised():
    assert SMALLER.to_loss(3.0) == 3.0
    assert LARGER.to_loss(3.0) == -3.0


def test_limits_bind_from_the_right_side():
    assert [SMALLER.is_feasible(v) for v in (4.9, 5.0, 5.1)] == [True, True, False]
    assert [LARGER.is_feasible(v) for v in (0.89, 0.9, 0.91)] == [False, True, True]
    assert Objective(name="free", measure="latency").is_feasible(1e9)


@pytest.mark.parametrize(("teacher", "room"), [(0.9, 0.09), (-0.5, 0.05), (0.02, 0.01), (0.0, 0.01)])
def test_a_score_may_be_lost_in_part_even_where_the_teacher_s_is_negative_or_near_0(teacher, room):
    assert LARGER.worst_loss(teacher) == pytest.approx(room)
    assert LARGER.relative_loss(teacher - room / 2, teacher) < LARGER.worst_loss(teacher)
    assert LARGER.relative_loss(teacher - 2 * room, teacher) > LARGER.worst_loss(teacher)


@pytest.mark.parametrize("wrong", [{"direction": "down"}, {"worst_times_teacher": 0}, {"goal": 1}])
def test_wrong_objectives_are_refused(wrong):
    with pytest.raises(ValidationError) as caught:
        Objective(name="x", measure="latency", **wrong)
    assert [error["loc"] for error in caught.value.errors()] == [tuple(wrong)]


def test_a_measurement_survives_json():
    one = Measurement(3.0, "ms", 0.1, 60, "cpu", {"p95": 4.0})
    assert Measurement.from_json(one.to_json()) == one
    assert Measurement.from_json(Measurement(1, "bytes").to_json()).spread is None

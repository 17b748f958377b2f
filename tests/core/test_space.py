import numpy as np
import pytest

from autocomp.errors import SpecError
from autocomp.space import Condition, Knob, SearchSpace

BITS = Knob((2, 2.5, 3, 4, 8, 32))
FALLING = Knob((0.7, 0.5, 0.3, 0.0))
WAY = Knob(("importance", "uniform"))


@pytest.mark.parametrize(
    ("knob", "wanted", "expected"),
    [
        (BITS, 4, (4,)),
        (BITS, [4, 8], (4, 8)),
        (BITS, [8, 4, 8], (4, 8)),
        (BITS, [5], (5,)),
        (BITS, {"max": 4}, (2, 2.5, 3, 4)),
        (BITS, {"min": 2.7, "max": 10}, (3, 4, 8)),
        (BITS, {}, BITS.values),
        (FALLING, [0.0, 0.5], (0.5, 0.0)),
        (FALLING, {"max": 0.5}, (0.5, 0.3, 0.0)),
        (WAY, "uniform", ("uniform",)),
        (WAY, ["uniform", "importance"], ("importance", "uniform")),
    ],
)
def test_narrowed_knobs_keep_the_least_compressing_value_last(knob, wanted, expected):
    assert knob.narrow(wanted, "a.yaml", "k").values == expected


@pytest.mark.parametrize(
    ("knob", "wanted", "rule"),
    [
        (BITS, 64, "must be one of 2, 2.5, 3, 4, 8, 32"),
        (BITS, [4, 1], "must be one of"),
        (BITS, "four", "must be one of"),
        (BITS, True, "must be one of"),
        (BITS, [], "at least one value"),
        (BITS, {"min": 9, "max": 31}, "leaves none of 2, 2.5"),
        (BITS, {"min": 8, "max": 4}, "leaves none"),
        (BITS, {"least": 3}, "only `min` and `max`"),
        (BITS, {"min": "low"}, "must be numbers"),
        (BITS, {"max": True}, "must be numbers"),
        (WAY, "best", "must be one of importance, uniform"),
        (WAY, {"min": 1}, "of a numeric knob"),
    ],
)
def test_a_wrong_narrowing_names_file_key_rule_and_value(knob, wanted, rule):
    with pytest.raises(SpecError) as caught:
        knob.narrow(wanted, "my/space.yaml", "techniques.linear_bits.bits")
    text = str(caught.value)
    assert text.startswith("my/space.yaml: techniques.linear_bits.bits: ")
    assert rule in text
    assert repr(caught.value.value) in text
    assert caught.value.value in (wanted, *(wanted if isinstance(wanted, list) else ()))


def test_nearest_on_one_knob():
    assert [BITS.nearest(v) for v in (0, 2.6, 5.9, 6.1, 100)] == [2, 2.5, 4, 8, 32]
    assert WAY.nearest("uniform") == "uniform"
    assert WAY.nearest("unknown") == "importance"
    assert BITS.nearest("text") == 2


def test_a_knob_knows_its_values_and_booleans_are_no_numbers():
    assert BITS.is_numeric and not WAY.is_numeric and not Knob((True, False)).is_numeric
    assert BITS.contains(2.5) and not BITS.contains(5)
    assert not Knob((0, 1)).contains(True) and Knob((True, False)).contains(True)
    assert BITS.describe() == "2, 2.5, 3, 4, 8, 32"


SPACE = SearchSpace({"depth.layers": Knob((1, 2, 3)), "heads.allocation": WAY}, ("depth", "heads"))


def test_space_size_and_membership():
    assert SPACE.size == 6
    assert SearchSpace().size == 1
    assert SearchSpace({str(i): Knob(tuple(range(10))) for i in range(25)}).size == 10**25, "no overflow"
    assert SPACE.contains({"depth.layers": 2, "heads.allocation": "uniform"})
    assert not SPACE.contains({"depth.layers": 4, "heads.allocation": "uniform"})
    assert not SPACE.contains({"depth.layers": 2})
    assert not SPACE.contains({"depth.layers": 2, "heads.allocation": "uniform", "more": 1})


def test_samples_lie_in_the_space_reach_every_point_and_follow_the_seed():
    drawn = [SPACE.sample(rng) for rng in [np.random.default_rng(0)] for _ in range(200)]
    assert all(SPACE.contains(point) for point in drawn)
    assert len({tuple(point.values()) for point in drawn}) == SPACE.size
    assert SPACE.sample(np.random.default_rng(5)) == SPACE.sample(np.random.default_rng(5))


def test_nearest_point_takes_the_least_compressing_value_of_knobs_that_are_not_named():
    assert SPACE.nearest({"depth.layers": 9, "other": 1}) == {"depth.layers": 3, "heads.allocation": "uniform"}


KINDS = Knob(("static", "transformer"))
CONDITIONED = SearchSpace(
    {
        "architecture.kind": KINDS,
        "architecture.pairs": Knob((0, 10, 20)),
        "depth.layers": Knob((1, 2, 3, 4)),
        "linear_bits.bits": Knob((4, 8)),
    },
    ("architecture", "depth", "linear_bits"),
    {
        "architecture.pairs": Condition("architecture.kind", ("static",)),
        "depth.layers": Condition("architecture.kind", ("transformer",)),
    },
)


def test_points_that_differ_in_inactive_knobs_alone_are_one_point():
    static = {"architecture.kind": "static", "architecture.pairs": 10, "linear_bits.bits": 4}
    one, other = ({**static, "depth.layers": layers} for layers in (1, 3))
    assert CONDITIONED.canonical(one) == CONDITIONED.canonical(other) == {**static, "depth.layers": 4}
    assert CONDITIONED.canonical({**one, "architecture.kind": "transformer"}) == {
        "architecture.kind": "transformer",
        "architecture.pairs": 20,
        "depth.layers": 1,
        "linear_bits.bits": 4,
    }
    assert CONDITIONED.nearest(static | {"depth.layers": 2}) == {**static, "depth.layers": 4}
    assert not CONDITIONED.contains(one) and CONDITIONED.contains(CONDITIONED.canonical(one))


def test_a_conditioned_space_has_as_many_points_as_can_be_drawn():
    assert CONDITIONED.size == 2 * (3 + 4)
    rng = np.random.default_rng(0)
    drawn = {tuple(CONDITIONED.sample(rng).values()) for _ in range(500)}
    assert len(drawn) == CONDITIONED.size
    never = SearchSpace({"a.kind": Knob(("x",)), "b.size": Knob((1, 2))}, (), {"b.size": Condition("a.kind", ("y",))})
    assert never.size == 1

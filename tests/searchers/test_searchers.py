"""All searchers: distinct students, known points first, and a state that the journal can rebuild."""

import numpy as np
import pytest

from autocomp import searchers as room
from autocomp.errors import UnknownName
from autocomp.pipeline.plans import build_space, plan_of
from autocomp.searchers import Searcher, searchers
from autocomp.space import Knob, SearchSpace
from autocomp.spec import SpaceSpec
from autocomp.study.proposals import identity
from autocomp.testing.models import tiny_shape

NAMES = ("gp", "nsga2", "random", "tpe")
SPACE = SearchSpace(
    {
        "depth.layers": Knob((1, 2, 3, 4, 5, 6)),
        "feed_forward.kept": Knob((0.125, 0.25, 0.5, 0.67, 1.0)),
        "feed_forward.allocation": Knob(("importance", "uniform")),
        "linear_bits.bits": Knob((2, 3, 4, 8, 32)),
    },
    ("depth", "feed_forward", "linear_bits"),
)


def new(name, seed=0, space=SPACE):
    return Searcher(space, 2, name, seed, identity)


def ask(searcher, count):
    return [searcher.ask(plan_of) for _ in range(count)]


def told(searcher, points):
    for i, point in enumerate(points):
        layers, bits = point["depth.layers"], point["linear_bits.bits"]
        searcher.tell(point, None if i % 5 == 4 else [layers * bits, 1 / layers + 1 / bits])
    return searcher


def test_these_are_all_searchers():
    assert tuple(searchers.names()) == NAMES
    with pytest.raises(UnknownName, match="did you mean 'tpe'"):
        new("tpee")


@pytest.mark.parametrize("name", NAMES)
def test_no_student_is_proposed_twice(name):
    searcher = new(name)
    asked = ask(searcher, 12)
    assert all(SPACE.contains(point) for point in asked)
    told(searcher, asked)
    asked += ask(searcher, 2)
    assert len({identity(plan_of(point)) for point in asked}) == 14


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_propose_equally_and_others_differ(name):
    first, second, other = (ask(new(name, seed), 6) for seed in (3, 3, 4))
    assert first == second != other


@pytest.mark.parametrize("name", NAMES)
def test_what_was_told_decides_what_comes_next(name, rng):
    points = [SPACE.sample(rng) for _ in range(20)]
    first, second = (ask(told(new(name, 1), points), 1) for _ in range(2))
    assert first == second


def test_tpe_learns_from_what_it_is_told(rng):
    points = [SPACE.sample(rng) for _ in range(40)]
    good = new("tpe", 5)
    for point in points:
        good.tell(point, [point["depth.layers"], 2 * point["depth.layers"]])
    layers = [point["depth.layers"] for point in ask(good, 8)]
    assert sum(layers) / len(layers) < 3.0


def test_a_student_that_exists_already_is_not_proposed():
    searcher = new("random", space=SearchSpace({"depth.layers": Knob((1, 2, 3))}, ("depth",)))
    searcher.seen(identity(plan_of({"depth.layers": 2})))
    assert {point["depth.layers"] for point in ask(searcher, 2)} == {1, 3}
    assert searcher.ask(plan_of) is None


def test_plans_that_differ_only_in_cheap_steps_are_one_student():
    searcher = new("random", space=SearchSpace({"linear_bits.bits": Knob((2, 4, 8))}, ("linear_bits",)))
    assert searcher.ask(plan_of) is not None
    assert searcher.ask(plan_of) is None


def test_a_spent_space_gives_none():
    searcher = new("random", space=SearchSpace({"depth.layers": Knob((1, 2, 3))}, ("depth",)))
    asked = ask(searcher, 3)
    assert {point["depth.layers"] for point in asked} == {1, 2, 3}
    assert searcher.ask(plan_of) is None


@pytest.mark.parametrize("name", NAMES)
def test_failed_and_partial_points_may_be_told(name):
    searcher = new(name)
    searcher.tell({}, None)
    searcher.tell({"depth.layers": 2}, None)
    assert searcher.ask(plan_of) is not None


def test_points_from_before_the_space_was_edited_are_passed_over():
    searcher = new("tpe", space=SearchSpace({"depth.layers": Knob((1, 2))}, ("depth",)))
    searcher.tell({"depth.layers": 6}, [1.0, 1.0])
    searcher.tell({"hidden_size.kept": 0.5}, [1.0, 1.0])
    assert searcher.ask(plan_of)["depth.layers"] in (1, 2)


def known(searcher):
    return searcher._study.get_trials(deepcopy=False)


def in_study(count, rng, name="tpe", workers=8):
    """A searcher after so many jobs, of which the last `workers` are at work; each brought nine points."""
    searcher, asked, sizes = new(name, 3, LARGE), [], []
    for number in range(count):
        asked.append(ask(searcher, 1)[0])
        if number >= workers:
            done = asked[number - workers]
            for _ in range(9):
                searcher.tell(done, rng.random(2).tolist())
            searcher.seen(identity(plan_of(done)))
        sizes.append(len(known(searcher)))
    return searcher, asked, sizes


LARGE = SearchSpace(
    {**SPACE.knobs, "attention_heads.kept": Knob((0.25, 0.34, 0.5, 0.67, 1.0)), "hidden_size.kept": Knob((0.5, 1.0))},
    ("depth", "attention_heads", "feed_forward", "hidden_size", "linear_bits"),
)


def test_a_sampler_knows_no_more_points_however_many_are_told(rng):
    """All samplers look at every point they know for each proposal: a large study would slow down without an end."""
    _, asked, sizes = in_study(150, rng)
    assert max(sizes) <= 2 * room.KNOWN + 2 * 8 + 9
    assert len({identity(plan_of(point)) for point in asked}) == 150


def test_the_best_points_are_not_forgotten(rng):
    searcher = new("random", space=LARGE)
    ideal, least = LARGE.sample(rng), [[0.0, 0.1], [0.1, 0.0]]
    for losses in least:
        searcher.tell(ideal, losses)
    for _ in range(5 * room.KNOWN):
        searcher.tell(LARGE.sample(rng), rng.uniform(0.2, 1, 2).tolist())
    values = [list(trial.values) for trial in known(searcher)]
    assert all(losses in values for losses in least) and len(values) < 2 * room.KNOWN


@pytest.mark.parametrize("name", [n if n != "gp" else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_every_searcher_goes_on_with_less(name, rng, monkeypatch):
    monkeypatch.setattr(room, "KNOWN", 8)
    monkeypatch.setattr(room, "BEST", 2)
    (_, first, sizes), (_, second, _) = (in_study(9, np.random.default_rng(1), name, workers=2) for _ in range(2))
    assert first == second and len({identity(plan_of(point)) for point in first}) == 9
    assert max(sizes) < 32


def test_what_is_at_work_is_awaited_until_it_is_known(rng):
    searcher, asked, _ = in_study(150, rng, workers=8)
    awaited = [trial.params for trial in known(searcher) if not trial.state.is_finished()]
    assert awaited == asked[-8:]


def test_around_a_student_that_exists_another_one_is_found(rng):
    searcher = new("tpe", space=LARGE)
    for _ in range(60):  # the one good student is proposed again and again
        searcher.tell({name: knob.values[0] for name, knob in LARGE.knobs.items()}, [0.0, 0.0])
        searcher.tell(LARGE.sample(rng), [1.0, 1.0])
    assert len({identity(plan_of(point)) for point in ask(searcher, 60)}) == 60


def conditioned():
    spec = {"architecture": {"dimensions": 32}, "depth": {}, "feed_forward": {"allocation": "uniform"}}
    return build_space(SpaceSpec(techniques=spec), tiny_shape(layers=4), "mine.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_knobs_that_a_student_cannot_have_make_no_other_student(name):
    space = conditioned()
    searcher = new(name, 2, space)
    asked = []
    for _ in range(16):
        point = searcher.ask(plan_of)
        asked.append(point)
        searcher.tell(point, [point["depth.layers"], 1.0])
    assert all(space.contains(point) for point in asked), "inactive knobs have one value"
    assert len({identity(plan_of(point)) for point in asked}) == 16
    kinds = [point["architecture.kind"] for point in asked]
    assert 0 < kinds.count("static") <= len(space.knobs["architecture.pairs"].values)


def test_a_conditioned_space_can_be_exhausted():
    spec = {"architecture": {"kind": "static", "dimensions": 32}, "depth": {}}
    searcher = new("random", 0, build_space(SpaceSpec(techniques=spec), tiny_shape(layers=4), "mine.yaml"))
    asked = [point for point in ask(searcher, 12) if point]
    assert len(asked) == searcher.space.size == 4

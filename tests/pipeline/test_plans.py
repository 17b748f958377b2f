"""From YAML to a space, from points to plans, from plans to students."""

import pytest

from autocomp.errors import InfeasiblePlan, SpecError, UnknownName
from autocomp.pipeline import plans as subject
from autocomp.pipeline.plans import (
    build_space,
    cheap,
    convert,
    describe,
    plan_of,
    point_of,
    prepare,
    seeded,
    structural,
)
from autocomp.pipeline.students import technique_context
from autocomp.pipeline.teacher import as_student
from autocomp.spec import SpaceSpec
from autocomp.techniques import techniques
from autocomp.testing.models import tiny_shape


def space(shape=None, **narrowed):
    return build_space(SpaceSpec(techniques=narrowed), shape or tiny_shape(layers=4), "mine.yaml")


def test_a_space_holds_the_knobs_of_its_techniques_in_stage_order():
    found = space(linear_bits={}, depth={"layers": {"max": 2}}, exits={"threshold": 0.9})
    assert found.techniques == ("depth", "linear_bits", "exits")
    assert found.knobs["depth.layers"].values == (1, 2)
    assert found.knobs["exits.threshold"].values == (0.9,)
    assert found.knobs["linear_bits.bits"].values == techniques["linear_bits"].knobs(tiny_shape())["bits"].values


@pytest.mark.parametrize(
    ("narrowed", "words"),
    [
        ({"depth": {"layer": 2}}, ["mine.yaml", "techniques.depth.layer", "not a knob of depth", "layers, placement"]),
        ({"depth": {"layers": 9}}, ["techniques.depth.layers", "1, 2, 3, 4", "9"]),
        ({"depth": {"layers": []}}, ["techniques.depth.layers", "at least one"]),
        ({"depth": {"layers": {"min": 7}}}, ["techniques.depth.layers", "leaves none"]),
        ({"depth": {"layers": {"most": 7}}}, ["techniques.depth.layers", "`min` and `max`"]),
        ({"depth": {"placement": "top"}}, ["techniques.depth.placement", "even, bottom", "top"]),
    ],
)
def test_what_cannot_be_narrowed_is_named(narrowed, words):
    with pytest.raises(SpecError) as error:
        space(**narrowed)
    assert [word for word in words if word not in str(error.value)] == []


def test_a_technique_that_does_not_exist():
    with pytest.raises(UnknownName, match="did you mean 'depth'"):
        space(deepth={})


def test_two_techniques_may_not_claim_one_part(monkeypatch):
    monkeypatch.setattr(type(techniques["depth"]), "touches", techniques["feed_forward"].touches, raising=False)
    with pytest.raises(SpecError, match="both claim"):
        space(depth={}, feed_forward={})


def test_a_point_and_its_plan_are_two_forms_of_one_thing():
    found = space(linear_bits={}, depth={}, embedding_bits={})
    point = {"embedding_bits.bits": 4, "depth.layers": 2, "depth.placement": "even", "linear_bits.bits": 3}
    plan = plan_of(point)
    assert [s.technique for s in plan.steps] == list(found.techniques)
    assert plan == plan_of(dict(reversed(point.items())))
    assert point_of(plan, found) == point


def test_the_parts_of_a_plan(plans):
    plan = plans(depth={"layers": 2}, distillation={}, linear_bits={"bits": 4}, exits={"threshold": 0.9})
    assert [s.technique for s in structural(plan).steps] == ["depth", "distillation"]
    assert [s.technique for s in cheap(plan).steps] == ["linear_bits", "exits"]


def test_prepare_makes_the_structure_and_settles_it(context, plans):
    plan = plans(depth={"layers": 2}, feed_forward={"kept": 0.5}, linear_bits={"bits": 4})
    teacher = as_student(context.teacher)
    student, settled = prepare(teacher, plan, technique_context(context))
    shape = student.encoder.shape
    assert shape.depth == 2 and sum(b.feed_forward for b in shape.blocks) <= 64
    assert settled.options("depth")["kept"] and len(settled.options("feed_forward")["per_layer"]) == 2
    assert settled.options("linear_bits") == {"bits": 4} and student.formats == {}
    assert teacher.encoder.shape.depth == 3
    again, same = prepare(teacher, settled, technique_context(context))
    assert same == settled and again.encoder.shape == shape


def test_convert_makes_the_numbers_and_leaves_the_structure(context, plans):
    plan = plans(depth={"layers": 1}, linear_bits={"bits": 4}, embedding_bits={"bits": 8})
    student, settled = prepare(as_student(context.teacher), plan, technique_context(context))
    converted, final = convert(student, settled, technique_context(context))
    assert {f.bits for f in converted.formats.values()} == {4, 8}
    assert final.options("depth") == settled.options("depth")
    assert set(final.options("linear_bits")["per_group"].values()) == {4}
    assert student.formats == {} and converted.encoder.shape == student.encoder.shape


def test_what_leaves_nothing_is_infeasible(context, plans):
    known = technique_context(context)
    with pytest.raises(InfeasiblePlan, match=r"depth\.kept"):
        prepare(as_student(context.teacher), plans(depth={"kept": [7]}), known)


def test_an_error_inside_a_technique_names_its_step(context, plans, monkeypatch):
    def fail(*_):
        raise IndexError("index 9 is out of range")

    monkeypatch.setattr(type(techniques["depth"]), "prepare", fail)
    with pytest.raises(InfeasiblePlan, match=r"depth .*'layers': 2.*index 9"):
        prepare(as_student(context.teacher), plans(depth={"layers": 2}), technique_context(context))


def test_plans_in_words(context, plans):
    shape = context.teacher.encoder.shape
    plan = plans(depth={"layers": 2}, linear_bits={"bits": 4}, exits={"threshold": 0.9})
    assert describe(plan, shape) == "2 of 3 layers · 4-bit linears · exits at 0.9"
    assert describe(plans(), shape) == "the teacher itself"


def test_draws_depend_on_seed_and_purpose():
    def draw(*what):
        return seeded(*what).integers(1 << 62)

    assert draw(1, "a", 2) == draw(1, "a", 2)
    assert len({draw(1, "a", 2), draw(2, "a", 2), draw(1, "b", 2), draw(1, "a", 3)}) == 4


def test_stages_have_one_order():
    names = list(techniques.names())
    order = [techniques[n].stage for n in subject.in_stage_order(names)]
    assert order == sorted(order)


def test_a_space_may_choose_the_exit_rule():
    assert list(space(exits={}).knobs) == ["exits.threshold"]
    found = space(exits={"rule": "patience"})
    assert found.knobs["exits.rule"].values == ("patience",)
    assert found.knobs["exits.threshold"].values == (2, 3, 4, 100)
    assert space(exits={"rule": "entropy", "threshold": [0.0, 0.3]}).knobs["exits.threshold"].values == (0.3, 0.0)
    with pytest.raises(UnknownName, match="exit rule 'hope'"):
        space(exits={"rule": "hope"})


LEARNS_FROM_ANSWERS = {"learning_rate"}


def test_a_plan_has_no_step_and_no_option_that_its_students_cannot_have():
    found = space(architecture={}, depth={}, vocabulary={}, distillation={}, linear_bits={}, exits={})
    chosen = {"architecture.kind": "static", "architecture.pairs": 8192, "depth.layers": 1, "exits.threshold": 0.9}
    point = found.nearest(chosen)
    assert point["depth.layers"] == found.knobs["depth.layers"].values[-1], "inactive"
    plan = plan_of(point)
    assert [step.technique for step in plan.steps] == ["architecture", "vocabulary", "distillation", "linear_bits"]
    assert set(plan.options("distillation")) == LEARNS_FROM_ANSWERS
    assert plan == plan_of({**point, "depth.layers": 2, "distillation.hidden": 0.0}), "one point, one fingerprint"
    assert point_of(plan, found) == point
    layered = plan_of(found.nearest({"architecture.kind": "transformer", "depth.layers": 1}))
    assert dict(layered.options("architecture")) == {"kind": "transformer"}
    assert layered.options("depth")["layers"] == 1 and "hidden" in layered.options("distillation")


def test_a_space_without_architectures_has_no_conditions():
    assert space(depth={}, distillation={}).conditions == {}
    assert space(architecture={"kind": "transformer"}, depth={}).techniques == ("architecture", "depth")
    assert space(architecture={"kind": "transformer"}, depth={}).conditions == {}


def test_a_space_of_static_students_alone_has_as_many_points_as_these_differ():
    found = space(architecture={"kind": "static", "dimensions": 32}, depth={}, linear_bits={"bits": [4, 8]})
    assert found.size == len(found.knobs["architecture.pairs"].values) * 2


def test_what_no_architecture_has_is_refused():
    with pytest.raises(SpecError, match="is not a knob of architecture"):
        space(architecture={"channels": 3})
    with pytest.raises(SpecError, match="must be one of static, transformer"):
        space(architecture={"kind": "recurrent"})

"""What the driver knows of a proposal without cutting the teacher's weights."""

import json

import numpy as np
import pytest

from autocomp.models import encoder as encoders
from autocomp.pipeline.plans import build_space, plan_of, prepare, structural
from autocomp.pipeline.students import technique_context
from autocomp.pipeline.teacher import as_student
from autocomp.plan import CompressionPlan, Step
from autocomp.spec import SpaceSpec
from autocomp.study import plan_preview as sizing
from autocomp.techniques import techniques


@pytest.fixture(autouse=True)
def forget():
    sizing._prepared.cache_clear()
    sizing._early.cache_clear()
    sizing._late.cache_clear()


def drawn(context, names, count, seed=0):
    space = build_space(SpaceSpec(techniques={name: {} for name in names}), context.teacher.encoder.shape, "mine")
    rng = np.random.default_rng(seed)
    return [plan_of(space.sample(rng)) for _ in range(count)]


STRUCTURAL = [name for name in techniques.names() if not techniques[name].is_cheap]


def test_every_structural_technique_gives_the_sizes_that_a_worker_makes(prepared):
    context = prepared.context
    for plan in drawn(context, STRUCTURAL, 40):
        student, settled = prepare(as_student(context.teacher), plan, technique_context(context))
        assert sizing.prepared(prepared.run, plan) == (student.encoder.shape, settled)


def test_what_reports_show_of_a_student_is_plain_data(prepared):
    context = prepared.context
    for plan in drawn(context, STRUCTURAL, 10):
        student, _ = prepare(as_student(context.teacher), plan, technique_context(context))
        facts = json.loads(json.dumps(sizing.student_facts(prepared.run, plan)))
        assert type(student.encoder.shape).from_json(facts["shape"]) == student.encoder.shape
        assert facts["origin"] == list(student.origin)


def test_no_encoder_is_built_and_no_tokenizer_pruned_twice(prepared, monkeypatch):
    from autocomp.tokenizers import vocabulary as pieces

    built, pruned = [], []
    monkeypatch.setattr(encoders, "blank_encoder", lambda *given: built.append(given))
    monkeypatch.setattr(
        pieces, "prune_vocabulary", lambda *given, of=pieces.prune_vocabulary: pruned.append(1) or of(*given)
    )
    plans = drawn(prepared.context, ["depth", "attention_heads", "feed_forward", "hidden_size"], 30)
    plans = [
        CompressionPlan((Step("vocabulary", {"pieces": 250 + 50 * (i % 3)}), *p.steps)) for i, p in enumerate(plans)
    ]
    for plan in plans:
        assert sizing.prepared(prepared.run, plan)[0].vocabulary == plan.steps[0].options["pieces"]
    assert len({structural(plan).fingerprint for plan in plans}) > 20
    assert built == [] and len(pruned) == 3


def test_a_technique_that_looks_at_weights_is_asked_with_weights(prepared, monkeypatch):
    depth = type(techniques["depth"])

    def looks(self, student, options, context, of=depth.prepare):
        assert float(student.encoder.embeddings.word.weight.detach().sum()) != 0
        return of(self, student, options, context)

    monkeypatch.setattr(depth, "prepare", looks)
    plan = plan_of({"depth.layers": 1, "depth.placement": "bottom"})
    assert sizing.prepared(prepared.run, plan)[0].depth == 1


def test_a_plan_that_cannot_be_made_counts_as_the_teacher(prepared, plans):
    wrong = plans(depth={"kept": [7, 8]})
    assert sizing.prepared(prepared.run, wrong) == (prepared.context.teacher.encoder.shape, wrong)

"""Plans that change an encoder's form, from a user's space to a checked file."""

import numpy as np
import pytest

from autocomp.artifact.loader import load
from autocomp.pipeline.context import texts_of
from autocomp.pipeline.export import artifact_stage
from autocomp.pipeline.fake_quantize import cost, estimated_bytes, simulate
from autocomp.pipeline.plans import build_space, convert, describe, plan_of, prepare
from autocomp.pipeline.students import recovered_stage, technique_context
from autocomp.pipeline.teacher import as_student
from autocomp.spec import SpaceSpec
from autocomp.training.batches import encode

FORMS = {"layer_sharing": {}, "low_rank": {}, "local_attention": {}, "token_elimination": {}}
POINT = {
    "layer_sharing.layers": 2,
    "low_rank.kept": 0.5,
    "token_elimination.kept": 0.34,
    "local_attention.layers": 1,
}


def test_a_space_of_a_user_can_name_them(context):
    space = build_space(SpaceSpec(techniques={**FORMS, "linear_bits": {}}), context.teacher.encoder.shape, "mine.yaml")
    assert space.techniques == (*FORMS, "linear_bits")
    assert {"layer_sharing.start", *POINT} <= set(space.knobs)


@pytest.mark.parametrize("bits", [8, 32])
def test_their_files_answer_as_their_students_do(context, bits):
    from autocomp.models.student import load_student

    plan = plan_of({**POINT, "linear_bits.bits": bits})
    made, settled = recovered_stage(context, plan, [])
    student = load_student(made.folder / "student")
    words = describe(settled, context.teacher.encoder.shape)
    assert words.startswith("3 layers in 2 blocks · rank 16 · 34 % of tokens to the last layer")
    artifact = artifact_stage(context, student, made.key, settled)
    predictor = load(artifact.folder / "artifact")
    logits = np.concatenate([predictor.run(x)[0] for x in predictor.batches(texts_of(context.data.search))])
    converted, _ = convert(student, settled, technique_context(context))
    expected = simulate(converted, encode(student, context.data.search)).logits
    assert (expected.argmax(-1) == logits.argmax(-1)).mean() >= 0.95
    assert np.median(np.abs(expected - logits)) < (0.05 if bits == 32 else 0.3) * np.abs(expected).mean()


def test_estimates_count_factors_blocks_and_tokens(context):
    teacher = as_student(context.teacher)
    sizes, costs = {}, {}
    for name, value in {**POINT, "nothing": None}.items():
        made, _ = prepare(teacher, plan_of({} if value is None else {name: value}), technique_context(context))
        sizes[name], costs[name] = estimated_bytes(made), cost(made, 1.0)
    blocks = sum(w.numel() for n, w in teacher.encoder.named_parameters() if n.startswith("blocks.0."))
    assert sizes["nothing"] - sizes["layer_sharing.layers"] == 4 * blocks
    assert sizes["nothing"] - sizes["low_rank.kept"] == 4 * 6 * (32 * 64 - 16 * 96)
    assert sizes["token_elimination.kept"] == sizes["nothing"]
    assert costs["token_elimination.kept"] < 0.8 * costs["nothing"]
    assert costs["layer_sharing.layers"] == costs["nothing"]

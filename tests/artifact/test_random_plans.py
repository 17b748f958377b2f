"""Random plans over all techniques, on teachers whose layers differ: every file loads and agrees with PyTorch."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from autocomp.architectures import BlockShape
from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import write_model
from autocomp.errors import InfeasiblePlan
from autocomp.heads import HeadShape
from autocomp.models.encoder import plain_weights
from autocomp.models.slicing import add_exits
from autocomp.pipeline.fake_quantize import stored_weights
from autocomp.pipeline.plans import convert, in_stage_order, prepare
from autocomp.pipeline.verify import _Follower, _int8_linears
from autocomp.plan import CompressionPlan, Step
from autocomp.tasks import Example
from autocomp.techniques import techniques
from autocomp.testing.models import random_student, tiny_shape
from autocomp.testing.technique_contract import TEXTS, full_context
from autocomp.training.batches import Batch, collate, encode

PLANS = 200
EXACT, ROUNDED = 1e-5, 0.06
"""Root mean square error over that of the logits of a student rounded as its file is. Where linears run in int8, a
value at the border of two codes may fall to the other side (200 plans: at most 0.028, most below 0.0001)."""


def as_rounded(student, batch):
    """What a student answers when its weights and the inputs of int8 linears are rounded as its file rounds them."""
    student.encoder.eval()
    with stored_weights(student), torch.no_grad(), _Follower(student, _int8_linears(student), ()):
        return student.encoder(batch.ids, batch.mask, batch.types)


def random_teacher(rng: np.random.Generator):
    layers = int(rng.integers(1, 5))
    blocks = tuple(
        BlockShape(int(rng.integers(1, 5)), int(rng.choice([4, 8, 12])), int(rng.choice([24, 40, 64])))
        for _ in range(layers)
    )
    shape = tiny_shape(layers=layers, vocabulary=int(rng.integers(300, 1100)), labels=int(rng.integers(2, 4)))
    hidden = int(rng.choice([32, 48, 72]))
    embedding = hidden if rng.random() < 0.7 else 40
    shape = shape.with_(blocks=blocks, hidden=hidden, embedding_size=embedding)
    return random_student(shape, seed=int(rng.integers(1000)), pairs=bool(rng.random() < 0.3))


def random_plan(rng: np.random.Generator, shape) -> CompressionPlan:
    """About half of the techniques, no two of which claim one part, as far as they apply to the plan's architecture."""
    names, claimed = [], set()
    order = rng.permutation(techniques.names()).tolist()
    if rng.random() < 0.3:  # else those that claim several parts would hardly ever find them all free
        order.sort(key=lambda name: -len(techniques[name].touches))
    for name in order:
        if rng.random() < 0.5 and not claimed & techniques[name].touches:
            names.append(str(name))
            claimed |= techniques[name].touches
    steps = [
        Step(n, {o: k.values[int(rng.integers(len(k.values)))] for o, k in techniques[n].knobs(shape).items()})
        for n in in_stage_order(names)
    ]
    kinds = [step.options["kind"] for step in steps if step.technique == "architecture"]
    return CompressionPlan(tuple(s for s in steps if techniques[s.technique].applies((*kinds, "transformer")[0])))


@cache
def compressed(seed: int, head: HeadShape | None = None):
    """The first feasible plan of a seed, on its teacher, or on one with another head."""
    for again in range(20):
        rng = np.random.default_rng([seed, again])
        teacher = random_teacher(rng)
        if head is not None:
            teacher = random_student(teacher.encoder.shape.with_(head=head), seed=seed, pairs=teacher.pairs)
        plan = random_plan(rng, teacher.encoder.shape)
        try:
            student, _ = prepare(teacher, plan, full_context(teacher, rng))
            encoder = add_exits(
                student.encoder, range(1, student.encoder.shape.depth), torch.Generator().manual_seed(1)
            )
            student = replace(student, encoder=encoder)
            return plan, convert(student, plan, full_context(student, rng))[0]
        except InfeasiblePlan:
            continue
    raise AssertionError(f"no feasible plan in 20 draws of seed {seed}")


def written(student, **options):
    weights = {name: weight.float().numpy() for name, weight in plain_weights(student.encoder).items()}
    return write_model(student.encoder.shape, weights, student.formats, pairs=student.pairs, **options)


def examples(student) -> list[Example]:
    target = () if student.encoder.shape.head.kind == "multi_label" else 0
    return [Example(text, "and a second text" if student.pairs else None, target) for text in TEXTS]


def outputs(session, given) -> dict[str, np.ndarray]:
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, given), strict=True))


def batches(student) -> list[Batch]:
    data = encode(student, examples(student))
    return [collate(student, data, rows) for rows in ([0], [1], [2], [3], [4, 5])]


def inputs(student) -> list[dict[str, np.ndarray]]:
    takes_types = student.pairs and student.encoder.shape.token_types > 1
    return [
        {"input_ids": b.ids.numpy(), "attention_mask": b.mask.numpy()}
        | ({"token_type_ids": b.types.numpy()} if takes_types else {})
        for b in batches(student)
    ]


def logits_of(student) -> list[list[np.ndarray]]:
    """Logits of every batch at each exit and, last, of the whole model: each from a file that leaves there."""
    shape = student.encoder.shape
    weights = {name: weight.float().numpy() for name, weight in plain_weights(student.encoder).items()}
    models = [
        write_model(shape.with_(exits=(d,)), weights, student.formats, pairs=student.pairs, exit_threshold=0.0)
        for d in shape.exits
    ]
    sessions = [open_session(model.SerializeToString()) for model in (*models, written(student))]
    return [[outputs(session, given)["logits"] for given in inputs(student)] for session in sessions]


FIRST = [range(start, start + 20) for start in range(0, 3 * 20, 20)]
REST = [pytest.param(range(start, start + 20), marks=pytest.mark.slow) for start in range(3 * 20, PLANS, 20)]


@pytest.mark.parametrize("seeds", [*FIRST, *REST], ids=str)
def test_every_plan_exports_loads_and_agrees(seeds, kit):
    for seed in seeds:
        plan, student = compressed(seed)
        rounded = [as_rounded(student, batch) for batch in batches(student)]
        model = written(student)
        got = [np.concatenate(logits) for logits in logits_of(student)]
        expected = [torch.cat([r.exit_logits[depth] for r in rounded]).numpy() for depth in student.encoder.shape.exits]
        expected.append(torch.cat([r.logits for r in rounded]).numpy())
        inner = "blocks" if student.encoder.shape.depth else "head.dense"
        is_int8 = any(f.runs_int8 for n, f in student.formats.items() if n.startswith(inner))
        assert (kit.int8_products(kit.operators(model)) > 0) == is_int8, (seed, plan)
        for mine, theirs in zip(got, expected, strict=True):
            errors = np.mean((mine - theirs) ** 2, axis=1) / np.mean(theirs**2)
            error = np.sqrt(np.mean(errors))
            assert error <= (ROUNDED if is_int8 else EXACT), (seed, error, plan)


HEADS = (
    HeadShape(3, None, kind="multi_label", pooling="mean"),
    HeadShape(1, None, kind="regression", pooling="mean", scale=1.5, offset=2.7),
    HeadShape(1, 24, kind="regression", scale=0.3, offset=-0.2),
    HeadShape(2, 24, pooling="mean"),
)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: f"{head.kind}-{head.pooling}")
def test_every_plan_agrees_whatever_the_head_reads_and_answers(head):
    for seed in range(6):
        plan, student = compressed(seed, head)
        expected = torch.cat([as_rounded(student, batch).logits for batch in batches(student)]).numpy()
        session = open_session(written(student).SerializeToString())
        got = np.concatenate([outputs(session, given)["logits"] for given in inputs(student)])
        inner = "blocks" if student.encoder.shape.depth else "head.dense"
        is_int8 = any(f.runs_int8 for n, f in student.formats.items() if n.startswith(inner))
        spread = np.sqrt(np.mean(((expected - head.offset) / head.scale) ** 2))
        error = np.sqrt(np.mean(((got - expected) / head.scale) ** 2)) / spread
        assert error <= (ROUNDED if is_int8 else EXACT), (seed, error, plan)


def test_random_plans_cover_every_technique_and_pairs_of_them():
    steps = [frozenset(s.technique for s in compressed(seed)[0].steps) for seed in range(60)]
    for name in techniques.names():
        assert 10 <= sum(name in s for s in steps) <= 55, f"{name} is tried with and without"
    assert len(set(steps)) > 40


def test_files_with_exits_leave_where_their_own_exit_logits_say(kit):
    ways = []
    for seed in range(40):
        _, student = compressed(seed)
        exits = student.encoder.shape.exits
        data = written(student, exit_threshold=0.9).SerializeToString() if exits else b""
        for given, *everything in zip(inputs(student)[:3], *logits_of(student), strict=False) if exits else ():
            confidence = torch.from_numpy(np.concatenate(everything[:-1])).softmax(-1).amax(-1).numpy()
            # Between the most and the second most confident head, or above the only one.
            threshold = np.float32(np.sort([*confidence, 1.0])[-3:-1].mean() if len(exits) > 1 else 1)
            first = int((confidence >= threshold).argmax())
            leaves = bool((confidence >= threshold).any())
            found = outputs(open_session(data, exit_threshold=float(threshold)), given)
            assert found["exit_depth"] == (exits[first] if leaves else student.encoder.shape.depth)
            expected = everything[first] if leaves else everything[-1]
            np.testing.assert_allclose(found["logits"], expected, atol=1e-4)
            ways.append(int(found["exit_depth"]))
    assert len(ways) > 10 and len(set(ways)) >= 3, "exits at several depths and none are tested"

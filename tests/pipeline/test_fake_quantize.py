"""What a sweep believes of a file, against the file itself."""

from dataclasses import replace

import numpy as np
import pytest

from autocomp.artifact.files import artifact_bytes
from autocomp.artifact.loader import load
from autocomp.errors import ExportMismatch
from autocomp.exit_rules import DEFAULT, exit_rules
from autocomp.formats import WeightFormat
from autocomp.models.encoder import plain_weights
from autocomp.pipeline import export as exporting
from autocomp.pipeline.context import texts_of
from autocomp.pipeline.export import check, export, write_artifact
from autocomp.pipeline.fake_quantize import cost, estimated_bytes, leave, rounded, simulate
from autocomp.pipeline.plans import convert
from autocomp.pipeline.students import technique_context
from autocomp.training.batches import encode
from autocomp.training.predictions import Predictions, fit_exits


@pytest.fixture
def student(context, rng):
    return fit_exits(context.teacher, context.data.train, rng)


@pytest.fixture
def made(context, student, plans, tmp_path):
    """`made(linear, embedding, …)`: student as simulated, its file's logits and folder."""

    def make(linear=32, embedding=32, threshold=exit_rules[DEFAULT].grid[-1], sparsity=0.0):
        steps = {
            "linear_bits": {"bits": linear},
            "embedding_bits": {"bits": embedding},
            "exits": {"threshold": threshold},
        }
        if sparsity:
            steps = {"sparsity": {"fraction": sparsity}, **steps}
        converted, plan = convert(student, plans(**steps), technique_context(context))
        folder = tmp_path / f"{linear}-{embedding}-{threshold}-{sparsity}"
        export(context, converted, plan, folder)
        predictor = load(folder)
        logits = np.concatenate([predictor.run(x)[0] for x in predictor.batches(texts_of(context.data.search))])
        return converted, logits, folder

    return make


def simulated(context, student):
    return simulate(student, encode(student, context.data.search))


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({}, 0.05),
        ({"embedding": 4}, 0.05),
        ({"linear": 8, "embedding": 8}, 0.3),
        ({"linear": 4, "embedding": 4}, 0.3),
        ({"linear": 4, "embedding": 4, "sparsity": 0.5}, 0.3),
        ({"threshold": 0.9}, 0.05),
        ({"linear": 8, "embedding": 4, "threshold": 0.9}, 0.4),
    ],
)
def test_the_file_answers_as_simulated(context, made, settings, tolerance):
    converted, logits, _ = made(**settings)
    expected = simulated(context, converted).logits
    assert (expected.argmax(-1) == logits.argmax(-1)).mean() >= 0.97
    assert np.median(np.abs(expected - logits)) < tolerance * np.abs(expected).mean()


def test_rounding_shows(context, student, made):
    plain = simulated(context, student).logits
    coarse = simulated(context, made(linear=2, embedding=2)[0]).logits
    fine = simulated(context, made(linear=8, embedding=8)[0]).logits
    assert np.abs(coarse - plain).mean() > 5 * np.abs(fine - plain).mean()
    assert np.abs(coarse - plain).mean() > 0.02


def test_simulating_leaves_the_weights_as_they_were(context, student, made):
    before = {k: v.numpy().copy() for k, v in plain_weights(student.encoder).items()}
    converted, *_ = made(linear=2, embedding=2)
    simulated(context, converted)
    assert all(np.array_equal(before[k], v.numpy()) for k, v in plain_weights(student.encoder).items())


def test_rounded_weights_lie_on_few_levels(rng):
    weight = rng.normal(size=(4, 64)).astype(np.float32)
    assert max(len(np.unique(row)) for row in rounded(weight, WeightFormat(3))) <= 8
    assert (
        np.abs(rounded(weight, WeightFormat(8)) - weight).max()
        < np.abs(rounded(weight, WeightFormat(3)) - weight).max()
    )
    assert not np.array_equal(rounded(weight + 1, WeightFormat(3)), rounded(weight, WeightFormat(3)))


def test_estimated_bytes_rank_as_the_files_do(made):
    settings = [{"linear": b, "embedding": e} for b, e in [(2, 2), (4, 4), (8, 4), (8, 8), (32, 32)]]
    pairs = [
        (estimated_bytes(converted), artifact_bytes(folder)) for converted, _, folder in (made(**s) for s in settings)
    ]
    estimated, real = (np.array(x) for x in zip(*pairs, strict=True))
    assert np.all(np.diff(estimated) > 0) and np.all(np.diff(real) > 0)
    overhead = real - estimated
    assert np.all(overhead > 0) and np.ptp(overhead) < 25_000 < np.ptp(real)


def test_exit_heads_count_only_where_they_are_used(student):
    used = replace(student, exit_threshold=0.9)
    heads = sum(w.numel() for n, w in student.encoder.named_parameters() if n.startswith("exits."))
    assert estimated_bytes(used) - estimated_bytes(replace(student, exit_threshold=None)) == 4 * heads > 0


def test_cost_counts_what_runs(student, made):
    assert cost(student, 0.5) == pytest.approx(cost(student, 1.0) / 2)
    assert cost(made(linear=8)[0], 1.0) < cost(student, 1.0)


def test_texts_leave_at_the_first_exit_that_is_sure():
    final, first, second = (
        np.array([[9.0, 0], [9, 0], [9, 0]]),
        np.array([[0, 9.0], [0, 1], [0, 1]]),
        np.array([[0, 0.0], [0, 8], [0, 1]]),
    )
    seen = Predictions(final, {1: first, 2: second})
    out = leave(seen, 0.95, 3)
    assert out.logits.tolist() == [first[0].tolist(), second[1].tolist(), final[2].tolist()]
    assert out.depth == pytest.approx((1 + 2 + 3) / 9)
    assert leave(seen, None, 3).depth == 1.0


@pytest.mark.parametrize(("rule", "threshold"), [("entropy", 0.4), ("margin", 0.8), ("patience", 2)])
def test_every_exit_rule_answers_as_simulated(context, student, tmp_path, rule, threshold):
    leaving = replace(student, exit_threshold=threshold, exit_rule=rule)
    write_artifact(leaving, tmp_path / "a")
    predictor = load(tmp_path / "a")
    runs = [predictor.run(x) for x in predictor.batches(texts_of(context.data.search))]
    expected = simulated(context, leaving)
    # BF16 here: a text at the threshold may leave elsewhere.
    same = np.isclose(np.concatenate([r[0] for r in runs]), expected.logits, atol=0.05).all(-1)
    assert same.mean() >= 0.97
    depth = student.encoder.shape.depth
    assert 1 / depth <= expected.depth < 1
    assert np.mean([r[1] for r in runs]) == pytest.approx(expected.depth * depth, abs=0.05)


def test_a_file_that_computes_something_else_is_refused(context, student, made, tmp_path):
    *_, folder = made()
    assert check(context, student, folder) == 1.0
    wrong = replace(student, labels=student.labels)
    wrong.encoder.head.classifier.weight.data.neg_()
    wrong.encoder.head.classifier.bias.data.neg_()
    with pytest.raises(ExportMismatch, match=r"[^ ]*: head: the file's values are 200\.0% away"):
        check(context, wrong, folder)
    wrong.encoder.head.classifier.weight.data.neg_()
    wrong.encoder.head.classifier.bias.data.neg_()


def test_labels_that_differ_are_refused(context, student, made, monkeypatch):
    converted, _, folder = made(linear=8)
    monkeypatch.setattr(exporting, "LEAST_AGREEMENT", 1.01)
    with pytest.raises(ExportMismatch, match=r"at least 101% of the file's answers must equal the student's, \d+% do"):
        check(context, converted, folder)


def test_a_plan_that_the_runtime_does_not_follow_is_refused(context, made):
    converted, _, folder = made(linear=8)
    name = "blocks.1.feed_forward.input"
    meant = replace(converted, formats={k: v for k, v in converted.formats.items() if k != f"{name}.weight"})
    with pytest.raises(ExportMismatch, match=f"{name}: the plan says FP32, the runtime runs DynamicQuantizeMatMul"):
        check(context, meant, folder)

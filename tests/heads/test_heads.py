"""Every head: targets, losses, answers and how they are compared."""

import numpy as np
import pytest
import torch

from autocomp.heads import DEFAULT, differing_rows, heads
from autocomp.metrics import forms_of, metrics, metrics_for
from autocomp.tasks import score_with_error

ROWS = {"classification": [0, 2, 1, 2], "multi_label": [(0,), (), (1, 2), (2,)], "regression": [0.5, 2.0, 4.25, 3.0]}
LABELS = {"classification": ("a", "b", "c"), "multi_label": ("a", "b", "c"), "regression": ("grade",)}


@pytest.fixture(params=heads.names())
def kind(request):
    return request.param


def outputs(kind, rows=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, len(LABELS[kind]))).astype(np.float32)


def test_the_default_is_a_head_and_each_default_metric_fits():
    assert DEFAULT in heads
    for name in heads:
        assert heads[name].default_metric in metrics_for(heads[name].answer_key)
    forms = {heads[name].answer_key for name in heads}
    assert all(set(forms_of(metric)) <= forms for metric in metrics)


def test_right_answers_have_less_loss_than_wrong_ones(kind):
    head, labels = heads[kind], len(LABELS[kind])
    targets = torch.from_numpy(head.targets(ROWS[kind], labels))
    right = targets[:, None] if kind == "regression" else _sure(kind, targets)
    assert (head.loss(right, targets) < head.loss(-right - 1, targets)).all()
    assert head.loss(right, targets).shape == (4,)


def _sure(kind, targets):
    return 8 * torch.nn.functional.one_hot(targets, 3).float() if kind == "classification" else 16 * targets - 8


def test_a_student_like_its_teacher_has_no_distance(kind):
    head, ours, theirs = heads[kind], torch.from_numpy(outputs(kind)), torch.from_numpy(outputs(kind, seed=1))
    assert float(head.distance(ours, ours, 2.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(head.distance(ours, theirs, 2.0)) > 0.01
    assert head.divergence(ours.numpy(), ours.numpy()) == pytest.approx(0.0, abs=1e-6)
    assert head.divergence(ours.numpy(), theirs.numpy()) > 0.01


def test_learning_by_the_loss_ends_at_the_targets(kind):
    head, labels = heads[kind], len(LABELS[kind])
    targets = head.targets(ROWS[kind], labels)
    free = torch.zeros(4, labels, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=0.3)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(free, torch.from_numpy(targets), 1.5).mean().backward()
        optimizer.step()
    assert np.allclose(head.answers(free.detach().numpy()), targets, atol=0.01)


def test_a_gradient_of_the_distance_leads_to_the_teacher(kind):
    head, theirs = heads[kind], torch.from_numpy(outputs(kind, seed=1))
    free = torch.from_numpy(outputs(kind)).requires_grad_()
    before = head.distance(free, theirs, 1.0)
    before.backward()
    assert head.distance(free - 0.1 * free.grad, theirs, 1.0) < before


def test_equal_rows_are_told_from_others(kind):
    head, ours = heads[kind], heads[kind].answers(outputs(kind, 50))
    theirs = head.answers(outputs(kind, 50, seed=3))
    assert head.equal(ours, ours).mean() == 1.0 and 0 <= head.equal(ours, theirs).mean() < 1


def test_answers_that_are_apart_are_those_that_are_not_equal(kind):
    head, ours, theirs = heads[kind], *(heads[kind].answers(outputs(kind, 50, seed)) for seed in (0, 3))
    apart = head.apart(ours, theirs, 1.5)
    assert ((apart > 0) == (head.equal(ours, theirs, 1.5) < 1)).all() and (apart > 0).sum() > 0
    assert head.apart(ours, ours, 1.5).tolist() == [0.0] * 50


def test_rows_are_the_inverse_of_targets(kind):
    head, labels = heads[kind], len(LABELS[kind])
    assert head.rows(head.targets(ROWS[kind], labels)) == ROWS[kind]
    assert all(type(row) is type(ROWS[kind][0]) for row in head.rows(head.answers(outputs(kind))))


def test_sureness_is_the_probability_of_the_answer_if_there_is_one(kind):
    sure = heads[kind].sureness(outputs(kind, 50))
    assert (sure is None) == (kind == "regression")
    assert sure is None or (sure.shape == (50,) and sure.min() >= 0 and sure.max() <= 1)


def test_an_answer_of_several_labels_is_as_sure_as_its_weakest_part():
    chances = np.array([[0.9, 0.2, 0.6], [0.35, 0.1, 0.05]])
    sure = heads["multi_label"].sureness(np.log(chances / (1 - chances)), (0.5, 0.5, 0.7))
    assert sure == pytest.approx([0.4, 0.65])


def test_rows_that_differ_come_farthest_apart_first_and_then_surest():
    ours, theirs = np.array([[1, 1], [1, 0], [0, 0], [1, 0]]), np.array([[0, 0], [0, 0], [0, 0], [0, 0]])
    sure = np.array([0.1, 0.6, 0.9, 0.8])
    several = heads["multi_label"]
    assert differing_rows(several, ours, theirs, (sure, np.ones(4))).tolist() == [0, 3, 1]
    assert differing_rows(several, ours, theirs).tolist() == [0, 1, 3]
    assert differing_rows(heads["regression"], np.array([0.0, 1, 3]), np.zeros(3), unit=4.0).tolist() == [2, 1]


def test_every_row_has_a_stratum(kind):
    strata = heads[kind].strata(ROWS[kind], len(LABELS[kind]))
    assert len(strata) == 4 and all(isinstance(stratum, int) for stratum in strata)


def test_answers_for_people():
    one = heads["classification"].answer(np.array([0.0, 2.0, 1.0]), "abc")
    assert one.labels == ("b",) and one.value is None and sum(one.scores.values()) == pytest.approx(1)
    several = heads["multi_label"].answer(np.array([1.0, -3.0, 2.0]), "abc")
    assert several.labels == ("c", "a") and several.scores["a"] == pytest.approx(0.731, abs=1e-3)
    assert heads["multi_label"].answer(np.full(3, -3.0), "abc").labels == ()
    number = heads["regression"].answer(np.array([2.5]), ("grade",))
    assert (number.labels, number.scores, number.value) == ((), {"grade": 2.5}, 2.5)


def test_thresholds_are_where_f1_is_best_and_rare_labels_keep_the_half():
    rng = np.random.default_rng(0)
    holds = rng.random((400, 2)) < [0.2, 0.005]
    out = np.where(holds, -1.0, -3.0) + rng.normal(size=(400, 2)) * 0.1
    head = heads["multi_label"]
    first, second = head.thresholds(out, holds, "micro_f1")
    assert 0.05 <= first <= 0.25 and second == 0.5
    assert head.answers(out)[:, 0].sum() == 0, "half of the probability would find none"
    assert (head.answers(out, (first, second))[:, 0] == holds[:, 0]).all()
    assert head.answer(out[holds[:, 0]][0], "ab", (first, second)).labels == ("a",)


def best_thresholds(out, holds, score):
    """The best of all combinations of thresholds, one by one."""
    from itertools import product

    from autocomp.heads.multi_label import GRID

    head = heads["multi_label"]
    return max(score(holds, head.answers(out, least)) for least in product(GRID, repeat=2))


def micro(holds, said):
    return 2 * (holds & (said > 0)).sum() / (holds.sum() + said.sum())


def macro(holds, said):
    return np.mean([micro(holds[:, label], said[:, label]) for label in range(holds.shape[1])])


@pytest.mark.parametrize(("metric", "score"), [("micro_f1", micro), ("macro_f1", macro)])
def test_no_other_thresholds_score_better(metric, score):
    head = heads["multi_label"]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        holds = rng.random((120, 2)) < [0.4, 0.1]
        out = rng.normal(size=(120, 2)) + np.where(holds, 1.0, -1.0) * [1.0, 0.2]
        reached = score(holds, head.answers(out, head.thresholds(out, holds, metric)))
        assert reached >= best_thresholds(out, holds, score) - 1e-9


def test_a_label_of_which_nothing_is_known_is_not_said_for_micro_f1():
    rng = np.random.default_rng(0)
    holds = rng.random((400, 2)) < [0.4, 0.05]
    out = np.column_stack([np.where(holds[:, 0], 2.0, -2.0), np.full(400, -2.9)])
    head = heads["multi_label"]
    assert not head.answers(out, head.thresholds(out, holds, "micro_f1"))[:, 1].any()
    assert head.answers(out, head.thresholds(out, holds, "macro_f1"))[:, 1].all()


def test_rare_labels_reach_every_split():
    rows = [(0,)] * 80 + [(0, 1)] * 10 + [()] * 10
    strata = heads["multi_label"].strata(rows, 2)
    assert strata[0] == 0 and strata[85] == 1 and strata[-1] == 2


@pytest.mark.parametrize("metric", ["micro_f1", "macro_f1", "subset_accuracy"])
def test_scores_of_several_labels_agree_with_scikit_learn(metric):
    from sklearn.metrics import accuracy_score, f1_score

    rng = np.random.default_rng(1)
    truth, said = (rng.random((200, 5)) < 0.3).astype(int), (rng.random((200, 5)) < 0.3).astype(int)
    theirs = {
        "micro_f1": lambda: f1_score(truth, said, average="micro", zero_division=0),
        "macro_f1": lambda: f1_score(truth, said, average="macro", zero_division=0),
        "subset_accuracy": lambda: accuracy_score(truth, said),
    }[metric]()
    assert metrics[metric](truth, said, 5) == pytest.approx(theirs)
    assert metrics[metric](truth, truth, 5) == 1.0


@pytest.mark.parametrize("metric", metrics_for("value"))
def test_scores_of_numbers_agree_with_scipy_and_scikit_learn(metric):
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(2)
    truth = rng.integers(0, 6, 100).astype(float)
    said = truth + rng.normal(size=100)
    theirs = {"pearson": pearsonr, "spearman": spearmanr, "r2": r2_score}[metric](truth, said)
    assert metrics[metric](truth, said, 1) == pytest.approx(getattr(theirs, "statistic", theirs))
    assert metrics[metric](truth, truth, 1) == pytest.approx(1.0)
    assert metrics[metric](truth, np.full(100, truth.mean()), 1) == pytest.approx(0.0)


@pytest.mark.parametrize(("kind", "metric"), [("regression", "pearson"), ("multi_label", "micro_f1")])
def test_the_standard_error_is_that_of_many_samples(kind, metric):
    rng = np.random.default_rng(3)

    def sample(rows):
        truth = rng.normal(size=rows) if kind == "regression" else (rng.random((rows, 12)) < 0.3).astype(float)
        said = truth + rng.normal(size=truth.shape)
        return truth, said if kind == "regression" else (said > 0.5).astype(float)

    _, error = score_with_error(metric, *sample(1000), 12)
    spread = np.std([metrics[metric](*sample(1000), 12) for _ in range(200)])
    assert error == pytest.approx(spread, rel=0.35)

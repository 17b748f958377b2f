import math

import pytest
import torch

from autocomp.heads import heads
from autocomp.training.batches import word_averages
from autocomp.training.losses.hidden import hidden_distance
from autocomp.training.losses.relations import relation_distance


def draw(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def test_soft_labels_by_hand():
    teacher, student = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.0, 0.0]])
    expected = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert heads["classification"].distance(student, teacher, 1.0).item() == pytest.approx(expected)
    both = heads["classification"].distance(torch.cat([student, teacher]), torch.cat([teacher, teacher]), 1.0)
    assert both.item() == pytest.approx(expected / 2), "a mean over texts"


def test_soft_labels_at_a_temperature():
    teacher, student = torch.tensor([[0.0, 2 * math.log(3)]]), torch.tensor([[0.0, 0.0]])
    expected = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert heads["classification"].distance(student, teacher, 2.0).item() == pytest.approx(4 * expected)
    assert heads["classification"].distance(teacher, teacher, 2.0).item() == pytest.approx(0)


def test_word_averages_by_hand():
    units = torch.tensor([[0, 2, 2, 1, -1]])
    found = word_averages(units, 4)
    assert found.tolist() == [[[1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0]]]
    assert word_averages(units, 2).shape == (1, 2, 5)


def test_hidden_distance_by_hand():
    teacher = torch.tensor([[[1.0, 1.0], [2.0, 2.0], [9.0, 9.0]]])
    student = torch.tensor([[[1.0, 0.0], [2.0, 2.0], [0.0, 0.0]]])
    seen = torch.tensor([[True, True, False]])
    assert hidden_distance(student, teacher, seen).item() == pytest.approx((0.5 + 0) / 2 / ((1 + 1 + 4 + 4) / 4))
    assert hidden_distance(teacher, teacher, seen).item() == 0
    assert hidden_distance(3 * student, 3 * teacher, seen).item() == pytest.approx(
        hidden_distance(student, teacher, seen).item()
    ), "the teacher's scale does not matter"


def test_relation_distance_by_hand():
    teacher, student = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[0.0], [0.0]]])
    seen = torch.ones(1, 2, dtype=torch.bool)
    p = math.e / (math.e + 1)
    first = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert relation_distance(student, teacher, seen, 1).item() == pytest.approx(first / 2, rel=1e-5)


def test_relations_are_zero_for_equals_and_blind_to_rotation_and_width():
    x, seen = draw(2, 5, 12), torch.tensor([[True] * 5, [True, True, True, False, False]])
    assert relation_distance(x, x, seen, 3).item() == pytest.approx(0, abs=1e-6)
    turn = torch.linalg.qr(draw(12, 12, seed=1))[0]
    assert relation_distance(x @ turn, x, seen, 1).item() == pytest.approx(0, abs=1e-5)
    wide = torch.cat([x, torch.zeros(2, 5, 36)], -1) * 2**0.5
    assert relation_distance(wide, x, seen, 1).item() == pytest.approx(0, abs=1e-5), (
        "four times as wide, same relations"
    )
    assert relation_distance(draw(2, 5, 24, seed=2), x, seen, 3).item() > 0.01


def test_words_that_are_not_seen_count_for_nothing():
    student, teacher = draw(1, 4, 6), draw(1, 4, 6, seed=1)
    seen = torch.tensor([[True, True, True, False]])
    other = teacher.clone()
    other[0, 3] = 100
    for distance in (hidden_distance, lambda a, b, s: relation_distance(a, b, s, 2)):
        expected = distance(student[:, :3], teacher[:, :3], seen[:, :3]).item()
        assert distance(student, teacher, seen).item() == pytest.approx(expected, rel=1e-5)
        assert distance(student, other, seen).item() == pytest.approx(expected, rel=1e-5)

import itertools

import numpy as np
import pytest

from autocomp.pareto import (
    IncrementalHypervolume,
    added,
    crowding,
    dominates,
    hypervolume,
    is_non_dominated,
    knee,
    ranks,
    spread_first,
    thin,
)


def cloud(dimensions: int, seed: int, rows: int = 30) -> np.ndarray:
    """Points with many ties, as rounded sizes and scores have."""
    return np.random.default_rng(seed).integers(0, 8, (rows, dimensions)).astype(float)


def test_dominance():
    a, b = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    assert dominates(a, b) and not dominates(b, a)
    assert not dominates(a, a)
    assert not dominates(np.array([0.0, 9.0]), a)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_front_is_what_no_row_dominates(dimensions):
    losses = cloud(dimensions, dimensions)
    expected = [not any(dominates(other, row) for other in losses) for row in losses]
    assert is_non_dominated(losses).tolist() == expected


def test_equal_rows_all_survive():
    assert is_non_dominated(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist() == [True, True, False]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_ranks_peel_front_after_front(dimensions):
    losses = cloud(dimensions, 7)
    left, expected = set(range(len(losses))), {}
    for level in itertools.count():
        if not left:
            break
        front = {i for i in left if not any(dominates(losses[j], losses[i]) for j in left)}
        expected |= dict.fromkeys(front, level)
        left -= front
    assert ranks(losses).tolist() == [expected[i] for i in range(len(losses))]
    assert max(expected.values()) > 0


def inclusion_exclusion(losses: np.ndarray, reference: np.ndarray) -> float:
    """Volume of the union of the boxes between each row and the reference."""
    total = 0.0
    for count in range(1, len(losses) + 1):
        for rows in itertools.combinations(losses, count):
            corner = np.max(rows, axis=0)
            total += (-1) ** (count + 1) * float(np.prod(np.clip(reference - corner, 0, None)))
    return total


@pytest.mark.parametrize(("dimensions", "seed"), [*itertools.product([1, 2, 3, 4], range(4))])
def test_hypervolume_is_the_volume_of_the_union_of_boxes(dimensions, seed):
    losses = cloud(dimensions, seed, rows=9) + (0 if seed % 2 else np.random.default_rng(seed).random((9, dimensions)))
    reference = np.full(dimensions, 7.0)
    assert hypervolume(losses, reference) == pytest.approx(inclusion_exclusion(losses, reference))


def test_hypervolume_of_many_points_agrees_with_random_darts():
    rng = np.random.default_rng(3)
    losses, darts = rng.random((40, 3)), rng.random((40_000, 3)) * 1.1
    hit = np.any(np.all(darts[:, None] >= losses[None], axis=2), axis=1).mean() * 1.1**3
    assert hypervolume(losses, np.full(3, 1.1)) == pytest.approx(hit, abs=0.02)


def test_rows_beyond_the_reference_count_nothing():
    assert hypervolume(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1.0, 1.0])) == 0
    assert hypervolume(np.array([[0.5, 0.5], [2.0, 0.0]]), np.array([1.0, 1.0])) == 0.25


@pytest.mark.parametrize(("dimensions", "seed"), [*itertools.product([2, 3, 4], range(4))])
def test_what_rows_add_is_the_difference_of_two_volumes(dimensions, seed):
    rng = np.random.default_rng(seed)
    losses, others = cloud(dimensions, seed, rows=4), rng.random((6, dimensions)) * 8
    reference = np.full(dimensions, 7.0)
    expected = hypervolume(np.concatenate([losses, others]), reference) - hypervolume(others, reference)
    assert added(losses, others, reference) == pytest.approx(expected)
    assert added(others + 1, others, reference) == 0
    assert added(losses, others[:0], reference) == pytest.approx(hypervolume(losses, reference))


def test_crowding_of_a_line():
    losses = np.array([[0.0, 10.0], [1.0, 8.0], [5.0, 5.0], [10.0, 0.0]])
    assert crowding(losses).tolist() == [np.inf, pytest.approx(1.0), pytest.approx(1.7), np.inf]
    assert crowding(np.array([[1.0, 1.0], [2.0, 0.0]])).tolist() == [np.inf, np.inf]


def test_knee_is_nearest_to_the_ideal_after_scaling():
    losses = np.array([[0.0, 1000.0], [2.0, 200.0], [6.0, 100.0], [10.0, 0.0]])
    assert knee(losses) == 1
    assert knee(losses * [1, 1e6]) == 1
    assert knee(np.array([[3.0, 1.0], [2.0, 1.0]])) == 1, "a column without spread decides nothing"


def test_thin_drops_the_most_crowded_and_keeps_the_ends():
    losses = np.array([[0.0, 10.0], [0.1, 9.9], [5.0, 5.0], [9.0, 1.0], [10.0, 0.0]])
    assert thin(losses, 3) == [0, 2, 4]
    assert thin(losses, 9) == [0, 1, 2, 3, 4]


def test_thin_never_drops_what_must_be_kept():
    losses = np.array([[0.0, 10.0], [0.1, 9.9], [5.0, 5.0], [9.0, 1.0], [10.0, 0.0]])
    assert 1 in thin(losses, 3, keep={1})
    for most, kept in itertools.product(range(1, 5), itertools.combinations(range(5), 2)):
        left = thin(losses, most, keep=set(kept))
        assert set(kept) <= set(left)
        assert len(left) == max(most, 2)


def test_every_beginning_of_spread_first_is_well_spread():
    losses = cloud(3, 5, rows=30)
    front = losses[is_non_dominated(losses)]
    for first in range(len(front)):
        order = spread_first(front, first)
        assert order[0] == first and sorted(order) == list(range(len(front)))
        for count in range(1, len(front) + 1):
            assert sorted(order[:count]) == thin(front, count, {first})


def thin_as_said(losses: np.ndarray, most: int, keep: set[int]) -> list[int]:
    """The most crowded row goes and all distances are computed again, until few enough are left."""
    left = list(range(len(losses)))
    while len(left) > max(most, len(keep)):
        distance = crowding(losses[left])
        left.pop(min((i for i, row in enumerate(left) if row not in keep), key=lambda i: distance[i]))
    return left


@pytest.mark.parametrize(("dimensions", "seed"), [*itertools.product([1, 2, 3, 4], range(8))])
def test_thin_drops_in_the_order_of_distances_computed_again_each_time(dimensions, seed):
    rng = np.random.default_rng(seed)
    losses = cloud(dimensions, seed, rows=25) if seed % 2 else rng.random((25, dimensions))
    keep = set(rng.permutation(25)[: seed // 2].tolist())
    for most in range(1, 25):
        assert thin(losses, most, keep) == thin_as_said(losses, most, keep)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_a_growing_volume_is_that_of_all_rows_so_far(m):
    rows = np.random.default_rng(m).normal(size=(60, m)).round(1)
    reference = np.full(m, 0.9)
    growing = IncrementalHypervolume(reference)
    for i, row in enumerate(rows):
        growing.add(row)
        assert growing.volume == pytest.approx(hypervolume(rows[: i + 1], reference), abs=1e-9)
    inside = rows[np.all(rows < reference, axis=1)]
    assert set(map(tuple, growing.front)) == set(map(tuple, inside[is_non_dominated(inside)]))

"""Which survive? Dominance, fronts, hypervolume and the knee; every column is minimised.

Hypervolume is exact, by recursive slicing of one dimension (While et al. 2006, HSO): fronts here have tens of
points in two to four dimensions.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float64]


def dominates(a: Losses, b: Losses) -> bool:
    """Whether point `a` (`m`) is nowhere worse than `b` and somewhere better."""
    return bool(np.all(a <= b) and np.any(a < b))


def is_non_dominated(losses: Losses) -> NDArray[np.bool_]:
    """For each row of `losses` (`n x m`): no other row dominates it. Equal rows all survive. Cost O(n^2 m)."""
    losses = np.atleast_2d(losses)
    weakly = np.all(losses[:, None] <= losses[None], axis=2)
    strictly = np.any(losses[:, None] < losses[None], axis=2)
    dominated: NDArray[np.bool_] = np.any(weakly & strictly, axis=0)
    return ~dominated


def ranks(losses: Losses) -> NDArray[np.int64]:
    """Non-dominated rank of each row, 0 the front (Deb et al. 2002, NSGA-II)."""
    rank = np.full(len(losses), -1)
    level = 0
    while np.any(rank < 0):
        left = np.flatnonzero(rank < 0)
        rank[left[is_non_dominated(losses[left])]] = level
        level += 1
    return rank


def crowding(losses: Losses) -> Losses:
    """Crowding distance of each row among the others (Deb et al. 2002); the ends are infinite."""
    n, m = losses.shape
    distance = np.zeros(n)
    for column in range(m):
        order = np.argsort(losses[:, column], kind="stable")
        span = losses[order[-1], column] - losses[order[0], column]
        distance[order[[0, -1]]] = np.inf
        if span > 0 and n > 2:
            distance[order[1:-1]] += (losses[order[2:], column] - losses[order[:-2], column]) / span
    return distance


def hypervolume(losses: Losses, reference: Losses) -> float:
    """Volume between the front of `losses` (`n x m`) and `reference` (`m`); rows beyond it count nothing."""
    losses = np.atleast_2d(np.asarray(losses, float))
    inside = losses[np.all(losses < reference, axis=1)]
    if not len(inside):
        return 0.0
    return _slice(inside[is_non_dominated(inside)], np.asarray(reference, float))


def _slice(front: Losses, reference: Losses) -> float:
    if front.shape[1] == 1:
        return float(reference[0] - front[:, 0].min())
    front = front[np.argsort(front[:, -1], kind="stable")]
    edges = np.append(front[1:, -1], reference[-1])
    total = 0.0
    for i, height in enumerate(edges - front[:, -1]):
        if height > 0:
            section = front[: i + 1, :-1]
            total += height * _slice(section[is_non_dominated(section)], reference[:-1])
    return float(total)


def contributions(losses: Losses, reference: Losses) -> Losses:
    """Hypervolume that each row alone adds."""
    whole = hypervolume(losses, reference)
    return np.array([whole - hypervolume(np.delete(losses, i, axis=0), reference) for i in range(len(losses))])


def knee(losses: Losses) -> int:
    """Row with the least distance to the ideal point after scaling each column to 0..1."""
    low, high = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - low) / np.where(high > low, high - low, 1)
    return int(np.argmin(np.linalg.norm(scaled, axis=1)))


def thin(losses: Losses, most: int, keep: Collection[int] = ()) -> list[int]:
    """At most `most` rows of a front that stay well spread: drops the most crowded one by one.

    `keep` are rows never dropped, even if they are more than `most`; the ends of every column go last.
    """
    left = list(range(len(losses)))
    while len(left) > max(most, len(keep)):
        distance = crowding(losses[left])
        left.pop(min((i for i, row in enumerate(left) if row not in keep), key=lambda i: distance[i]))
    return left

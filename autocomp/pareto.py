"""Which survive? Dominance, fronts, hypervolume and the knee; every column is minimised.

Hypervolume is exact, by recursive slicing of one dimension (While et al. 2006, HSO) down to three, which are computed
at once: fronts here have tens to some thousands of points in two to four dimensions.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.float64]
ROUNDING = 1e-12
"""Part of a volume below which a difference of two volumes is none."""


def dominates(a: Losses, b: Losses) -> bool:
    """Whether point `a` (`m`) is nowhere worse than `b` and somewhere better."""
    return bool(np.all(a <= b) and np.any(a < b))


def is_non_dominated(losses: Losses) -> NDArray[np.bool_]:
    """For each row of `losses` (`n x m`): no other row dominates it. Equal rows all survive.

    Cost O(n f m) for a front of f distinct rows, memory O(n m).
    """
    losses = np.atleast_2d(losses)
    order = np.lexsort(losses.T[::-1])  # no row is dominated by one that stands after it
    ordered = losses[order]
    is_first = np.append(True, np.any(ordered[1:] != ordered[:-1], axis=1))[: len(losses)]
    distinct = ordered[is_first]
    survives = np.zeros(len(distinct), bool)
    remaining = np.arange(len(distinct))
    while len(remaining):
        best, remaining = remaining[0], remaining[1:]
        survives[best] = True
        remaining = remaining[~np.all(distinct[remaining] >= distinct[best], axis=1)]
    result = np.empty(len(losses), bool)
    result[order] = survives[np.cumsum(is_first) - 1]
    return result


def ranks(losses: Losses) -> NDArray[np.int64]:
    """Non-dominated rank of each row, 0 the front (Deb et al. 2002, NSGA-II)."""
    rank = np.full(len(losses), -1)
    level = 0
    while np.any(rank < 0):
        remaining = np.flatnonzero(rank < 0)
        rank[remaining[is_non_dominated(losses[remaining])]] = level
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


def added(losses: Losses, others: Losses, reference: Losses) -> float:
    """Hypervolume that the rows of `losses` add to that of `others`.

    What both cover is the volume of the pairs' worse corners, so only what lies beside `losses` is computed.
    """
    inside = losses[np.all(losses < reference, axis=1)]
    if not len(inside):
        return 0.0
    both = np.maximum(inside[:, None], others[None]).reshape(-1, losses.shape[1])
    alone = hypervolume(inside, reference) - hypervolume(both, reference)
    return alone if alone > ROUNDING * hypervolume(inside, reference) else 0.0


class IncrementalHypervolume:
    """The hypervolume of rows that come one by one, exactly.

    Only what lies beside a new row is computed: of the others' worse corners with it, few are not dominated.

    Args:
        reference: `[m]`; rows that are not better everywhere count nothing.
    """

    def __init__(self, reference: Losses) -> None:
        self._reference = np.asarray(reference, float)
        self.front = np.empty((0, len(self._reference)))
        self.volume = 0.0

    def add(self, row: Losses) -> None:
        """Take in one row, `[m]`."""
        if not (row < self._reference).all() or (self.front <= row).all(axis=1).any():
            return
        covered = hypervolume(np.maximum(self.front, row), self._reference) if len(self.front) else 0.0
        self.volume += float(np.prod(self._reference - row)) - covered
        self.front = np.concatenate([self.front[~np.all(row <= self.front, axis=1)], row[None]])


def _slice(front: Losses, reference: Losses) -> float:
    if front.shape[1] <= 3:
        return _volume(front, reference)
    front = front[np.argsort(front[:, -1], kind="stable")]
    edges = np.append(front[1:, -1], reference[-1])
    total = 0.0
    for i, height in enumerate(edges - front[:, -1]):
        if height > 0:
            section = front[: i + 1, :-1]
            total += height * _slice(section[is_non_dominated(section)], reference[:-1])
    return float(total)


def _volume(front: Losses, reference: Losses) -> float:
    """Volume in up to three dimensions: over the grid of first and second coordinates, the least third one reached."""
    missing = 3 - front.shape[1]  # a dimension that is not there has the length 1
    front, reference = np.pad(front, ((0, 0), (0, missing))), np.append(reference, np.ones(missing))
    by_x, by_y = (np.argsort(front[:, column], kind="stable") for column in (0, 1))
    place = np.empty(len(front), int)
    place[by_y] = np.arange(len(front))
    depth = np.zeros((len(front), len(front)))
    depth[np.arange(len(front)), place[by_x]] = (reference[2] - front[:, 2])[by_x]
    depth = np.maximum.accumulate(np.maximum.accumulate(depth, axis=0), axis=1)
    width = np.diff(np.append(front[by_x, 0], reference[0]))
    return float(width @ depth @ np.diff(np.append(front[by_y, 1], reference[1])))


def knee(losses: Losses) -> int:
    """Row with the least distance to the ideal point after scaling each column to 0..1."""
    low, high = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - low) / np.where(high > low, high - low, 1)
    return int(np.argmin(np.linalg.norm(scaled, axis=1)))


def thin(losses: Losses, most: int, keep: Collection[int] = ()) -> list[int]:
    """At most `most` rows of a front that stay well spread: drops the most crowded one by one.

    `keep` are rows never dropped, even if they are more than `most`; the ends of every column go last.
    """
    remaining, wanted = np.ones(len(losses), bool), max(most, len(keep))
    while remaining.sum() > wanted:
        rows = np.flatnonzero(remaining)
        for row in _crowded(losses[rows], len(rows) - wanted, {i for i, r in enumerate(rows) if r in keep}):
            remaining[rows[row]] = False
    return [int(row) for row in np.flatnonzero(remaining)]


def spread_first(losses: Losses, first: int) -> list[int]:
    """All rows of a front, from `first` on, in an order whose every beginning is one that `thin` would leave."""
    order: list[int] = []
    for most in range(1, len(losses) + 1):
        order += [row for row in thin(losses, most, {first}) if row not in order]
    return order


def _crowded(losses: Losses, count: int, keep: Collection[int]) -> list[int]:
    """Up to `count` rows to drop, in order, as long as what goes changes the distances of its neighbours alone.

    That ends where an end of a column goes, for it changes the scale of the column.
    """
    chains = [_Chain(column) for column in losses.T]
    waiting = [(d, row) for row, d in enumerate(crowding(losses)) if row not in keep]
    now = {row: d for d, row in waiting}
    heapq.heapify(waiting)
    dropped: list[int] = []
    while waiting and len(dropped) < count:
        distance, row = heapq.heappop(waiting)
        if now.get(row) != distance:
            continue
        if distance == np.inf and dropped:
            break
        dropped.append(row)
        del now[row]
        touched = {n for chain in chains for n in chain.drop(row)} & now.keys()
        if distance == np.inf:
            break
        for other in touched:
            now[other] = sum((chain.distance(other) for chain in chains), 0.0)
            heapq.heappush(waiting, (now[other], other))
    return dropped


class _Chain:
    """One column's values in order, from which rows can be taken."""

    def __init__(self, values: Losses) -> None:
        order = np.argsort(values, kind="stable").tolist()
        self.values, self.span = values, values[order[-1]] - values[order[0]]
        self.before = dict(zip(order, [None, *order], strict=False))
        self.after = dict(zip(order, [*order[1:], None], strict=False))

    def drop(self, row: int) -> list[int]:
        """Take a row out, and return its neighbours."""
        before, after = self.before.pop(row), self.after.pop(row)
        if before is not None:
            self.after[before] = after
        if after is not None:
            self.before[after] = before
        return [n for n in (before, after) if n is not None]

    def distance(self, row: int) -> float:
        """How far its neighbours are from each other, as a part of the span; infinite at an end."""
        before, after = self.before[row], self.after[row]
        if before is None or after is None:
            return np.inf
        return float((self.values[after] - self.values[before]) / self.span) if self.span > 0 else 0.0

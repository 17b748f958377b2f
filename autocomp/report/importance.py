"""Which knob matters for which objective? A forest learns each objective from the knobs; then knobs are shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from autocomp.report.columns import Columns, job_of, rounded
from autocomp.report.proxy_agreement import Students

MOST_ROWS, LEAST_ROWS = 2000, 20
FOLDS, TREES, SHUFFLES = 5, 60, 3
TRAINED = "fidelity.rung"
"""How long a candidate was trained: no knob of the space, but without it its effect would be laid to the knobs."""


class Explained(TypedDict):
    """How much each knob matters for an objective, in shares of 1, and the R² of the forest that says so."""

    knobs: dict[str, float]
    explained: float | None


class Importance(TypedDict):
    """What each objective depends on, by its key, and of how many rows."""

    objectives: dict[str, Explained]
    rows: int


def importance(
    columns: Columns, logarithmic: Mapping[str, bool], students: Students, seed: int = 0
) -> Importance | None:
    """Shares of knobs and R² of each objective; None below 20 rows.

    A point counts once, by its longest trained record: promotions repeat points. Each row is foretold by a forest that
    saw no row of its student, and a knob's share is how much worse that gets when the knob's values are shuffled; the
    shares of an objective sum to 1. A negative R² says that the knobs explain nothing that holds for other students.

    Args:
        logarithmic: objectives by key; True where ratios count (sizes, times).
    """
    keys = [key for key in logarithmic if key in columns.values]
    rows = _rows(columns, keys, np.random.default_rng(seed))
    features = _features(columns, rows)
    if len(rows) < LEAST_ROWS or not features or not keys:
        return None
    targets = np.array([_scaled(columns, key, logarithmic[key], rows) for key in keys]).T
    varies = np.ptp(targets, axis=0) > 0
    groups = np.array([students.number(job_of(columns.ids[row])) for row in rows])
    table = np.array(list(features.values())).T
    explained, rise = _shuffled(table, targets[:, varies], groups, seed)
    shares = np.maximum(rise, 0) / np.maximum(np.maximum(rise, 0).sum(axis=0), 1e-300)
    told: dict[str, Explained] = {
        key: {"knobs": _named(features, shares[:, i]), "explained": rounded(float(explained[i]))}
        for i, key in enumerate(np.array(keys)[varies].tolist())
        if shares[:, i].any()
    }
    return {"objectives": told, "rows": len(rows)}


def _named(features: Mapping[str, np.ndarray], shares: np.ndarray) -> dict[str, float]:
    return {name: round(float(share), 5) for name, share in zip(features, shares, strict=True)}


def _rows(columns: Columns, keys: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """Rows that count: of each point the longest trained one with all figures, at most 2,000 of them."""
    codes = np.array([columns.knob(name)[1] for name in columns.knobs], int).reshape(len(columns.knobs), len(columns)).T
    whole = np.ones(len(columns), bool)
    for key in keys:
        whole &= np.array([value is not None for value in columns.column(key)], bool)
    rows = np.flatnonzero(whole)
    order = rows[np.argsort(-np.array(columns.rungs, int)[rows], kind="stable")]
    _, first = np.unique(codes[order], axis=0, return_index=True) if len(order) else (None, np.empty(0, int))
    found = np.sort(order[first])
    return np.sort(rng.choice(found, MOST_ROWS, replace=False)) if len(found) > MOST_ROWS else found


def _features(columns: Columns, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Places of each knob's values in their order, a column for each knob that has several."""
    found = {name: np.array(columns.knob(name)[1], float)[rows] for name in columns.knobs}
    found[TRAINED] = np.array(columns.rungs, float)[rows]
    return {name: column for name, column in found.items() if len(column) and np.ptp(column) > 0}


def _scaled(columns: Columns, key: str, is_ratio: bool, rows: np.ndarray) -> np.ndarray:
    values = np.array(columns.column(key), float)[rows]
    values = np.log(np.maximum(values, 1e-12)) if is_ratio else values
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def _shuffled(table: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """R² of each target, `[m]`, and how much the squared error of each rises with each knob shuffled, `[k, m]`."""
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(seed)
    error, risen = np.zeros(targets.shape[1]), np.zeros((table.shape[1], targets.shape[1]))
    for held_out in _folds(groups, rng):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, max_features=0.5, random_state=seed, n_jobs=1)
        forest.fit(table[~held_out], np.squeeze(targets[~held_out], axis=1) if len(error) == 1 else targets[~held_out])
        here = targets[held_out]
        variants = [table[held_out], *_variants(table, held_out, rng)]
        answers = forest.predict(np.concatenate(variants)).reshape(len(variants), *here.shape)
        errors = ((answers - here) ** 2).sum(axis=1)
        error += errors[0]
        risen += (errors[1:] - errors[0]).reshape(table.shape[1], SHUFFLES, -1).mean(axis=1)
    return 1 - error / np.maximum((targets**2).sum(axis=0), 1e-12), risen


def _folds(groups: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Masks of held-out rows; all rows of a student are held out together."""
    names = rng.permutation(np.unique(groups))
    count = min(FOLDS, len(names))
    if count < 2:
        return [np.arange(len(groups)) % FOLDS == fold for fold in range(FOLDS)]
    return [np.isin(groups, names[fold::count]) for fold in range(count)]


def _variants(table: np.ndarray, held_out: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
    """Held-out rows, each knob in turn replaced by values that other rows have."""
    found = []
    for knob in range(table.shape[1]):
        for _ in range(SHUFFLES):
            changed = table[held_out].copy()
            changed[:, knob] = rng.choice(table[:, knob], len(changed))
            found.append(changed)
    return found

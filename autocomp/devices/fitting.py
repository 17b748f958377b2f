"""What a unit of each kind of work costs on a device: non-negative least squares of relative errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocomp.spec import FitError


def fit(work: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Milliseconds of a unit of each kind of work.

    A cost is never negative. Relative errors are squared: a short time counts as much as a long one.

    Args:
        work: `[n, kinds]`.
        ms: `[n]`, positive.
    """
    from sklearn.linear_model import LinearRegression

    relative = work / ms[:, None]
    # Multiply-adds come in millions and runs in ones: the solver wants them alike.
    scale = np.maximum(np.linalg.norm(relative, axis=0), np.finfo(float).tiny)
    found = LinearRegression(fit_intercept=False, positive=True).fit(relative / scale, np.ones(len(ms)))
    return np.asarray(found.coef_ / scale, float)


def left_out_errors(work: np.ndarray, ms: np.ndarray, files: Sequence[int]) -> np.ndarray:
    """(predicted - measured) / measured of each time, by costs that were fitted without the file it belongs to."""
    errors = np.empty(len(ms))
    for file in set(files):
        out = np.array(files) == file
        errors[out] = work[out] @ fit(work[~out], ms[~out]) / ms[out] - 1
    return errors


def fit_error(errors: np.ndarray) -> FitError:
    """A summary of `left_out_errors`."""
    low, high = np.percentile(errors, [25, 75])
    return FitError(median=np.median(abs(errors)), low=low, high=high, worst=abs(errors).max())

"""Tree-structured Parzen estimator, multi-objective (Ozaki et al. 2020, doi:10.1145/3377930.3389817)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SUMMARY = "tree-structured Parzen estimator, multi-objective and multivariate (default)"


def sampler(seed: int) -> BaseSampler:
    """Optuna's TPE, with knobs modelled together."""
    import optuna

    return optuna.samplers.TPESampler(multivariate=True, n_startup_trials=16, seed=seed)

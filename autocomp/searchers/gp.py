"""Gaussian processes with expected hypervolume improvement (Daulton et al. 2020, arXiv:2006.05078)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SUMMARY = "Gaussian processes with expected hypervolume improvement"


def sampler(seed: int) -> BaseSampler:
    """Optuna's GP sampler."""
    import optuna

    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=10)

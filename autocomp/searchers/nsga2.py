"""Evolution by non-dominated sorting (Deb et al. 2002, doi:10.1109/4235.996017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SUMMARY = "evolution by non-dominated sorting, NSGA-II"


def sampler(seed: int) -> BaseSampler:
    """Optuna's NSGA-II with a small population: trainings are few."""
    import optuna

    return optuna.samplers.NSGAIISampler(population_size=16, seed=seed)

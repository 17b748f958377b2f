"""Gaussian processes with expected hypervolume improvement (Daulton et al. 2020, arXiv:2006.05078)."""

SUMMARY = "Gaussian processes with expected hypervolume improvement"


def sampler(seed: int):  # noqa: ANN201 - Optuna's type, imported late
    """Optuna's GP sampler."""
    import optuna

    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=10)

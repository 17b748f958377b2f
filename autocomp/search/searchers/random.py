"""Uniform draws: the baseline every other searcher has to beat."""

SUMMARY = "uniform random draws"


def sampler(seed: int):  # noqa: ANN201 - Optuna's type, imported late
    """Optuna's random sampler."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)

"""Tree-structured Parzen estimator, multi-objective (Ozaki et al. 2020, doi:10.1145/3377930.3389817)."""

SUMMARY = "tree-structured Parzen estimator, multi-objective and multivariate (default)"


def sampler(seed: int):  # noqa: ANN201 - Optuna's type, imported late
    """Optuna's TPE, knobs modelled together."""
    import optuna

    return optuna.samplers.TPESampler(multivariate=True, n_startup_trials=16, seed=seed)

"""Who proposes? One file each: a function that makes an Optuna sampler; `_study.py` is the only door to Optuna."""

from autocomp.searchers._study import Searcher, searchers

__all__ = ["Searcher", "searchers"]

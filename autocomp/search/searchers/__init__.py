"""Who proposes? One file each: a function that makes an Optuna sampler; `_study.py` is the only door to Optuna."""

from typing import Any

from autocomp.registry import Registry
from autocomp.search.searchers._study import Searcher

searchers: Registry[Any] = Registry("searcher", "autocomp.search.searchers", "sampler")

__all__ = ["Searcher", "searchers"]

"""What computes here: the machine and the libraries, for the journal and to compare with others."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autocomp.artifact.machine import processor

COMPUTING = ("autocomp", "torch", "onnxruntime", "onnx", "tokenizers", "safetensors", "numpy")
"""Results of other versions of these are not mixed: by a cluster, or by a study that is resumed."""


def machine_facts() -> dict[str, Any]:
    """Cores, processor and instruction sets that decide speed."""
    return {**processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform()}


def versions() -> dict[str, str]:
    """Versions of what computes the results."""
    names = (*COMPUTING, "transformers", "optuna")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def same_version(one: str, other: str) -> bool:
    """Whether two versions are one but for the build: 2.13.0+cu130 for CUDA, 2.13.0+cpu."""
    return one.partition("+")[0] == other.partition("+")[0]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "uninstalled checkout"

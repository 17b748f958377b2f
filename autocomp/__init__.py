"""autocomp: compress a BERT-like encoder for a task and a device; the result is a Pareto front of files you can ship.

Names are looked up when first used, so that `import autocomp` costs nothing and `autocomp.load` needs only
onnxruntime, tokenizers and numpy.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autocomp.api import Run, load, open_run, resume, search

    __version__: str

# Libraries that tell their makers what is done with them read these when they are imported, in workers as here.
_NO_TELEMETRY = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime writes a device's identifier and a queue of events at its import
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub and transformers
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # datasets
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
for _name, _value in _NO_TELEMETRY.items():
    os.environ.setdefault(_name, _value)

__all__ = ["Run", "__version__", "load", "open_run", "resume", "search"]

_MODULES = {"__version__": "autocomp.environment"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'autocomp' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_MODULES.get(name, "autocomp.api")), name)


def __dir__() -> list[str]:
    return [*__all__]

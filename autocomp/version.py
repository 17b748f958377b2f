"""Which autocomp is this?"""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path


def _version() -> str:
    # A checkout that was never installed has no metadata: its pyproject.toml is the source of both.
    checkout = Path(__file__).parents[1] / "pyproject.toml"
    if checkout.is_file():
        return str(tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]["version"])
    return importlib.metadata.version("autocomp")


__version__ = _version()

"""Data files inside installed packages, found without importing the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from autocomp.errors import DataError, MissingExtra


def package_path(package: str, inside: str, extra: str, what: str) -> Path:
    """Path of a file or folder in an installed package; none of the package's code runs.

    Raises:
        MissingExtra: if the package is not installed; carries the pip line of `extra`.
        DataError: if it is, but lacks the file.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(extra, f"{what} reads its data from the package {package}, which is not installed; it")
    path = Path(found.submodule_search_locations[0], inside)
    if not path.exists():
        raise DataError(f"{what}: {path} does not exist in this version of {package}; reinstall 'autocomp[{extra}]'")
    return path

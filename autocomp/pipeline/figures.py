"""What was measured of a candidate or landmark, under the names that reports use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocomp.measures import OF_FINAL_FILES, USUAL, figures_of, of_files

if TYPE_CHECKING:
    from autocomp.measurement import Measurement


def figures(measured: Mapping[str, Measurement]) -> dict[str, Any]:
    """Measurements on the search split under the keys that their measures declare.

    What a member usually has and was not measured, as in records of older runs, is None.
    """
    return figures_of(dict.fromkeys(USUAL) | dict(measured))


def final_measurements(folder: Path) -> dict[str, Measurement | None]:
    """What only landmarks and final members have, of an artifact's files; None where the system cannot tell."""
    return {name: of_files(name, folder) for name in OF_FINAL_FILES}

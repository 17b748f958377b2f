"""Size: the bytes that a user ships."""

from __future__ import annotations

from pathlib import Path

from autocomp.artifact.files import file_bytes
from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

FIGURES = (Figure("bytes", "size", "bytes"),)


def artifact_size(folder: str | Path) -> Measurement:
    """Bytes of model, tokenizer and manifest together; exact, and the same everywhere.

    Raises:
        ArtifactError: `folder` is not an artifact.
    """
    sizes = file_bytes(folder)
    return Measurement(float(sum(sizes.values())), "bytes", details={name: float(size) for name, size in sizes.items()})


of_files = artifact_size


def measure(subject: Subject) -> Measurement:
    """Size of the subject's folder."""
    return artifact_size(subject.folder)

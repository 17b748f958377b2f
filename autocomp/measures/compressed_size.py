"""Bytes of the artifact's files when gzip packs each: what a download costs."""

from __future__ import annotations

import gzip
from pathlib import Path

from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

FIGURES = (Figure("gzip_bytes", "size, compressed", "bytes"),)


def of_files(folder: str | Path) -> Measurement:
    """Sum over the files at gzip level 6."""
    files = [f for f in sorted(Path(folder).iterdir()) if f.is_file()]
    return Measurement(float(sum(len(gzip.compress(f.read_bytes(), 6)) for f in files)), "bytes")


def measure(subject: Subject) -> Measurement:
    """Compressed size of the subject's folder."""
    return of_files(subject.folder)

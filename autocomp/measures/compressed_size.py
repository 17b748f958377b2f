"""Bytes of the artifact's files when gzip packs each: what a download costs."""

from __future__ import annotations

import gzip

from autocomp.measurement import Measurement
from autocomp.measures._subject import Subject


def measure(subject: Subject) -> Measurement:
    """Sum over the files at gzip level 6."""
    files = [f for f in sorted(subject.folder.iterdir()) if f.is_file()]
    return Measurement(float(sum(len(gzip.compress(f.read_bytes(), 6)) for f in files)), "bytes")

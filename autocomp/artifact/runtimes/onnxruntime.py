"""ONNX Runtime: what every artifact is written for and measured with."""

from __future__ import annotations

from pathlib import Path

from autocomp.artifact.files import MODEL
from autocomp.artifact.runtimes import Runtime, Session


def open_model(folder: Path, threads: int) -> Session:
    """A session on the CPU."""
    from autocomp.artifact.runtime import open_session

    session: Session = open_session(folder / MODEL, threads)
    return session


def version() -> str:
    """The version of ONNX Runtime, which is always installed."""
    import onnxruntime

    return str(onnxruntime.__version__)


runtime = Runtime("ONNX Runtime, int8 products", open_model, (MODEL,), version)

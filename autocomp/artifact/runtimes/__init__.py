"""What runs an artifact? One file each, with a `runtime`; the library behind it is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from autocomp.registry import Registry


class Value(Protocol):
    """An input or output, described as ONNX Runtime describes it."""

    @property
    def name(self) -> str:
        """The name under which it is given or returned."""

    @property
    def type(self) -> str:
        """`tensor(int64)` or `tensor(float)`."""

    @property
    def shape(self) -> Sequence[int | str]:
        """Sizes; a name where one is free."""


class Session(Protocol):
    """A model that is ready to run; the part of `onnxruntime.InferenceSession` that a Predictor needs."""

    def get_inputs(self) -> Sequence[Value]:
        """Inputs that must be given."""

    def get_overridable_initializers(self) -> Sequence[Value]:
        """Inputs that may be given."""

    def get_outputs(self) -> Sequence[Value]:
        """Outputs."""

    def run(self, outputs: Sequence[str] | None, inputs: dict[str, np.ndarray]) -> Sequence[Any]:
        """The named outputs, or all."""


@dataclass(frozen=True)
class Runtime:
    """One engine.

    Attributes:
        summary: one line for `--help` and reports.
        open: `(folder, threads) -> Session` of an artifact, from this runtime's own files or from `model.onnx`.
            Raises MissingExtra when the library is absent, ArtifactError when it cannot run the model.
        files: names of its own files; `model.onnx` for what reads that.
        write: `(folder) -> {name: bytes}`, an ONNX artifact's model as its own files; None if those are ONNX.
        version: of its library; None if that is not installed.
    """

    summary: str
    open: Callable[[Path, int], Session]
    files: tuple[str, ...]
    version: Callable[[], str | None]
    write: Callable[[Path], dict[str, bytes]] | None = None


runtimes: Registry[Runtime] = Registry("runtime", "autocomp.artifact.runtimes", "runtime")

"""OpenVINO, an extra: the same plan as an IR whose products multiply by compressed weights.

It reads our ONNX files too, but runs their int8 products in FP32 with the rounding left in, 5 to 14 times slower than
ONNX Runtime, and unpacks 3-bit weights wrongly (2026.4). As `MatMul(x, DequantizeLinear(codes))` it keeps INT8 or INT4
weights and multiplies in BF16 where the processor can. It runs exits, but reads them wrongly from an IR of its own.
"""

from __future__ import annotations

import importlib.metadata
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autocomp.artifact.files import MODEL
from autocomp.artifact.runtimes import Runtime
from autocomp.errors import ArtifactError, MissingExtra

XML, BIN = "model.xml", "model.bin"
OPTIONS: dict[str, int | bool] = {"NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
_KINDS = {"i64": "tensor(int64)", "f32": "tensor(float)"}


@dataclass(frozen=True)
class Value:
    """An input or output, described as ONNX Runtime describes it."""

    name: str
    type: str
    shape: tuple[int | str, ...]


class OpenVinoSession:
    """A compiled model with ONNX Runtime's interface; several threads take turns.

    Args:
        model: an `openvino.Model`.
        threads: CPU threads.
        defaults: values of inputs that need not be given.

    Attributes:
        precision: in which it multiplies here, `f32`, `bf16` or `f16`: the processor decides.
    """

    def __init__(self, model: Any, threads: int, defaults: dict[str, np.ndarray] | None = None) -> None:
        compiled = _library().Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, **OPTIONS})
        self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self._request, self._turn = compiled.create_infer_request(), threading.Lock()
        self._defaults = defaults or {}
        self._inputs, self._outputs = [_value(v) for v in model.inputs], [_value(v) for v in model.outputs]

    def get_inputs(self) -> list[Value]:
        """Inputs that must be given."""
        return [value for value in self._inputs if value.name not in self._defaults]

    def get_overridable_initializers(self) -> list[Value]:
        """Inputs that may be given."""
        return [value for value in self._inputs if value.name in self._defaults]

    def get_outputs(self) -> list[Value]:
        """Outputs."""
        return self._outputs

    def run(self, outputs: Sequence[str] | None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The named outputs, or all."""
        names = [value.name for value in self._outputs] if outputs is None else outputs
        with self._turn:
            found = self._request.infer({**self._defaults, **inputs})
            return [found[name] for name in names]


def open_model(folder: Path, threads: int) -> OpenVinoSession:
    """The IR of a folder, or its ONNX file turned into one, ready to run.

    Raises:
        MissingExtra: OpenVINO is not installed.
        ArtifactError: it cannot read or run the model.
    """
    core = _library().Core()
    with _named(folder):
        if (folder / XML).is_file():
            return OpenVinoSession(core.read_model(folder / XML, folder / BIN), threads)
        from autocomp.artifact.converting import defaults

        model = (folder / MODEL).read_bytes()
        return OpenVinoSession(_converted(model), threads, defaults(model))


def write(folder: Path) -> dict[str, bytes]:
    """The IR of an ONNX artifact: `model.xml` and `model.bin`.

    Raises:
        MissingExtra: OpenVINO is not installed.
        ArtifactError: it cannot read the model, or the model has exits.
    """
    from autocomp.artifact.converting import has_branches

    library, model = _library(), (folder / MODEL).read_bytes()
    if has_branches(model):
        rule = f"OpenVINO {version()} answers wrongly when it reads exits from an IR"
        raise ArtifactError(f"{folder} has exits: {rule}; pick a member without exits, or run this one in ONNX Runtime")
    with tempfile.TemporaryDirectory() as scratch, _named(folder):
        library.save_model(_converted(model), Path(scratch) / XML, compress_to_fp16=False)
        return {name: (Path(scratch) / name).read_bytes() for name in (XML, BIN)}


def _converted(model: bytes) -> Any:
    from autocomp.artifact.converting import plain_products

    return _library().Core().read_model(plain_products(model).SerializeToString(), b"")


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Turn the library's errors, which are RuntimeErrors, into ours."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise ArtifactError(f"OpenVINO {version()} cannot run the model of {folder}: {error}") from error


def version() -> str | None:
    """The version of the installed library; None without it."""
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return None


def _library() -> Any:
    try:
        with _without_telemetry():
            import openvino
    except ImportError as error:
        raise MissingExtra("openvino", "the runtime openvino") from error
    return openvino


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Import OpenVINO as if its telemetry were not installed: it reports at its import, and no variable stops it."""
    name = "openvino_telemetry"
    if name in sys.modules or "openvino" in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def _value(port: Any) -> Value:
    kind = port.get_element_type().get_type_name()
    sizes = (d.get_length() if d.is_static else "?" for d in port.get_partial_shape())
    return Value(port.get_any_name(), _KINDS.get(kind, kind), tuple(sizes))


runtime = Runtime("OpenVINO, products with INT8 and INT4 weights", open_model, (XML, BIN), version, write)

"""Which runtime does a file need? Read from the file: its IR version and its opset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import onnxruntime

SINCE = ((10, 21, "1.18"), (11, 23, "1.23"))
"""IR version, opset, and the oldest ONNX Runtime that opens files of both; tried with 1.17 to 1.24 and 1.32.

Opset 23 has ONNX's own Attention. With it written out, which 1.18 opens, files of MiniLM's shape take 5 to 13 % longer
at 8 to 128 tokens (minima of 60 runs in turns on a Zen 4, ONNX Runtime 1.32).
"""


class Opset(Protocol):
    """An `onnx.OperatorSetIdProto`, of which only this is needed."""

    @property
    def domain(self) -> str:
        """Empty for the standard's own operators."""

    @property
    def version(self) -> int:
        """Its number."""


class Model(Protocol):
    """An `onnx.ModelProto`, of which only this is needed."""

    @property
    def ir_version(self) -> int:
        """Of the file's format."""

    @property
    def opset_import(self) -> Sequence[Opset]:
        """Its operators."""


def requires_of(model: Model) -> dict[str, str]:
    """What a manifest says under `requires`: `{"onnxruntime": ">=1.23"}`.

    Of a file newer than all that were tried, it is the installed version, which checked the file.
    """
    opset = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    fits = [version for ir, most, version in SINCE if model.ir_version <= ir and opset <= most]
    return {"onnxruntime": f">={fits[0] if fits else onnxruntime.__version__}"}

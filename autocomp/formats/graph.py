"""What a format writes into: the builder of a graph, and the element types of ONNX's tensors, without ONNX itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Protocol

import numpy as np


class Element(IntEnum):
    """Element types of tensors, by their number in ONNX's `TensorProto.DataType`."""

    FLOAT = 1
    INT8 = 3
    INT32 = 6
    BOOL = 9
    FLOAT16 = 10
    BFLOAT16 = 16
    UINT4 = 21
    INT4 = 22


class GraphBuilder(Protocol):
    """A graph that grows: `autocomp.artifact.graph.Graph`, or a branch of it."""

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Append a node with one output and return the output's name."""

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: object) -> list[str]:
        """Append a node with several outputs and return their names."""

    def constant(self, value: np.ndarray, name: str | None = None) -> str:
        """An initializer; an equal one is stored once only."""

    def raw(self, data_type: int, shape: Sequence[int], data: bytes, name: str | None = None) -> str:
        """Like `constant`, for bytes of a type that numpy does not have."""

    def once(self, key: object, build: Callable[[Any], str]) -> str:
        """What `build` emits, made at the first call with this key in this graph or those around it."""

    def has_shape(self, value: str, data_type: int, shape: Sequence[int]) -> str:
        """State a value's shape, without which a runtime folds no constant whose shape depends on values."""

    def require(self, opset: int, ir_version: int) -> None:
        """Raise the file's opset: some tensor or operator in it needs that."""

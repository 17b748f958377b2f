"""How are numbers stored? Number systems, packings, factors, the rule of int8 products; no torch and no ONNX.

What all of them share is here: how one weight is stored, which a plan decides, a packer writes and a report shows; and
the builder of a graph, into which a format writes, with the element types of ONNX's tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class WeightFormat:
    """Storage of one weight matrix.

    Attributes:
        bits: of each stored code: 2 to 8, 16 or 32.
        sparse: store a bitmask and the non-zero codes only.
        numbers: what a code stands for, the name of a number system (`autocomp/formats/numbers/`); at 32 bits FP32.
        group: integers that share one scale: None a row (output channel of a linear, one embedding), 0 the whole
            matrix, otherwise as many neighbours in a row.
        outliers: fraction of the weights, those farthest from the mean, kept beside the codes in FP32.
        weight_only: a linear of 8 bits or less computes in FP32 all the same.
    """

    bits: int = 32
    sparse: bool = False
    numbers: str = "integer"
    group: int | None = None
    outliers: float = 0.0
    weight_only: bool = False

    @property
    def runs_int8(self) -> bool:
        """Whether a linear with this format is an int8 product."""
        return self.bits <= 8 and not self.weight_only


FLOAT32 = WeightFormat()


def usual_format(bits: int) -> WeightFormat:
    """How a weight of so many bits is stored unless a plan says otherwise.

    Uneven levels up to 3 bits: on SST-2 they lower the divergence of MiniLM's answers by a third at 2 bits, 40 % at
    3. At 4 bits they lower it by a quarter in linears (accuracy equal), but a file takes 3 times as long to load as
    plain int8, not twice; `number_system` has them for who wants that.
    """
    if bits == 16:
        return WeightFormat(bits, numbers="float16")
    return WeightFormat(bits, numbers="levels" if bits <= 3 else "integer")


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
        """An initializer of a type that numpy does not have, given as bytes; an equal one is stored once only."""

    def once(self, key: object, build: Callable[[Any], str]) -> str:
        """What `build` emits, made at the first call with this key in this graph or those around it."""

    def has_shape(self, value: str, data_type: int, shape: Sequence[int]) -> str:
        """State a value's shape, without which a runtime folds no constant whose shape depends on values."""

    def require(self, opset: int, ir_version: int) -> None:
        """Raise the file's opset: some tensor or operator in it needs that."""

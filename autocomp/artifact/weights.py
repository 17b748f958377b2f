"""The weights of a model as graph values: constants, int8 tensors that unpack themselves, FP32 tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from autocomp.artifact.format import FLOAT32, WeightFormat
from autocomp.artifact.graph import Graph
from autocomp.artifact.packing import packing_for
from autocomp.artifact.quantize import quantize, scales_as_float16
from autocomp.errors import ExportMismatch

Codes = tuple[np.ndarray, np.ndarray]
"""Codes int8 `[rows, width]` and scales float32 `[rows]`, as `quantize` returns them."""


@dataclass(frozen=True)
class WeightStore:
    """Emits each weight once, in its format, into the graph (or branch) that first needs it.

    Attributes:
        weights: float arrays by parameter name.
        formats: storage by parameter name; absent means FP32.
        codes: codes found by a better rounding than `quantize`, by parameter name.
    """

    weights: Mapping[str, np.ndarray]
    formats: Mapping[str, WeightFormat]
    codes: Mapping[str, Codes]

    def __post_init__(self) -> None:
        for name in {**self.formats, **self.codes}:
            if name not in self.weights or self.weights[name].ndim != 2:
                raise ExportMismatch(
                    f"a format is given for {name!r}, which is not a matrix of this model; leave it out"
                )

    def array(self, name: str) -> np.ndarray:
        """A weight as a contiguous float32 array.

        Raises:
            ExportMismatch: the shape asks for a weight that is not there.
        """
        if name not in self.weights:
            raise ExportMismatch(f"the shape needs {name!r}, which is not among the {len(self.weights)} weights given")
        return np.ascontiguousarray(self.weights[name], np.float32)

    def runs_int8(self, name: str) -> bool:
        """Whether a linear's weight has integer codes."""
        return self.formats.get(name, FLOAT32).bits <= 8

    def vector(self, graph: Graph, name: str) -> str:
        """A bias or layer-norm vector, FP32."""
        return graph.constant(self.array(name), name)

    def linear(self, graph: Graph, name: str) -> str:
        """An FP32 linear weight as MatMul takes it, `[in, out]`."""
        format = self.formats.get(name, FLOAT32)
        transposed = np.ascontiguousarray(self.array(name).T)
        value = graph.once(("linear", name), lambda g: packing_for(format).write(g, name, transposed, format))
        return graph.local(("linear", name), value, transposed.shape)

    def int8_linear(self, graph: Graph, name: str) -> str:
        """The int8 codes of a linear, `[in, out]`."""
        codes, format = self._coded(name)[0].T, self.formats[name]
        value = graph.once(("int8", name), lambda g: packing_for(format).write(g, name, codes, format))
        return graph.local(("int8", name), value, codes.shape)

    def int8_scales(self, graph: Graph, name: str) -> str:
        """The scales of a linear, FP32 `[out]`; FP16 in the file where that is exact enough."""
        return graph.once(("scales", name), lambda g: _write_scales(g, name, self._coded(name)[1]))

    def look_up(self, graph: Graph, name: str, ids: str) -> str:
        """Rows of an embedding, FP32 `[..., width]`.

        Codes are looked up as int8 and scaled afterwards. A table made FP32 at load would be as fast, but takes four
        times the memory and, for MiniLM, 80 of 150 ms of loading.
        """
        if self.formats.get(name, FLOAT32).bits == 32:
            return graph.op("Gather", self.table(graph, name), ids)
        codes, scales = self._coded(name)
        rows = graph.op("Gather", packing_for(self.formats[name]).write(graph, name, codes, self.formats[name]), ids)
        factors = graph.op("Gather", _write_scales(graph, name, scales[:, None]), ids)
        return graph.op("Mul", graph.op("Cast", rows, to=TensorProto.FLOAT), factors)

    def table(self, graph: Graph, name: str, extra_row: np.ndarray | None = None) -> str:
        """A small embedding, FP32 `[rows, width]` after loading, with `extra_row` added to every row."""
        return graph.once(("table", name), lambda g: self._write_table(g, name, extra_row))

    def _write_table(self, graph: Graph, name: str, extra_row: np.ndarray | None) -> str:
        format = self.formats.get(name, FLOAT32)
        if format.bits == 32:
            rows = self.array(name) if extra_row is None else self.array(name) + extra_row
            return packing_for(format).write(graph, name, rows, format)
        codes, scales = self._coded(name)
        unpacked = packing_for(format).write(graph, name, codes, format)
        real = graph.op("Cast", unpacked, to=TensorProto.FLOAT)
        rows = graph.op("Mul", real, _write_scales(graph, name, scales[:, None]))
        return rows if extra_row is None else graph.op("Add", rows, graph.constant(extra_row))

    def _coded(self, name: str) -> Codes:
        return self.codes[name] if name in self.codes else quantize(self.array(name), self.formats[name].bits)


def _write_scales(graph: Graph, name: str, scales: np.ndarray) -> str:
    stored = scales_as_float16(scales)
    value = graph.constant(stored, f"{name}.scales")
    return graph.op("Cast", value, to=TensorProto.FLOAT) if stored.dtype == np.float16 else value

"""The weights of a model as graph values: constants, int8 tensors that unpack themselves, FP32 tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from autocomp.artifact.graph import Graph
from autocomp.errors import ExportMismatch
from autocomp.formats import FLOAT32, WeightFormat
from autocomp.formats.factors import factor_names, runs_as_two
from autocomp.formats.numbers import Encoded, encode, gives_int8, numbers_for
from autocomp.formats.packing import packing_for
from autocomp.formats.quantize import write_row_scales

Int8 = tuple[str, str]
"""A linear as the runtime multiplies it: int8 codes `[in, out]` and FP32 scales `[out]` or `[1]`."""


@dataclass(frozen=True)
class WeightStore:
    """Emits each weight once, in its format, into the graph (or branch) that first needs it.

    Attributes:
        weights: float arrays by parameter name.
        formats: storage by parameter name; absent means FP32.
        codes: what is stored of weights that are not to be rounded here, by parameter name, in the weights' formats.
    """

    weights: Mapping[str, np.ndarray]
    formats: Mapping[str, WeightFormat]
    codes: Mapping[str, Encoded] = field(default_factory=dict)
    _encoded: dict[str, Encoded] = field(default_factory=dict)

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
        """Whether a linear's product is one of integers."""
        return self._format(name).runs_int8

    def runs_as_two(self, name: str) -> bool:
        """Whether a linear is computed as the products with its two factors."""
        up, down = factor_names(name)
        return up in self.weights and runs_as_two(self.weights[down].shape[0], *self._shape(name))

    def vector(self, graph: Graph, name: str) -> str:
        """A bias or layer-norm vector, FP32."""
        return graph.constant(self.array(name), name)

    def linear(self, graph: Graph, name: str) -> str:
        """A linear weight in FP32 as MatMul takes it, `[in, out]`."""
        value = graph.once(("linear", name), lambda g: self._write_linear(g, name))
        return graph.local(("linear", name), value, self._shape(name)[::-1])

    def int8_linear(self, graph: Graph, name: str) -> Int8:
        """A linear weight as int8 codes and scales."""
        if name in self.weights and gives_int8(self._format(name)):
            codes = graph.once(("int8", name), lambda g: self._pack(g, name, self._coded(name).codes.T))
            scales = graph.once(("scales", name), lambda g: self._write_scales(g, name))
        else:
            whole = graph.once(("values", name), lambda g: self._write_values(g, name))
            scales = graph.once(("scales", name), lambda g: write_row_scales(g, whole, self._shape(name)[1]))
            codes = graph.once(("int8", name), lambda g: write_rounded(g, whole, scales))
        return graph.local(("int8", name), codes, self._shape(name)[::-1]), scales

    def look_up(self, graph: Graph, name: str, ids: str) -> str:
        """Rows of an embedding, FP32 `[..., width]`.

        Codes are looked up as they are stored and decoded afterwards. A table made FP32 at load would be as fast, but
        takes four times the memory and, for MiniLM, 80 of 150 ms of loading. Outliers leave no other way.
        """
        if self._coded(name).outliers is not None:
            return graph.op("Gather", self.table(graph, name), ids)
        encoded, format = self._coded(name), self._format(name)
        rows = graph.op("Gather", self._pack(graph, name, encoded.codes), ids)
        per_row, shared = self._write_parameters(graph, name)
        return numbers_for(format).write(graph, rows, [graph.op("Gather", p, ids) for p in per_row], shared, format)

    def table(self, graph: Graph, name: str, extra_row: np.ndarray | None = None) -> str:
        """A small embedding, FP32 `[rows, width]` after loading, with `extra_row` added to every row."""
        return graph.once(("table", name), lambda g: self._write_table(g, name, extra_row))

    def _write_table(self, graph: Graph, name: str, extra_row: np.ndarray | None) -> str:
        if extra_row is None:
            return self._write_values(graph, name)
        if self._format(name) == FLOAT32:
            return graph.constant(self.array(name) + extra_row, name)
        return graph.op("Add", self._write_values(graph, name), graph.constant(extra_row))

    def _write_linear(self, graph: Graph, name: str) -> str:
        format = self._format(name)
        if format.bits == 32 and factor_names(name)[0] not in self.weights:
            return packing_for(format).write(graph, name, np.ascontiguousarray(self.array(name).T), format)
        return graph.op("Transpose", self._write_values(graph, name), perm=[1, 0])

    def _write_values(self, graph: Graph, name: str) -> str:
        """A matrix `[rows, width]` that the runtime decodes to FP32, or multiplies out of its factors, at load."""
        factors = factor_names(name)
        if factors[0] in self.weights:
            return graph.op("MatMul", *(self._write_values(graph, factor) for factor in factors))
        encoded, format = self._coded(name), self._format(name)
        codes = self._pack(graph, name, encoded.codes)
        values = numbers_for(format).write(graph, codes, *self._write_parameters(graph, name), format)
        return values if encoded.outliers is None else self._write_outliers(graph, name, values)

    def _write_outliers(self, graph: Graph, name: str, values: str) -> str:
        outliers = self._coded(name).outliers
        assert outliers is not None
        flat = graph.op("Reshape", values, graph.constant(np.array([-1])))
        positions = graph.constant(outliers.positions, f"{name}.positions")
        kept = graph.constant(outliers.values, f"{name}.outliers")
        scattered = graph.op("ScatterElements", flat, positions, kept, axis=0)
        return graph.op("Reshape", scattered, graph.constant(np.array(self.array(name).shape)))

    def _write_parameters(self, graph: Graph, name: str) -> tuple[list[str], list[str]]:
        """Scales and tables in FP32: those of each row, those of the whole matrix."""
        encoded = self._coded(name)
        per_row = [_write_float(graph, f"{name}.scales", p) for p in encoded.per_row]
        return per_row, [_write_float(graph, f"{name}.shared{i}", p) for i, p in enumerate(encoded.shared)]

    def _write_scales(self, graph: Graph, name: str) -> str:
        """The one scale a row, or for all, of int8 weights, flat."""
        encoded = self._coded(name)
        return _write_float(graph, f"{name}.scales", (encoded.per_row or encoded.shared)[0].reshape(-1))

    def _pack(self, graph: Graph, name: str, codes: np.ndarray) -> str:
        format, levels = self._format(name), self._coded(name).levels
        return packing_for(format).write(graph, name, np.ascontiguousarray(codes), format, levels)

    def _format(self, name: str) -> WeightFormat:
        return self.formats.get(name) or self.formats.get(factor_names(name)[0], FLOAT32)

    def _shape(self, name: str) -> tuple[int, int]:
        """Rows and columns of a matrix, whole or in factors."""
        up, down = (part if part in self.weights else name for part in factor_names(name))
        return self.array(up).shape[0], self.array(down).shape[1]

    def _coded(self, name: str) -> Encoded:
        if name not in self._encoded:
            self._encoded[name] = self.codes.get(name) or encode(self.array(name), self._format(name))
        return self._encoded[name]


def _write_float(graph: Graph, name: str, values: np.ndarray) -> str:
    """FP16 or FP32 numbers as FP32."""
    stored = graph.constant(values, name)
    return graph.op("Cast", stored, to=TensorProto.FLOAT) if values.dtype == np.float16 else stored


def write_rounded(graph: Graph, values: str, scales: str) -> str:
    """FP32 values `[out, in]` rounded to int8 codes `[in, out]` at load, so that what runs is an int8 product."""
    columns = graph.op("Div", graph.op("Transpose", values, perm=[1, 0]), scales)
    return graph.op("Cast", graph.op("Round", columns), to=TensorProto.INT8)

"""What does a file store? Every weight with its size, number system and bytes, read from the file alone."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from autocomp.artifact.graph import walk
from autocomp.inspection.matmuls import constants

_NAME = re.compile(r"(?P<name>.+\.(?:weight(?:\.up|\.down)?|bias))(?:[._](?P<part>.+))?$")
_BESIDE = re.compile(r"scales?$|zero_point$|shared\d$|positions$|outliers$")
_FLOATS = {
    TensorProto.FLOAT: ("float32", 32),
    TensorProto.FLOAT16: ("float16", 16),
    TensorProto.BFLOAT16: ("bfloat16", 16),
}
_WIDTHS = {TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.FLOAT16: 16, TensorProto.BFLOAT16: 16}


@dataclass(frozen=True)
class StoredWeight:
    """One stored tensor of the model, whatever it is packed into.

    Attributes:
        name: of the parameter, or of one of its factors (`….weight.up`).
        size: numbers that it has.
        values: numbers that are stored: fewer than `size` only where zeros are stored as a bitmask.
        numbers: `integer`, `codebook`, `adaptivfloat`, `float32` …
        bits: of a stored code.
        nbytes: of codes, mask, scales, tables and outliers.
    """

    name: str
    size: int
    values: int
    numbers: str
    bits: int
    nbytes: int

    @property
    def layer(self) -> str:
        """The layer that it belongs to: `blocks.0.attention.query`."""
        return re.sub(r"\.(weight(\.up|\.down)?|bias)$", "", self.name)

    @property
    def is_sparse(self) -> bool:
        """Whether zeros are left out of the file."""
        return self.values < self.size


def stored_weights(model: onnx.ModelProto) -> list[StoredWeight]:
    """Every named tensor of a file, in its order; equal tensors are stored, and listed, once."""
    parts: dict[str, dict[str, TensorProto]] = defaultdict(dict)
    for tensor in _tensors(model.graph):
        match = _NAME.match(tensor.name)
        if match:
            parts[match["name"]][match["part"] or ""] = tensor
    sizes, tables = _unpacked_sizes(model), _tables(model)
    return [_stored(name, found, sizes.get(name, 0), tables.get(name, [])) for name, found in parts.items()]


def tensor_bytes(tensor: TensorProto) -> int:
    """Bytes of a tensor's values."""
    return len(tensor.raw_data) or -(-math.prod(tensor.dims) * _bits(tensor) // 8)


def _tensors(graph: onnx.GraphProto) -> Iterable[TensorProto]:
    seen: dict[int, onnx.GraphProto] = {}
    for _, where in walk(graph):
        if id(where) not in seen:
            seen[id(where)] = where  # kept, so that no other graph gets its id
            yield from where.initializer


def _unpacked_sizes(model: onnx.ModelProto) -> dict[str, int]:
    """Numbers of each weight by the shapes that its codes are reshaped to at load."""
    known, found = constants(model.graph), defaultdict[str, int](int)
    values = {t.name: t for t in _tensors(model.graph) if t.data_type == TensorProto.INT64 and len(t.dims) == 1}
    for node, _ in walk(model.graph):
        if node.op_type == "Reshape" and node.output[0] in known and node.input[1] in values:
            name = _only_weight(known[node.input[0]])
            found[name] = max(found[name], int(numpy_helper.to_array(values[node.input[1]]).prod()))
    return dict(found)


def _tables(model: onnx.ModelProto) -> dict[str, list[TensorProto]]:
    """The tables beside its scales that each weight is decoded with: equal ones are stored once, under one's name.

    Matrices are decoded at load, looked-up rows of an embedding when the model runs.
    """
    tensors = {tensor.name: tensor for tensor in _tensors(model.graph)}
    known: dict[str, frozenset[str]] = constants(model.graph)
    for node, _ in walk(model.graph):
        if node.op_type in ("Gather", "Cast", "Mul") and node.output[0] not in known:
            known[node.output[0]] = frozenset().union(*(known.get(name, frozenset()) for name in node.input))
    found: dict[str, set[str]] = defaultdict(set)
    for sources in known.values():
        found[_only_weight(sources)] |= {s for s in sources if ".shared" in s}
    return {name: [tensors[table] for table in sorted(tables)] for name, tables in found.items()}


def _only_weight(sources: Iterable[str]) -> str:
    """The one weight whose codes are among some stored tensors, empty if there are none or several."""
    matches = (match for name in sources if (match := _NAME.match(name)))
    names = {match["name"] for match in matches if not _BESIDE.match(match["part"] or "")}
    return names.pop() if len(names) == 1 else ""


def _stored(name: str, parts: Mapping[str, TensorProto], unpacked: int, tables: Sequence[TensorProto]) -> StoredWeight:
    codes = {part: tensor for part, tensor in parts.items() if not _BESIDE.match(part)}
    size = max([unpacked, *(math.prod(t.dims) for t in codes.values())])
    nbytes = sum(tensor_bytes(t) for t in parts.values())
    main = codes.get("", next(iter(codes.values()), None))
    if main is not None and main.data_type in _FLOATS and "mask" not in codes:
        return StoredWeight(name, size, size, *_FLOATS[main.data_type], nbytes)
    values, bits = size, [tensor_bytes(t) for part, t in codes.items() if part != "mask"]
    if "mask" in codes:
        values = int(np.unpackbits(np.frombuffer(codes["mask"].raw_data, np.uint8)).sum())
    width = int(8 * sum(bits) / max(values, 1))  # each part is rounded up to a byte
    # Non-zero codes of two bits are -1 or 1, and stored in one.
    width = 2 if "mask" in codes and width <= 1 else min(width, 32)
    return StoredWeight(name, size, values, _system(tables, width), width, nbytes)


def _system(tables: Sequence[TensorProto], bits: int) -> str:
    """The number system that writes such tables: int8 levels, numbers and a power of two, centroids, or one scale."""
    if bits > 8:
        return "float32"
    if any(table.data_type == TensorProto.INT8 for table in tables):
        return "levels"
    if len(tables) > 1:
        return "adaptivfloat"
    return "codebook" if any(math.prod(table.dims) > 1 for table in tables) else "integer"


def _bits(tensor: TensorProto) -> int:
    if tensor.data_type in _WIDTHS:
        return _WIDTHS[tensor.data_type]
    return int(8 * np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize)

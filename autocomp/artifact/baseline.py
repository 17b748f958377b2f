"""The thing to beat: what a user gets today from one call of ONNX Runtime's own quantizer."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from autocomp.artifact.runtime import int8_products_overflow

KINDS = ("MatMul", "Gather")
"""What it quantizes; it would take ONNX's Attention for the runtime's own operator of that name."""


def plain_int8(fp32_model: onnx.ModelProto) -> onnx.ModelProto:
    """Dynamic int8 in its strong form: signed weights, one scale per channel, embeddings included.

    Unsigned weights run half as fast, and one scale per tensor loses a point of accuracy (measured on SST-2). Where
    int8 products overflow, weights have 7 bits, as the runtime's makers advise.

    Args:
        fp32_model: as `write_model` gives it without formats and without exits.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "int8.onnx"
        copy = onnx.ModelProto()
        copy.CopyFrom(fp32_model)  # the quantizer works in place
        strong = {"weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": int8_products_overflow()}
        quantize_dynamic(copy, file, list(KINDS), **strong)
        return onnx.load(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to pre-process the model, which concerns models from other exporters."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

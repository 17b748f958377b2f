"""IEEE half numbers: two bytes each."""

from __future__ import annotations

from onnx import TensorProto

from autocomp.artifact.packing._short_floats import ShortFloat

packing = ShortFloat("float16", TensorProto.FLOAT16)

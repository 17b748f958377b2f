"""IEEE half numbers: two bytes each."""

from __future__ import annotations

from autocomp.formats.graph import Element
from autocomp.formats.packing._short_floats import ShortFloat

packing = ShortFloat("float16", Element.FLOAT16)

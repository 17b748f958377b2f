"""Brain float numbers: two bytes each."""

from __future__ import annotations

from autocomp.formats.graph import Element
from autocomp.formats.packing._short_floats import ShortFloat

packing = ShortFloat("bfloat16", Element.BFLOAT16)

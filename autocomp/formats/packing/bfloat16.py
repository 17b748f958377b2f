"""Brain float numbers: two bytes each."""

from __future__ import annotations

from autocomp.formats import Element
from autocomp.formats.packing._shared import ShortFloat

packing = ShortFloat("bfloat16", Element.BFLOAT16)

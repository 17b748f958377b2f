"""IEEE half numbers: two bytes each."""

from __future__ import annotations

from autocomp.formats import Element
from autocomp.formats.packing._shared import ShortFloat

packing = ShortFloat("float16", Element.FLOAT16)

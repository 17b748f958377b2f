"""Which row of a table a pair of neighbouring pieces has, alike in PyTorch and in a file.

The row is `(before * STEP + id) mod rows`: a product, a sum and a remainder of whole numbers below 2 to the 63rd.
Colliding pairs share a row, as fastText's do (Joulin et al. 2017, arXiv:1607.01759).
"""

from __future__ import annotations

STEP = 1_000_003
"""A prime, so that pieces in a row of one word do not fall on rows in a row of another."""

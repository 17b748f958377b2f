"""What autocomp relies on inside torch to know a CPU's number formats, all of it here.

Read for torch 2.13, and held by tests/packaging/test_insides.py.

No public function of torch says whether its CPU library multiplies BF16 natively. Where the private one is gone the
answer is no, which is correct on every CPU and slower on those that could.
"""

from __future__ import annotations

import torch

NAME = "_is_mkldnn_bf16_supported"


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies BF16 natively, as far as torch tells."""
    asked = getattr(torch.ops.mkldnn, NAME, None)
    return bool(asked()) if asked else False

"""Which processor is this? Standard library only."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

_DECIDE_SPEED = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm",
)  # fmt: skip


def processor() -> dict[str, Any]:
    """`cpu`, its name, and those of its `instruction_sets` that decide speed."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = fields.get("flags", fields.get("Features", "")).split()
    name = fields.get("model name", platform.processor() or platform.machine())
    return {"cpu": name, "instruction_sets": [flag for flag in _DECIDE_SPEED if flag in flags]}

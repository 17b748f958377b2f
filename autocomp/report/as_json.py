"""What a run says as JSON that every browser reads, whatever its journal holds."""

from __future__ import annotations

from typing import Any

from autocomp import strict_json


def as_json(data: Any) -> str:
    """Compact JSON: numbers that JSON has no word for are null, half a surrogate pair is a question mark."""
    return strict_json.dumps(data, separators=strict_json.COMPACT).encode("utf-8", "replace").decode("utf-8")

"""What a run says as JSON that every browser reads, whatever its journal holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def as_json(data: Any) -> str:
    """Compact JSON: numbers that JSON has no word for are null, half a surrogate pair is a question mark."""
    try:
        text = json.dumps(data, ensure_ascii=False, default=str, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, default=str, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data

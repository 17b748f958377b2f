"""JSON that every reader takes: NaN and infinities, for which it has no word, are null, written and read alike."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

COMPACT = (",", ":")
Json = dict[str, Any]
"""A JSON object on its way out of a type or into one: where its keys are open, or are checked right here."""
JsonView = Mapping[str, Any]
"""A JSON object that is only read."""


def dumps(
    data: Any,
    *,
    default: Callable[[Any], Any] | None = str,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
) -> str:
    """One JSON text, characters as they are.

    Args:
        default: what becomes of a value that JSON does not know; None refuses it.
        indent: spaces a level; None is one line.
        separators: `COMPACT` leaves out spaces.

    Raises:
        TypeError: a value that JSON does not know, and no `default`.
    """
    write = partial(json.dumps, ensure_ascii=False, indent=indent, separators=separators, allow_nan=False)
    try:
        return write(data, default=default)
    except ValueError:
        known = default and (lambda value: _finite(default(value)))
        return write(_finite(data), default=known)


def loads(text: str | bytes) -> Any:
    """The data of a JSON text, where NaN, Infinity and numbers beyond every float are None.

    Raises:
        ValueError: it is no JSON.
    """
    return json.loads(text, parse_constant=lambda _: None, parse_float=_float)


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data

"""JSON that every reader takes: NaN and infinities, for which it has no word, are null, written and read alike."""

from __future__ import annotations

import json
import math
import re
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
    if isinstance(text, str):
        return (_CAREFUL if _may_overflow(text.encode("utf-8", "replace")) else _FAST).decode(text)
    coding = "utf-8" if text.startswith(b'{"') else json.detect_encoding(text)
    is_careful = coding != "utf-8" or _may_overflow(text)
    return (_CAREFUL if is_careful else _FAST).decode(text.decode(coding, "surrogatepass"))


def _may_overflow(text: bytes) -> bool:
    """Whether a number of a UTF-8 text may be beyond every float: its exponent has three digits, or it has very many.

    A look at the whole text takes a third of the time of a look at each number.
    """
    shape = text.translate(_SHAPE)
    return (shape.rfind(b"e000") > 0 and bool(_EXPONENT.search(shape))) or b"0" * 200 in shape


def _nothing(_: str) -> None:
    """What NaN and infinities are."""


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_SHAPE = bytes(ord("0") if chr(c) in "+0123456789" else ord("e") if chr(c) in "eE" else c for c in range(256))
"""Every digit is 0, and a plus too, for it stands before the digits of an exponent."""
_EXPONENT = re.compile(rb"0e000+[^0-9A-Za-z\"]|0e000+$")
"""What a long exponent looks like then; in a hash other letters follow, or the end of the string."""
_FAST = json.JSONDecoder(parse_constant=_nothing)
_CAREFUL = json.JSONDecoder(parse_constant=_nothing, parse_float=_float)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data

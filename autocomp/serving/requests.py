"""What a page may ask for: every value of a request is checked here before anything is done with it."""

from __future__ import annotations

import json
import re
from typing import Any

from autocomp.errors import ArtifactError, AutocompError, InputError, MissingExtra, RunFolderError, UnknownName
from autocomp.report.page import as_json
from autocomp.strict_json import Json, JsonView

MOST_CHARACTERS = 20_000
"""Of a text to try."""
MOST_ROWS = 10_000_000
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_-])?")
#: Names that Windows gives to devices, whatever follows a point.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{kind}{i}" for kind in ("com", "lpt") for i in range(10))}
_NAME_RULE = (
    "name must be 1 to 80 of A-Z a-z 0-9 . _ -, begin with a letter or digit, end without a point, "
    "and be no device's name such as con"
)


def text_to_try(body: bytes) -> str | tuple[str, str]:
    """The text, or text and pair, of a request to try a model.

    Raises:
        Refused: it is anything else.
    """
    given = _object(body, required=("text",), optional=("pair",))
    texts = [_text(given, key) for key in ("text", "pair") if given.get(key) is not None]
    if given["text"] is None:
        raise Refused(400, "text must be a string, got null")
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


def export_name(body: bytes) -> str:
    """The name of the folder that an export makes.

    Raises:
        Refused: it is anything but one plain name.
    """
    name = _object(body, required=("name",), optional=())["name"]
    if not isinstance(name, str) or not NAME.fullmatch(name) or name.split(".")[0].lower() in _DEVICES:
        raise Refused(400, f"{_NAME_RULE}; got {_shown(name)}")
    return name


def number(text: str, most: int) -> int | None:
    """A whole number from 0 to `most` as ASCII digits; None for anything else."""
    is_short = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    return int(text) if is_short and int(text) <= most else None


def rows_known(query: str | None) -> int | None:
    """How many candidates a page has already; None when it does not say.

    Raises:
        Refused: it is no whole number.
    """
    if query is None:
        return None
    rows = number(query, MOST_ROWS)
    if rows is None:
        raise Refused(400, f"rows must be a whole number from 0 to {MOST_ROWS}, got {_shown(query)}")
    return rows


def _object(body: bytes, required: tuple[str, ...], optional: tuple[str, ...]) -> Json:
    known = ", ".join(required + optional)
    try:
        given = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refused(400, f"the body must be a JSON object in UTF-8 with {known}") from None
    if not isinstance(given, dict):
        raise Refused(400, f"the body must be a JSON object with {known}, got {_shown(given)}")
    strange = sorted(set(given) - {*required, *optional})
    missing = [key for key in required if key not in given]
    if strange or missing:
        wrong = f"{_shown(strange[0])} is not known" if strange else f"{missing[0]} is missing"
        raise Refused(400, f"the body's keys are {known}; {wrong}")
    return given


def _text(given: JsonView, key: str) -> str:
    value = given[key]
    if not isinstance(value, str):
        raise Refused(400, f"{key} must be a string, got {_shown(value)}")
    if len(value) > MOST_CHARACTERS:
        raise Refused(400, f"{key} must have at most {MOST_CHARACTERS} characters, got {len(value)}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Refused(400, f"{key} must be Unicode text; it holds half of a surrogate pair")
    return value


def _shown(value: Any) -> str:
    """A value in a message: ASCII, and short."""
    return ascii(value)[:60]


class Refused(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        message: for the person at the page: the rule, and the way out.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def refusal(error: AutocompError) -> Refused:
    """What an error of autocomp is over HTTP: 404 unknown, 409 the run is not as it must be, 400 all other input."""
    if isinstance(error, UnknownName):
        return Refused(404, str(error))
    if isinstance(error, InputError) and not isinstance(error, ArtifactError | RunFolderError | MissingExtra):
        return Refused(400, str(error))
    return Refused(409, str(error))


def as_bytes(data: Any) -> bytes:
    """`as_json` in UTF-8."""
    return as_json(data).encode("utf-8")

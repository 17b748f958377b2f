"""Which letters do these bytes stand for? Text files as people have them, and what was taken for granted about each.

A byte order mark decides; bytes of which many are NUL are UTF-16; what is UTF-8 is UTF-8; the rest was written by
Windows in Western Europe (cp1252, and latin-1 for its five undefined bytes), or is refused.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, cast

from autocomp.errors import DataError

HEAD_BYTES = 1 << 16
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MAGIC = {
    b"PK\x03\x04": "a ZIP or Excel (xlsx) file",
    b"\x1f\x8b": "gzipped (its name must end in .gz)",
    b"PAR1": "Parquet",
}
FOREIGN_SHARE, FOREIGN_LEAST = 0.5, 20
"""Western text has single letters outside ASCII: where more than this fraction of at least so many such bytes stand in
rows of four, or of all letters are such bytes, it is in another encoding."""
WIDE_SHARE = 0.3
"""Half of the bytes of ASCII text in UTF-16 are NUL."""
_STRAY, _STRAY_ROW = re.compile("[\udc80-\udcff]"), re.compile("[\udc80-\udcff]{4,}")


class Form(NamedTuple):
    """How bytes are decoded: the codec, bytes of a mark before the text, and a note for people (empty for UTF-8)."""

    codec: str
    mark: int
    note: str


def decode(data: bytes, place: str) -> tuple[str, str]:
    """The text of a whole file and what was taken for granted to read it (empty for UTF-8).

    Raises:
        DataError: bytes of no encoding that is recognised; says how to convert the file.
    """
    form = form_of(data, place, whole=True)
    try:
        text = data[form.mark :].decode(form.codec, "surrogateescape" if _is_narrow(form.codec) else "strict")
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: begins as {form.codec.upper()} but byte {error.start} is not; {_WAY_OUT}") from error
    strays = len(_STRAY.findall(text)) if form.codec == "utf-8" else 0
    return without_strays(text), form.note or (_strays_note(strays) if strays else "")


def read_lines(opened: BinaryIO, place: str, notify: Callable[[str], None]) -> Iterator[str]:
    """Lines as they come, without their ends: LF ends one, or CR where the first bytes hold CR and no LF.

    Args:
        opened: bytes; it is not closed.
        place: its name for messages.
        tell: called once with what was taken for granted, if anything.

    Raises:
        DataError: as `decode`.
    """
    buffered = cast("io.BufferedReader", opened if hasattr(opened, "peek") else io.BufferedReader(opened))
    head = buffered.peek(HEAD_BYTES)
    form = form_of(head, place, whole=False)
    buffered.read(form.mark)
    text = head[form.mark :].decode(form.codec, "ignore")
    newline = "\r" if "\r" in text and "\n" not in text else "\n"
    wrapped = io.TextIOWrapper(buffered, form.codec, "surrogateescape" if _is_narrow(form.codec) else "strict", newline)
    is_noted = bool(form.note)
    if is_noted:
        notify(form.note)
    try:
        for number, line in enumerate(wrapped, 1):
            if not is_noted and _STRAY.search(line):
                is_noted = True
                notify(f"line {number} is not UTF-8: its other bytes are read as cp1252")
            yield without_strays(line).rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: begins as {form.codec.upper()} but does not go on so ({error.reason}); {_WAY_OUT}"
        ) from error
    finally:
        wrapped.detach()


def form_of(data: bytes, place: str, *, whole: bool) -> Form:
    """How the bytes of a file, or the first ones of it, are to be decoded.

    Raises:
        DataError: as `decode`.
    """
    for magic, kind in MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"{place}: must be a text file, but is {kind}; save it as UTF-8 text")
    for mark, codec in MARKS:
        if data.startswith(mark):
            return Form(
                codec, len(mark), "" if codec == "utf-8" else f"read as {codec.upper()}, as its first bytes say"
            )
    wide = _wide_codec(data, whole)
    if wide:
        return Form(wide, 0, f"read as {wide.upper()}: no byte order mark, but every other byte is NUL")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError as error:
        return _narrow_form(data, place, error)
    return Form("utf-8", 0, "")


def without_strays(text: str) -> str:
    """Text whose undecodable bytes (lone surrogates of `surrogateescape`) are read as cp1252, or else latin-1."""
    return _STRAY.sub(lambda stray: _as_cp1252(ord(stray[0]) - 0xDC00), text)


def _as_cp1252(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


_WAY_OUT = "save it as UTF-8 (`iconv -f CODE -t UTF-8 FILE`, or `CSV UTF-8` in Excel)"


def _is_narrow(codec: str) -> bool:
    return codec in ("utf-8", "cp1252")


def _strays_note(count: int) -> str:
    return f"{count} bytes are not UTF-8, though the rest is: read as cp1252"


def _wide_codec(data: bytes, whole: bool) -> str | None:
    """The codec of UTF-16 without a mark: all NULs at odd places, or all at even ones, as many as text of words has."""
    if b"\0" not in data or (whole and len(data) % 2):
        return None
    even, odd = data[0::2].count(0), data[1::2].count(0)
    codec, nulls, others = ("utf-16-le", odd, even) if odd > even else ("utf-16-be", even, odd)
    text = data.decode(codec, "replace")
    words = nulls >= WIDE_SHARE * len(data) and text.count("\n") == data.count(b"\n")
    # of text without ASCII letters, commas and ends of lines are left
    cells = any(mark in text for mark in "\n,;\t") and not _is_utf8(data)
    return codec if not others and (words or cells) else None


def _is_utf8(data: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _is_foreign(text: str, strays: int) -> bool:
    """Whether most bytes beyond ASCII stand in long rows, as letters of Cyrillic, Greek or Chinese words do."""
    rows = _STRAY_ROW.findall(text)
    letters = len(re.findall("[A-Za-z]", text))
    return sum(map(len, rows)) > FOREIGN_SHARE * strays or strays > FOREIGN_SHARE * (letters + strays)


def _narrow_form(data: bytes, place: str, error: UnicodeDecodeError) -> Form:
    """The form of single bytes: cp1252, or UTF-8 with some bytes that are not; refused where neither can be."""
    line = data.count(b"\n", 0, error.start) + 1
    where = f"{place}: line {line} is not UTF-8"
    if b"\0" in data:
        raise DataError(f"{where}, and there are NUL bytes, but it is not UTF-16 either; {_WAY_OUT}")
    text = data.decode("utf-8", "surrogateescape")
    strays = len(_STRAY.findall(text))
    beyond = len(text) - len(text.encode("ascii", "ignore")) - strays
    if strays >= FOREIGN_LEAST and beyond <= strays and _is_foreign(text, strays):
        raise DataError(f"{where}, and too many of its letters are outside ASCII for a Western encoding; {_WAY_OUT}")
    if beyond > strays:
        return Form("utf-8", 0, _strays_note(strays))
    return Form("cp1252", 0, f"not UTF-8, read as cp1252 (Windows, Western Europe); if letters look wrong, {_WAY_OUT}")

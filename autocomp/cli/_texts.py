"""Texts from arguments, a file or standard input, one a line; and lines that a text cannot break."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from autocomp.encodings import read_lines
from autocomp.errors import InputError, short_repr

Text = str | tuple[str, str]
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def read_texts(given: Sequence[str], file: Path | None, pairs: bool) -> Iterator[Text]:
    """Texts of the arguments, else the file's lines, else standard input's, as they come.

    Raises:
        InputError: both given, a file that is unreadable or in no known encoding, or with `pairs` a line without
            exactly one tab.
    """
    if given and file:
        raise InputError(f"give texts or --file, not both; got {len(given)} texts and --file {file}")
    for number, line in enumerate(given or _lines(file), 1):
        yield _pair(line, number) if pairs else line


def _lines(file: Path | None) -> Iterator[str]:
    if file is None:
        if sys.stdin.isatty():
            print("reading texts from the keyboard, one a line; Ctrl-D ends", file=sys.stderr)
        # a stand-in for standard input may have no bytes below it
        yield from _of_stream(getattr(sys.stdin, "buffer", None) or _bytes_of(sys.stdin), "standard input")
        return
    try:
        with file.open("rb") as opened:
            yield from _of_stream(opened, str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _bytes_of(stream: TextIO) -> BinaryIO:
    return io.BufferedReader(io.BytesIO(stream.read().encode()))


def _of_stream(opened: BinaryIO, name: str) -> Iterator[str]:
    def tell(note: str) -> None:
        print(f"{name}: {note}", file=sys.stderr)

    return read_lines(opened, name, tell)


def _pair(line: str, number: int) -> tuple[str, str]:
    parts = line.split("\t")
    if len(parts) != 2:
        raise InputError(
            f"with --pairs a line is TEXT<tab>PAIR; line {number} has {len(parts) - 1} tabs: {short_repr(line)}"
        )
    return parts[0], parts[1]


def one_cell(text: str) -> str:
    r"""A text without anything that could end a line or a cell: such letters are written `\t`, `\n`, `\r`, `\u2028`."""
    return _BREAKS.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def one_line(json_text: str) -> str:
    """JSON in which no string holds a letter that some programs end a line at (U+0085, U+2028, U+2029)."""
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)

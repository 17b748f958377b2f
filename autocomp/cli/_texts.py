"""Texts from arguments, a file or standard input, one a line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from autocomp.errors import InputError

Text = str | tuple[str, str]


def read_texts(given: Sequence[str], file: Path | None, pairs: bool) -> Iterator[Text]:
    """Texts of the arguments, else the file's lines, else standard input's, as they come.

    Raises:
        InputError: both given, an unreadable file, or with `pairs` a line without exactly one tab.
    """
    if given and file:
        raise InputError(f"give texts or --file, not both; got {len(given)} texts and --file {file}")
    for number, line in enumerate(given or _lines(file), 1):
        yield _pair(line, number) if pairs else line


def _lines(file: Path | None) -> Iterator[str]:
    if file is None:
        if sys.stdin.isatty():
            print("reading texts from the keyboard, one a line; Ctrl-D ends", file=sys.stderr)
        yield from _stripped(sys.stdin, "standard input")
        return
    try:
        with file.open(encoding="utf-8") as opened:
            yield from _stripped(opened, str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _stripped(lines: Iterable[str], name: str) -> Iterator[str]:
    try:
        for line in lines:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} must be UTF-8 text: {error}") from error


def _pair(line: str, number: int) -> tuple[str, str]:
    parts = line.split("\t")
    if len(parts) != 2:
        raise InputError(
            f"with --pairs a line is TEXT<tab>PAIR; line {number} has {len(parts) - 1} tabs: {line[:60]!r}"
        )
    return parts[0], parts[1]

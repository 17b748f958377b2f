"""Tables of text files: columns held as lists, and CSV and TSV in the dialects that people have."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from autocomp.errors import DataError, listed

SEPARATORS = ",;\t|"
SHORT_SHARE = 0.2
"""Where more rows lack cells, texts hold line breaks that are not quoted."""
MOST_CELL = 1 << 30
_ESCAPED_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*\\"')


class Table(Protocol):
    """What is read of a data set: columns by name. A `datasets.Dataset` is one, `PlainTable` another."""

    @property
    def column_names(self) -> list[str]: ...
    @property
    def features(self) -> Mapping[str, object]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, column: str, /) -> Any: ...


@dataclass(frozen=True)
class PlainTable:
    """Columns as lists of equal length, by name."""

    columns: Mapping[str, list[Any]]

    @property
    def column_names(self) -> list[str]:
        """Names in the order of the file."""
        return list(self.columns)

    @property
    def features(self) -> Mapping[str, object]:
        """The columns without types of their own."""
        return dict.fromkeys(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __getitem__(self, column: str, /) -> list[Any]:
        return self.columns[column]


def joined(tables: Sequence[PlainTable], place: str) -> PlainTable:
    """The rows of several tables, one after the other.

    Raises:
        DataError: their columns differ.
    """
    names = tables[0].column_names
    for table in tables[1:]:
        if sorted(table.column_names) != sorted(names):
            both = f"{listed(names)}; and {listed(table.column_names)}"
            raise DataError(f"{place}: the parts have different columns: {both}")
    return PlainTable({name: [value for table in tables for value in table[name]] for name in names})


class Dialect(NamedTuple):
    """A way to write a table: what separates cells, and how quotes in texts are written."""

    separator: str
    quotes: str  # "doubled", "backslash", "plain" (a quote is a letter), or "loose" (doubled, and letters may follow)


class Misfit(Exception):
    """The file is not written in that dialect; says where it is not."""


def read_delimited(text: str, place: str, tabs: bool, notes: list[str]) -> PlainTable:
    """A CSV or TSV file: the first dialect in which every row has as many cells as the header.

    Cells that a row lacks at its end are empty, which is noted; empty ones beyond the header are ignored. A cell
    without a value is None.

    Raises:
        DataError: no dialect fits, no row, or a header with one name twice.
    """
    text, declared = _without_separator_line(text)
    misfits = []
    for dialect in _dialects(text, tabs, declared):
        try:
            header, rows = _rows(text, dialect)
        except Misfit as misfit:
            misfits.append(misfit)
            continue
        _check_header(header, rows, place)
        notes += _remarks(dialect, header, rows, tabs)
        return _columns(header, rows, dialect)
    raise DataError(f'{place}: {misfits[0]}; quote the texts, with quotes inside them doubled ("") or escaped (\\")')


def _without_separator_line(text: str) -> tuple[str, str | None]:
    """The text without Excel's own first line `sep=;`, and the separator that it names."""
    line = re.match(r'"?sep=(.)"?(\r\n|\r|\n)', text)
    return (text[line.end() :], line[1]) if line else (text, None)


def _dialects(text: str, tabs: bool, declared: str | None) -> list[Dialect]:
    """The ways to read a file that are worth a try, the likeliest first."""
    first = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    separator = "\t" if tabs and "\t" in first else declared or max(SEPARATORS, key=first.count)
    quotes = ["doubled", "backslash", "plain", "loose"]
    if '"' not in text or (separator == "\t" and _quotes_are_plain(text)):
        quotes = ["plain", "backslash"]
    elif _are_escaped_everywhere(text, separator):
        quotes = ["backslash", "doubled", "plain", "loose"]
    return [Dialect(separator, kind) for kind in quotes if kind != "backslash" or "\\" in text]


def _quotes_are_plain(text: str) -> bool:
    """Whether quotes are ordinary letters, as in GLUE's TSV files: each line is a row, and some are unbalanced."""
    lines = [line for line in text.splitlines() if line]
    return len({line.count("\t") for line in lines}) == 1 and any(line.count('"') % 2 for line in lines)


def _are_escaped_everywhere(text: str, separator: str) -> bool:
    """Whether each quote inside a text has a backslash before it: outside of those, quotes only begin and end cells."""
    if not _ESCAPED_QUOTE.search(text):
        return False
    left = _ESCAPED_QUOTE.sub("", text)
    edge = re.escape(separator)
    # what is left of a doubled quote inside a text stands between two letters
    return re.search(rf'[^{edge}\r\n"]"+[^{edge}\r\n"]', left) is None


def _rows(text: str, dialect: Dialect) -> tuple[list[str], list[list[str]]]:
    """Header and rows, each as wide as the header.

    Raises:
        Misfit: a row is wider, or the quotes are not as the dialect has them.
    """
    every = _parse(text, dialect)
    first = next((i for i, (_, row) in enumerate(every) if any(row)), len(every))
    header = [name.strip() for name in (every[first][1] if every[first:] else [])]
    rows = []
    for line, row in every[first + 1 :]:
        if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
            raise Misfit(f"the header has {len(header)} columns but the row that ends in line {line} has {len(row)}")
        if row:
            rows.append(row[: len(header)])
    short = sum(len(row) < len(header) for row in rows)
    if short > SHORT_SHARE * len(rows):
        raise Misfit(f"{short} of {len(rows)} rows have fewer cells than the header's {len(header)}")
    if dialect.quotes == "plain" and _are_wrapped(rows):
        raise Misfit("cells are quoted, but a quote inside one is neither doubled nor escaped")
    return header, rows


def _parse(text: str, dialect: Dialect) -> list[tuple[int, list[str]]]:
    """Rows with the lines that they end in."""
    escapes = dialect.quotes == "backslash"
    text = _with_letters_escaped(text, dialect.separator) if escapes else text
    limit = csv.field_size_limit(MOST_CELL)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.separator,
        strict=dialect.quotes != "loose",
        # a space before a quote is no part of a cell that the quote begins
        skipinitialspace=f'{dialect.separator} "' in text,
        quoting=csv.QUOTE_NONE if dialect.quotes == "plain" else csv.QUOTE_MINIMAL,
        escapechar="\\" if escapes else None,
        doublequote=not escapes,
    )
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise Misfit(f"line {reader.line_num}: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _with_letters_escaped(text: str, separator: str) -> str:
    r"""Text in which backslashes that escape nothing (`C:\new`) are doubled: the csv module would drop them."""
    special = f'\\"{separator}\r\n'
    return re.sub(
        r"\\(.)", lambda escape: escape[0] if escape[1] in special else f"\\{escape[0]}", text, flags=re.DOTALL
    )


def _are_wrapped(rows: Sequence[Sequence[str]]) -> bool:
    """Whether most cells with a quote begin and end with one: these are quotes of the file, no letters."""
    quoted = [cell for row in rows for cell in row if '"' in cell]
    return 2 * sum(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in quoted) > len(quoted)


def _check_header(header: Sequence[str], rows: Sequence[Sequence[str]], place: str) -> None:
    named = [name for name in header if name]
    if not rows:
        raise DataError(f"{place}: there are no rows below the header")
    if len(set(named)) != len(named):
        twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
        raise DataError(f"{place}: the header has a name twice: {listed(twice)}; the columns are {listed(header)}")


def _remarks(dialect: Dialect, header: Sequence[str], rows: Sequence[Sequence[str]], tabs: bool) -> list[str]:
    by_quotes = {
        "backslash": 'quotes inside texts are read as written \\"',
        "loose": "quotes are not closed by the rules of CSV",
    }
    remarks = [by_quotes[dialect.quotes]] if dialect.quotes in by_quotes else []
    remarks += [f"cells are separated by {dialect.separator!r}"] * (dialect.separator != ("\t" if tabs else ","))
    short = sum(len(row) < len(header) for row in rows)
    remarks += [f"{short} rows have fewer cells than the header; the missing ones are empty"] * bool(short)
    return remarks


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], dialect: Dialect) -> PlainTable:
    names = [name or f"column_{i}" for i, name in enumerate(header)]
    empty = {"", "\\N"} if dialect.quotes == "backslash" else {""}  # MySQL's NULL
    return PlainTable(
        {name: [None if i >= len(row) or row[i] in empty else row[i] for row in rows] for i, name in enumerate(names)}
    )

"""Data sets from files: CSV, TSV, JSON lines, JSON and Parquet, as one file or a folder of splits."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from autocomp.errors import DataError
from autocomp.tasks._base import TaskData
from autocomp.tasks._columns import Reading, read_tables

if TYPE_CHECKING:
    from datasets import Dataset

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
SPLITS = {
    "train": "train",
    "validation": "search",
    "valid": "search",
    "val": "search",
    "dev": "search",
    "test": "held_out",
}


def load_files(
    path: Path,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    metric: str | None = None,
    label_names: Sequence[str] | None = None,
    max_length: int | None = None,
) -> TaskData:
    """Read a file, or a folder with `train` and, if it has them, `validation` (`dev`) and `test` files.

    CSV, TSV, JSON lines, JSON and Parquet; all but the last also gzipped. A split may be several files
    (`train-00000-of-00002.parquet`). Splits that are missing are cut from train. Text that is not UTF-8 is read as
    latin-1, which is noted.

    Args:
        path: the file or folder.
        text, pair, label: column names, where the usual ones do not serve.
        metric: name of the score, accuracy by default.
        label_names: names of integer labels by value, or the order of named ones.
        max_length: longest input in tokens; None follows from the texts.

    Raises:
        DataError: if there is nothing to read, or it cannot be read or used.
    """
    reading = Reading(text, pair, label, tuple(label_names) if label_names else None, metric, max_length)
    files = split_files(path)
    notes: list[str] = []
    tables = {split: read_files(members, notes) for split, members in files.items()}
    return read_tables(str(path), tables, reading, notes)


def split_files(path: Path) -> dict[str, list[Path]]:
    """Files of each split, `train`, `search`, `held_out`; a single file is all train.

    Raises:
        DataError: if a folder has no train file, or a split in several formats or under several names.
    """
    if path.is_file():
        _suffix(path)
        return {"train": [path]}
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    found = _splits_in(path) or _splits_in(path / "data")
    if "train" not in found:
        present = ", ".join(sorted(p.name for p in path.iterdir())[:10]) or "nothing"
        raise DataError(
            f"{path}: a folder needs a file called train with one of {', '.join(SUFFIXES)} (or .gz of these); "
            f"it has {present}; or give one file instead of the folder"
        )
    for split, members in found.items():
        if len({(_stem(p), _suffix(p)) for p in members}) > 1:
            raise DataError(f"{path}: several files for {split}, keep one of {', '.join(p.name for p in members)}")
    return dict(sorted(found.items(), key=lambda item: list(SPLITS.values()).index(item[0])))


def _splits_in(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and _stem(path) in SPLITS and path.name.removesuffix(".gz").endswith(SUFFIXES):
            found.setdefault(SPLITS[_stem(path)], []).append(path)
    return found


def _stem(path: Path) -> str:
    """`train` of `train.csv.gz` and of `train-00000-of-00002.parquet`."""
    return re.sub(r"-\d+-of-\d+$", "", path.name.removesuffix(".gz").rsplit(".", 1)[0]).lower()


def _suffix(path: Path) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES or (suffix == ".parquet" and path.name.endswith(".gz")):
        raise DataError(f"{path}: the name must end in one of {', '.join(SUFFIXES)} (all but the last also with .gz)")
    return suffix


def read_files(paths: Sequence[Path], notes: list[str]) -> Dataset:
    """One table of the files of a split, held in memory; nothing is left on disk.

    Raises:
        DataError: if a file is empty or cannot be parsed.
    """
    import datasets

    tables = [_read(path, notes) for path in paths]
    if len(tables) == 1:
        return tables[0]
    try:
        return datasets.concatenate_datasets(tables)
    except (ValueError, TypeError) as error:
        raise DataError(f"{paths[0].parent}: the parts of {_stem(paths[0])} have different columns: {error}") from error


def _read(path: Path, notes: list[str]) -> Dataset:
    import datasets
    from datasets.exceptions import DatasetsError

    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty")
    try:
        with tempfile.TemporaryDirectory() as cache, _quiet():
            where: dict[str, Any] = {"cache_dir": cache, "keep_in_memory": True}
            if _suffix(path) == ".parquet":
                return cast("Dataset", datasets.Dataset.from_parquet(str(path), **where))
            encoding = _encoding(path, notes)
            if _suffix(path) in (".jsonl", ".json"):
                return cast("Dataset", datasets.Dataset.from_json(str(path), encoding=encoding, **where))
            form = _table_form(path, encoding)
            return cast("Dataset", datasets.Dataset.from_csv(str(path), encoding=encoding, **form, **where))
    except (OSError, ValueError, EOFError, csv.Error, DatasetsError, LookupError) as error:
        cause = error.__cause__ or error
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        if "corresponds to no data" in reason:  # how datasets says that a file has no row
            raise DataError(f"{path}: there are no rows") from error
        raise DataError(f"{path}: cannot be read as {_suffix(path)[1:].upper()}: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no logged error for a file read in a blink: the error is raised anyway."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    shown, verbosity = not are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            enable_progress_bars()


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _encoding(path: Path, notes: list[str]) -> str:
    """utf-8 (or utf-8-sig after a byte order mark) if the whole file is, else latin-1, which any bytes are."""
    with _open(path) as file:
        marked = file.read(3) == b"\xef\xbb\xbf"
    try:
        with _open(path) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
            for _ in lines:
                pass
    except UnicodeDecodeError:
        notes.append(f"{path.name}: not UTF-8, read as latin-1")
        return "latin-1"
    return "utf-8-sig" if marked else "utf-8"


def _table_form(path: Path, encoding: str) -> dict[str, Any]:
    """How `from_csv` has to read a table: every value as text, so that `null` and `007` stay what they are.

    Raises:
        DataError: if the header repeats a name or is narrower than the first row.
    """
    import datasets

    with _open(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as lines:
        sep = _separator(path, lines.readline())
    plain = sep == "\t" and _quotes_are_plain(path, encoding)
    quoting: Literal[0, 3] = 3 if plain else 0  # csv.QUOTE_NONE, csv.QUOTE_MINIMAL
    with _open(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as lines:
        table = csv.reader(lines, delimiter=sep, quoting=quoting)
        header = [name.strip() or f"column_{i}" for i, name in enumerate(next(table, []))]
        first = next((row for row in table if row), None)
    if first is None:
        raise DataError(f"{path}: there are no rows below the header")
    if len(set(header)) != len(header):
        raise DataError(f"{path}: the header has a name twice: {', '.join(header)}")
    if len(first) > len(header):
        raise DataError(f"{path}: the header has {len(header)} columns but the first row {len(first)}; quote the texts")
    features = datasets.Features({name: datasets.Value("string") for name in header})
    return {
        "sep": sep,
        "quoting": quoting,
        "names": header,
        "header": 0,
        "features": features,
        "keep_default_na": False,
    }


def _separator(path: Path, header: str) -> str:
    if _suffix(path) == ".tsv":
        return "\t"
    return max(",;\t", key=header.count)


def _quotes_are_plain(path: Path, encoding: str) -> bool:
    """Whether quotes in a TSV file are ordinary characters, as in GLUE: each line is a row, some unbalanced."""
    with _open(path) as file, io.TextIOWrapper(file, encoding=encoding) as lines:
        tabs, unbalanced = set(), False
        for line in lines:
            tabs.add(line.count("\t"))
            unbalanced = unbalanced or line.count('"') % 2 == 1
    return len(tabs) == 1 and unbalanced

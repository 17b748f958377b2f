"""Data sets from files, also inside packages: CSV, TSV, JSON (lines) and Parquet, as one file or a folder of splits."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import re
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from autocomp.encodings import decode
from autocomp.errors import DataError, MissingExtra, listed
from autocomp.tasks._base import TaskData
from autocomp.tasks._columns import Reading, read_tables
from autocomp.tasks._hub import tables_of
from autocomp.tasks._json import read_json
from autocomp.tasks._tables import PlainTable, Table, joined, read_delimited

if TYPE_CHECKING:
    from datasets import Dataset

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
SAVED_DICT, SAVED_TABLE = "dataset_dict.json", "state.json"
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
    positive: str | None = None,
    kind: str | None = None,
) -> TaskData:
    """Read a file, or a folder with `train` and, if it has them, `validation` (`dev`) and `test` files.

    CSV, TSV, JSON lines, JSON and Parquet; all but the last also gzipped. A split may be several files
    (`train-00000-of-00002.parquet`). A folder that `save_to_disk` of `datasets` wrote is read with its splits. Splits
    that are missing are cut from train. What is taken for granted of a file, such as an encoding that is not UTF-8, is
    noted.

    Args:
        path: the file or folder.
        text, pair, label: column names, where the usual ones do not serve.
        metric: name of the score; by default that of the kind, accuracy of one label.
        label_names: names of integer labels by value, or the order of named ones.
        max_length: longest input in tokens; None follows from the texts.
        positive: name of the label that metrics such as F1 are about.
        kind: what is asked of a model, a name of `autocomp.heads`; None follows from the label column.
        kind: what is asked of a model, a name of `autocomp.heads`; None follows from the label column.

    Raises:
        DataError: if there is nothing to read, or it cannot be read or used.
    """
    reading = Reading(
        text, pair, label, tuple(label_names) if label_names else None, metric, max_length, positive, kind
    )
    notes: list[str] = []
    saved = saved_splits(path)
    if saved:
        return read_tables(str(path), tables_of(str(path), saved, notes), reading, notes)
    files = split_files(path)
    tables: dict[str, Table] = {split: read_files(members, notes) for split, members in files.items()}
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
    splits = _splits_in(path) or _splits_in(path / "data")
    if "train" not in splits:
        present = listed(sorted(p.name for p in path.iterdir())) or "nothing"
        raise DataError(
            f"{path}: a folder needs a file called train with one of {', '.join(SUFFIXES)} (or .gz of these); "
            f"it has {present}; or give one file instead of the folder"
        )
    for split, members in splits.items():
        if len({(_stem(p), _suffix(p)) for p in members}) > 1:
            raise DataError(f"{path}: several files for {split}, keep one of {listed(p.name for p in members)}")
    return dict(sorted(splits.items(), key=lambda item: list(SPLITS.values()).index(item[0])))


def _splits_in(folder: Path) -> dict[str, list[Path]]:
    splits: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and _stem(path) in SPLITS and path.name.removesuffix(".gz").endswith(SUFFIXES):
            splits.setdefault(SPLITS[_stem(path)], []).append(path)
    return splits


def _stem(path: Path) -> str:
    """`train` of `train.csv.gz` and of `train-00000-of-00002.parquet`."""
    return re.sub(r"-\d+-of-\d+$", "", path.name.removesuffix(".gz").rsplit(".", 1)[0]).lower()


def _suffix(path: Path) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES or (suffix == ".parquet" and path.name.endswith(".gz")):
        raise DataError(f"{path}: the name must end in one of {', '.join(SUFFIXES)} (all but the last also with .gz)")
    return suffix


def read_files(paths: Sequence[Path], notes: list[str]) -> Table:
    """One table of the files of a split, held in memory; nothing is left on disk.

    Raises:
        DataError: if a file is empty or cannot be parsed.
    """
    place = f"{paths[0].parent}: {_stem(paths[0])}"
    if _suffix(paths[0]) != ".parquet":
        tables = [_read_text(path, notes) for path in paths]
        return tables[0] if len(tables) == 1 else joined(tables, place)
    import datasets

    parts = [_read_parquet(path) for path in paths]
    try:
        table: Table = parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
    except (ValueError, TypeError) as error:
        raise DataError(f"{place}: the parts have different columns: {_first_line(error)}") from error
    return table


def _read_text(path: Path, notes: list[str]) -> PlainTable:
    """A CSV, TSV, JSON or JSON lines file; what was taken for granted is added to `notes`."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as {_suffix(path)[1:].upper()}: {_first_line(error)}") from error
    if not data:
        raise DataError(f"{path}: the file is empty")
    text, note = decode(data, str(path))
    notes += [f"{path.name}: {note}"] * bool(note)
    remarks: list[str] = []
    if _suffix(path) in (".json", ".jsonl"):
        table = read_json(text, str(path), remarks)
    else:
        table = read_delimited(text, str(path), _suffix(path) == ".tsv", remarks)
    notes += [f"{path.name}: {note}" for note in remarks]
    return table


def _read_parquet(path: Path) -> Dataset:
    import datasets
    from datasets.exceptions import DatasetsError

    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty")
    try:
        with tempfile.TemporaryDirectory() as cache, _quiet():
            return cast("Dataset", datasets.Dataset.from_parquet(str(path), cache_dir=cache, keep_in_memory=True))
    except (OSError, ValueError, DatasetsError, LookupError) as error:
        if "corresponds to no data" in str(error.__cause__ or error):  # how datasets says that a file has no row
            raise DataError(f"{path}: there are no rows") from error
        raise DataError(f"{path}: cannot be read as PARQUET: {_first_line(error.__cause__ or error)}") from error


def saved_splits(path: Path) -> dict[str, Dataset] | None:
    """Tables of a folder that `save_to_disk` of `datasets` wrote, by split; one without splits is `train`.

    Returns:
        None for any other path.

    Raises:
        DataError: such a folder cannot be opened.
    """
    import datasets

    if not any((path / name).is_file() for name in (SAVED_DICT, SAVED_TABLE)):
        parts = [p for p in path.iterdir() if (p / SAVED_TABLE).is_file()] if path.is_dir() else []
        return {part.name: saved for part in sorted(parts) for saved in (saved_splits(part) or {}).values()} or None
    try:
        loaded = datasets.load_from_disk(str(path), keep_in_memory=True)
    except Exception as error:  # what a damaged Arrow file raises is no tree of errors
        raise DataError(f"{path}: `save_to_disk` wrote it, but it cannot be opened: {_first_line(error)}") from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def package_path(package: str, inside: str, extra: str, what: str) -> Path:
    """Path of a file or folder in an installed package; none of the package's code runs.

    Raises:
        MissingExtra: if the package is not installed; carries the pip line of `extra`.
        DataError: if it is, but lacks the file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(extra, f"{what} reads its data from the package {package}, which is not installed; it")
    path = Path(spec.submodule_search_locations[0], inside)
    if not path.exists():
        raise DataError(f"{what}: {path} does not exist in this version of {package}; reinstall 'autocomp[{extra}]'")
    return path


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 200 else f"{lines[0][:200]}…"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no logged error for a file read in a blink: the error is raised anyway."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    had_bars, verbosity = not are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            enable_progress_bars()

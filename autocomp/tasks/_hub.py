"""Data sets from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.errors import DataError, listed
from autocomp.tasks._base import TaskData
from autocomp.tasks._columns import Reading, read_tables
from autocomp.tasks._tables import Table

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

# benchmarks that are called by their own name, with the part after the slash
BENCHMARKS = {"glue": "nyu-mll/glue", "super_glue": "aps/super_glue", "tweet_eval": "cardiffnlp/tweet_eval"}
METRICS = {"nyu-mll/glue:cola": "matthews", "nyu-mll/glue:mrpc": "f1", "nyu-mll/glue:qqp": "f1"}
SPLITS = {
    "train": ("train",),
    "search": ("validation", "validation_matched", "dev", "valid", "val"),
    "held_out": ("test", "test_matched"),
}


def load_hub(
    name: str,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    metric: str | None = None,
    label_names: Sequence[str] | None = None,
    max_length: int | None = None,
    positive: str | None = None,
    kind: str | None = None,
    cache_dir: Path | None = None,
) -> TaskData:
    """Load a data set of the hub: `glue/sst2`, `owner/name`, `owner/name:part`.

    `validation` becomes the search split and `test` the held-out one; a test split without labels counts as missing.
    No code of the data set runs.

    Args:
        name: the id.
        text, pair, label: column names, where the usual ones do not serve.
        metric: name of the score; GLUE's own for cola, mrpc and qqp, else that of the kind.
        label_names: names of integer labels by value, or the order of named ones.
        max_length: longest input in tokens; None follows from the texts.
        positive: name of the label that metrics such as F1 are about.
        kind: what is asked of a model, a name of `autocomp.heads`; None follows from the label column.
        kind: what is asked of a model, a name of `autocomp.heads`; None follows from the label column.
        cache_dir: where downloads are kept; the hub library's own place by default.

    Raises:
        DataError: if it cannot be downloaded, has no train split, or cannot be used.
    """
    repository, part = parse_id(name)
    reading = Reading(
        text,
        pair,
        label,
        tuple(label_names) if label_names else None,
        metric or METRICS.get(f"{repository}:{part}"),
        max_length,
        positive,
        kind,
    )
    splits = _download(name, repository, part, cache_dir)
    notes: list[str] = []
    return read_tables(name, tables_of(name, splits, notes), reading, notes)


def tables_of(name: str, splits: Mapping[str, Dataset], notes: list[str]) -> dict[str, Table]:
    """The tables that a task reads of the splits of a data set; splits that are not read are noted.

    Raises:
        DataError: there is no train split.
    """
    read = {split: next((name for name in names if name in splits), None) for split, names in SPLITS.items()}
    if read["train"] is None:
        raise DataError(f"{name}: it needs a split called train, it has {listed(splits)}")
    left = [split for split in splits if split not in read.values()]
    notes += [f"splits that are not read: {listed(left)}"] * bool(left)
    return {split: splits[name] for split, name in read.items() if name is not None}


def parse_id(name: str) -> tuple[str, str | None]:
    """Repository and part of an id: `glue/sst2` is the part `sst2` of `nyu-mll/glue`."""
    repository, _, part = name.partition(":")
    owner, _, rest = repository.partition("/")
    if owner in BENCHMARKS and not part:
        return BENCHMARKS[owner], rest
    return repository, part or None


def _download(name: str, repository: str, part: str | None, cache_dir: Path | None) -> DatasetDict:
    import datasets
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    cache = None if cache_dir is None else str(cache_dir)
    unreachable = (OSError, DatasetsError, HfHubHTTPError, OfflineModeIsEnabled)
    try:
        return datasets.load_dataset(repository, part, cache_dir=cache)
    except (*unreachable, HFValidationError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]
        raise DataError(
            f"{name}: cannot be loaded from the Hugging Face hub: {reason}. If this machine has no network, "
            f"download it elsewhere and give the folder (--task FOLDER with train, validation and test files); "
            "a part is chosen as owner/name:part"
        ) from error

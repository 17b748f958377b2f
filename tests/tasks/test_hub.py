"""Hub data sets, through the same `load_dataset` on local folders, and what happens without a network."""

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from autocomp.errors import DataError
from autocomp.tasks._hub import load_hub, parse_id

FEATURES = datasets.Features(
    {
        "sentence": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["negative", "positive"]),
        "idx": datasets.Value("int32"),
    }
)


def save(path, **splits):
    for split, (count, hidden) in splits.items():
        labels = [-1 if hidden else i % 2 for i in range(count)]
        texts = [f"{split} {i}" for i in range(count)]
        table = datasets.Dataset.from_dict(
            {"sentence": texts, "label": labels, "idx": list(range(count))}, features=FEATURES
        )
        table.to_parquet(str(path / f"{split}.parquet"))
    return str(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("glue/sst2", ("nyu-mll/glue", "sst2")),
        ("nyu-mll/glue:sst2", ("nyu-mll/glue", "sst2")),
        ("stanfordnlp/imdb", ("stanfordnlp/imdb", None)),
    ],
)
def test_ids(name, expected):
    assert parse_id(name) == expected


def test_hidden_test_labels_count_as_no_test_split(tmp_path):
    name = save(tmp_path, train=(60, False), validation=(10, False), test=(12, True))
    task = load_hub(name, cache_dir=tmp_path / "cache")
    assert task.labels == ("negative", "positive")
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [54, 10, 6]
    assert "held_out: ignored, its 12 rows have no labels" in task.notes
    assert all(row.target == int(row.text.split()[1]) % 2 for row in task.train)


def test_a_test_split_with_labels_is_held_out(tmp_path):
    name = save(tmp_path, train=(60, False), validation=(10, False), test=(12, False))
    task = load_hub(name, metric="f1", cache_dir=tmp_path / "cache")
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [60, 10, 12]
    assert task.metric == "f1"


def test_a_data_set_without_train_is_refused(tmp_path):
    with pytest.raises(DataError, match="it needs a split called train, it has test"):
        load_hub(save(tmp_path, test=(12, False)), cache_dir=tmp_path / "cache")


def test_an_unknown_part_is_refused(tmp_path):
    name = save(tmp_path, train=(60, False))
    with pytest.raises(DataError, match=r"cannot be loaded from the Hugging Face hub: .*nopart"):
        load_hub(f"{name}:nopart", cache_dir=tmp_path / "cache")


def test_a_glue_task_has_its_own_metric(tmp_path, monkeypatch):
    name = save(tmp_path, train=(60, False), validation=(10, False))
    local = datasets.load_dataset(name, cache_dir=str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: local)
    assert load_hub("glue/cola").metric == "matthews"
    assert load_hub("glue/sst2").metric == "accuracy"
    assert load_hub("glue/cola", metric="f1").metric == "f1"


def test_without_a_network_the_message_says_the_way_out(tmp_path):
    code = """
import sys
from autocomp.errors import DataError
from autocomp.tasks import resolve_task
try:
    resolve_task("glue/sst2")
except DataError as error:
    sys.exit(f"DataError: {error}")
"""
    env = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "DataError: glue/sst2: cannot be loaded from the Hugging Face hub: " in done.stderr
    assert "download it elsewhere and give the folder (--task FOLDER" in done.stderr

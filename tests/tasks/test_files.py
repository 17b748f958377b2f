"""Every file format and every way in which files can be unusable."""

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pandas
import pytest

from autocomp.errors import DataError, UnknownName
from autocomp.tasks._files import load_files, split_files

SIZES = {"train": 24, "validation": 6, "test": 8}


def records(split="train", size=None):
    named = ("bad", "good")
    count = size or SIZES[split]
    return [{"text": f'{split} {i}, "it" is\u00e9 null', "label": named[i % 2]} for i in range(count)]


def write(path, rows):
    """Write rows in the format that the name says."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        datasets.Dataset.from_list(rows).to_parquet(str(path))
        return path
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if name.endswith(".json"):
            json.dump(rows, file)
        elif name.endswith(".jsonl"):
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            table = csv.DictWriter(file, list(rows[0]), delimiter="\t" if name.endswith(".tsv") else ",")
            table.writeheader()
            table.writerows(rows)
    return path


def folder(path, ending="jsonl", **splits):
    for split, rows in (splits or {split: records(split) for split in SIZES}).items():
        write(path / f"{split}.{ending}", rows)
    return path


def lines(path, *texts, encoding="utf-8"):
    path.write_bytes("\n".join(texts).encode(encoding) + b"\n")
    return path


@pytest.mark.parametrize(
    "ending", ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "json", "json.gz", "parquet"]
)
def test_every_format_gives_the_same_task(tmp_path, ending):
    task = load_files(folder(tmp_path, ending))
    assert task.labels == ("bad", "good")
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [24, 6, 8]
    assert "rows read: train 24, search 6, held_out 8" in task.notes
    assert task.train[1] == ('train 1, "it" is\u00e9 null', None, 1)
    assert (task.metric, task.max_length, task.pairs) == ("accuracy", None, False)
    reference = tmp_path / "reference"
    reference.mkdir()
    assert task.fingerprint == load_files(folder(reference)).fingerprint


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json.gz", "parquet"])
def test_a_single_file_is_cut_into_splits(tmp_path, ending):
    task = load_files(write(tmp_path / f"reviews.{ending}", records(size=40)))
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [32, 4, 4]
    assert any("search: cut from train" in note for note in task.notes)


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_the_search_split_has_several_names(tmp_path, name):
    assert split_files(folder(tmp_path, train=records(), **{name: records()}))["search"][0].stem == name


def test_a_folder_may_lack_test_and_be_in_shards_under_data(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train-00000-of-00002.parquet", records(size=20))
    write(tmp_path / "data" / "train-00001-of-00002.parquet", records(size=40)[20:])
    write(tmp_path / "data" / "validation-00000-of-00001.parquet", records("validation"))
    (tmp_path / "README.md").write_text("about")
    task = load_files(tmp_path)
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [36, 6, 4]


def test_class_label_names_in_parquet_are_kept(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["zebra", "ant"])}
    )
    rows = {"text": [f"row {i}" for i in range(30)], "label": [i % 2 for i in range(29)] + [-1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    task = load_files(tmp_path / "a.parquet")
    assert task.labels == ("zebra", "ant")
    assert all(row.target == int(row.text.split()[1]) % 2 for row in task.train)
    assert "train: 1 rows without label dropped" in task.notes
    assert load_files(tmp_path / "a.parquet", label_names=["Z", "A"]).labels == ("Z", "A")


@pytest.mark.parametrize(
    ("first", "second"),
    [("sentence1", "sentence2"), ("text_a", "text_b"), ("Premise", "Hypothesis"), ("question", "sentence")],
)
def test_pairs_are_recognised(tmp_path, first, second):
    rows = [{second: f"second {i}", first: f"first {i}", "Label": i % 2} for i in range(30)]
    task = load_files(write(tmp_path / "a.jsonl", rows))
    assert task.pairs
    assert (task.train[0].text, task.train[0].pair) == ("first 0", "second 0")


def test_named_columns_win(tmp_path):
    rows = [{"text": "same", "body": f"body {i}", "why": f"why {i}", "label": 0, "y": "ab"[i % 2]} for i in range(30)]
    path = write(tmp_path / "a.csv", rows)
    task = load_files(path, text="body", pair="why", label="y", metric="f1", max_length=32)
    assert (task.train[0], task.labels) == (("body 0", "why 0", 0), ("a", "b"))
    assert (task.metric, task.max_length) == ("f1", 32)
    assert "columns: text = 'body', pair = 'why', label = 'y'" in task.notes
    assert not load_files(path, text="body", label="y").pairs


@pytest.mark.parametrize("column", ["label", "labels", "sentiment", "class", "Category", "target"])
def test_label_columns_have_several_names(tmp_path, column):
    rows = [{"sentence": f"s {i}", column: i % 3} for i in range(60)]
    assert load_files(write(tmp_path / "a.csv", rows)).labels == ("0", "1", "2")


def test_integer_labels_sort_as_numbers_and_take_names(tmp_path):
    rows = [{"text": f"t {i}", "label": i % 11} for i in range(220)]
    for name in ("a.csv", "a.jsonl"):
        assert load_files(write(tmp_path / name, rows)).labels == tuple(map(str, range(11)))
    from_one = write(tmp_path / "b.csv", [{"text": f"t {i}", "label": i % 2 + 1} for i in range(30)])
    task = load_files(from_one, label_names=("no", "yes"))
    assert task.labels == ("no", "yes")
    assert task.train[1] == ("t 1", None, 1)


def test_given_names_order_named_labels(tmp_path):
    task = load_files(write(tmp_path / "a.csv", records(size=30)), label_names=["good", "bad"])
    assert (task.labels, task.train[0].target) == (("good", "bad"), 1)


def test_booleans_and_whole_floats_are_labels(tmp_path):
    rows = [{"text": f"t {i}", "label": i % 2 == 1} for i in range(30)]
    assert load_files(write(tmp_path / "a.jsonl", rows)).labels == ("false", "true")
    rows = [{"text": f"t {i}", "label": float(i % 2)} for i in range(30)]
    assert load_files(write(tmp_path / "b.parquet", rows)).labels == ("0", "1")


def test_words_that_pandas_takes_for_nothing_are_texts_and_labels(tmp_path):
    rows = [f"{word} {i},{label}" for i in range(12) for word, label in (("NA", "None"), ("x", "nan"))]
    task = load_files(lines(tmp_path / "a.csv", "text,label", "null,None", *rows))
    assert task.labels == ("None", "nan")
    assert "null" in {row.text for row in (*task.train, *task.search, *task.held_out)}


def test_rows_without_text_or_label_are_dropped_and_counted(tmp_path):
    rows = [*records(), {"text": None, "label": "bad"}, {"text": "  ", "label": "bad"}, {"text": "x", "label": None}]
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        task = load_files(write(tmp_path / name, rows))
        assert len(task.train) + len(task.search) + len(task.held_out) == 24
        assert "train: 2 rows without text dropped" in task.notes
        assert "train: 1 rows without label dropped" in task.notes


def test_a_test_split_without_labels_counts_as_missing(tmp_path):
    hidden = [{"text": f"hidden {i}", "label": -1} for i in range(9)]
    seen = [{"text": f"seen {i}", "label": i % 2} for i in range(40)]
    task = load_files(folder(tmp_path, "csv", train=seen, test=hidden))
    assert "held_out: ignored, its 9 rows have no labels" in task.notes
    assert not any("hidden" in row.text for row in task.held_out)


def test_minus_one_is_a_label_where_train_has_it(tmp_path):
    rows = [{"text": f"t {i}", "label": i % 3 - 1} for i in range(60)]
    task = load_files(folder(tmp_path, "csv", train=rows, test=[{"text": f"h {i}", "label": -1} for i in range(3)]))
    assert task.labels == ("-1", "0", "1")
    assert [row.target for row in task.held_out] == [0, 0, 0]


def test_latin_1_is_read_and_said_and_a_byte_order_mark_is_no_text(tmp_path):
    rows = [f"caf\u00e9 {i},{i % 2}" for i in range(30)]
    task = load_files(lines(tmp_path / "a.csv", "text,label", *rows, encoding="latin-1"))
    assert task.train[0].text == "caf\u00e9 0"
    assert "a.csv: not UTF-8, read as cp1252" in " ".join(task.notes)
    task = load_files(lines(tmp_path / "b.csv", "text,label", *rows, encoding="utf-8-sig"))
    assert task.train[0].text == "caf\u00e9 0"
    jsonl = [json.dumps({"text": f"caf\u00e9 {i}", "label": i % 2}, ensure_ascii=False) for i in range(30)]
    for encoding in ("latin-1", "utf-8-sig"):
        assert load_files(lines(tmp_path / "c.jsonl", *jsonl, encoding=encoding)).train[0].text == "caf\u00e9 0"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "csv.gz", "jsonl.gz"])
def test_every_text_format_in_every_encoding(tmp_path, ending, codec):
    path = write(tmp_path / f"a.{ending}", records(size=30))
    opener = gzip.open if ending.endswith("gz") else open
    with opener(path, "rb") as file:
        data = file.read().decode()
    with opener(path, "wb") as file:
        file.write(data.encode(codec))
    task = load_files(path)
    assert task.labels == ("bad", "good")
    assert {*task.train, *task.search, *task.held_out} == {
        (r["text"], None, r["label"] == "good") for r in records(size=30)
    }
    assert any("read as UTF" in note for note in task.notes) == (codec != "utf-8-sig")


def test_nul_and_half_characters_are_told(tmp_path):
    rows = [{"text": f"t {i}" + ("\0" if i == 3 else "\ud83d" if i == 4 else ""), "label": i % 2} for i in range(30)]
    task = load_files(write(tmp_path / "a.jsonl", rows))
    assert "train: 2 texts of 'text' hold NUL or half characters, which are read as U+FFFD" in task.notes
    assert {"t 3\ufffd", "t 4\ufffd"} < {row.text for row in (*task.train, *task.search, *task.held_out)}
    rows = [{"text": "\u200b" if i == 3 else f"t {i}", "label": i % 2} for i in range(30)]
    assert "train: 1 rows without text dropped" in load_files(write(tmp_path / "b.jsonl", rows)).notes


def dictionary(name, kind, nullable=False):
    rows = [
        {"text": f"t {i}", "label": (i % 3 != 2 if kind == "bool" else f"l{i % 3}" if kind == "str" else i % 3)}
        for i in range(60)
    ]
    frame = pandas.DataFrame(rows)
    if nullable:
        frame["label"] = frame["label"].astype({"int": "Int64", "bool": "boolean", "str": "string"}[kind])
        frame.loc[5, "label"] = pandas.NA
    frame.astype({"label": "category", "text": "category"}).to_parquet(name)


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize(
    ("kind", "labels"), [("str", ("l0", "l1", "l2")), ("int", ("0", "1", "2")), ("bool", ("false", "true"))]
)
def test_pandas_categories_in_parquet(tmp_path, kind, labels, nullable):
    dictionary(tmp_path / "a.parquet", kind, nullable)
    task = load_files(tmp_path / "a.parquet")
    assert task.labels == labels
    found = [(int(row.text.split()[1]), row.target) for row in (*task.train, *task.search, *task.held_out)]
    assert len(found) == 60 - nullable
    assert all(label == (i % 3 != 2 if kind == "bool" else i % 3) for i, label in found)


def saved(path, splits):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["spam", "ham"])}
    )
    made = {
        split: datasets.Dataset.from_dict(
            {"text": [f"{split} {i}" for i in range(count)], "label": [i % 2 for i in range(count)]}, features=features
        )
        for split, count in splits.items()
    }
    (datasets.DatasetDict(made) if len(made) > 1 else made["train"]).save_to_disk(path)
    return path


def test_folders_of_save_to_disk(tmp_path):
    task = load_files(saved(tmp_path / "dict", {"train": 40, "validation": 10, "test": 12, "unsupervised": 9}))
    assert task.labels == ("spam", "ham")
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [40, 10, 12]
    assert "splits that are not read: unsupervised" in task.notes
    assert all(row.target == int(row.text.split()[1]) % 2 for row in task.train)
    task = load_files(saved(tmp_path / "single", {"train": 40}))
    assert [len(s) for s in (task.train, task.search, task.held_out)] == [32, 4, 4]
    (tmp_path / "single").rename(tmp_path / "dict" / "loose")
    (tmp_path / "dict" / "dataset_dict.json").unlink()
    assert len(load_files(tmp_path / "dict").held_out) == 12
    (tmp_path / "dict" / "train" / "data-00000-of-00001.arrow").write_bytes(b"damaged")
    with pytest.raises(DataError, match="train: `save_to_disk` wrote it, but it cannot be opened"):
        load_files(tmp_path / "dict")


def test_semicolons_blank_header_cells_and_spaces_in_the_header(tmp_path):
    rows = [f"{i};one, two {i};{i % 2}" for i in range(30)]
    assert load_files(lines(tmp_path / "a.csv", ";text; label", *rows)).train[0].text == "one, two 0"


def test_unbalanced_quotes_in_a_tsv_are_characters(tmp_path):
    rows = ['"open\t0', 'an inch is 1"\t1', *(f"t {i}\t{i % 2}" for i in range(28))]
    task = load_files(lines(tmp_path / "a.tsv", "text\tlabel", *rows))
    found = {row.text for row in (*task.train, *task.search, *task.held_out)}
    assert {'"open', 'an inch is 1"'} < found
    assert len(found) == 30


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv: the file is empty"),
        ("a.csv", b"text,label\n", "there are no rows below the header"),
        ("a.jsonl", b"\n", r"a\.jsonl: there are no rows"),
        ("a.csv", b"text,label\na,0.5\nb,1.0\n", "2 rows are too few to cut held_out and search from"),
        ("a.csv", b"\n", "there are no rows below the header"),
        ("a.csv", b"text,label\na,b,c\n", "the header has 2 columns but the row that ends in line 2 has 3; quote"),
        ("a.csv", b"text,label\na,b\nc,d,e\n", "the header has 2 columns but the row that ends in line 3 has 3; quote"),
        ("a.csv", b"text,label,text\na,b,c\n", "the header has a name twice: text; the columns are text, label, text"),
        ("a.jsonl", b'{"text": "a", "label": ', r"a\.jsonl: cannot be read as JSON: .* in line 1"),
        ("a.parquet", b"not parquet at all", r"a\.parquet: cannot be read as PARQUET"),
        ("a.csv.gz", b"text,label\n", r"a\.csv\.gz: cannot be read as CSV: Not a gzipped file"),
        ("a.txt", b"hello", r"a\.txt: the name must end in one of \.csv, \.tsv"),
        ("a.parquet.gz", b"hello", r"a\.parquet\.gz: the name must end in one of"),
    ],
)
def test_unreadable_files_are_named_with_the_reason(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_files(tmp_path / name)


def test_a_truncated_gzip_file_is_unreadable(tmp_path):
    path = write(tmp_path / "a.csv.gz", records(size=400))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"a\.csv\.gz: cannot be read as CSV"):
        load_files(path)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (records(), {"text": "body"}, "no column 'body' for text; the columns are text, label"),
        (records(), {"pair": "other"}, "no column 'other' for pair; the columns are text, label"),
        (records(), {"label": "y"}, "no column 'y' for label; the columns are text, label"),
        (records(), {"text": "label"}, "text 'label', pair None and label 'label' must be different"),
        ([{"a": "x", "label": "b"}], {}, "cannot tell which column is the text; the columns are a, label"),
        ([{"text": "x", "b": "b"}], {}, "cannot tell which column is the label; the columns are text, b"),
        ([{"text": f"t {i}", "label": "a"} for i in range(20)], {}, "train has a single label, 'a'"),
        ([{"text": None, "label": "a"}] * 3, {}, "every text is empty in column 'text'"),
        ([{"text": "t", "label": None}] * 3, {}, "no row of train has a label in column 'label'"),
        ([{"text": 5, "label": "a"}] * 3, {}, r"column 'text' must hold text, got 5 \(int\)"),
        ([{"text": ["a", "b"], "label": "a"}] * 3, {}, r"column 'text' must hold text, got \['a', 'b'\] \(list\)"),
        (
            [{"text": "a", "label": ["a", "b"]}] * 3,
            {"kind": "classification"},
            r"column 'label' holds several labels a row, such as \['a', 'b'\]",
        ),
        (
            [{"text": "a", "label": 2.5}, {"text": "b", "label": 1.0}],
            {"kind": "classification"},
            r"got 2.5 \(a score\? --kind regression learns the number\)",
        ),
        (
            [{"text": "a", "label": 1}, {"text": "b", "label": "x"}],
            {},
            "must be of one type in every split, got int and str in train",
        ),
        ([{"text": f"t {i}", "label": f"l {i}"} for i in range(1001)], {}, "holds 1001 different values"),
        (records(), {"label_names": ["bad", "fine"]}, "label_names bad, fine do not fit the labels of train, bad"),
        (records(), {"label_names": ["bad", "bad"]}, "label_names must differ from each other"),
    ],
)
def test_unusable_columns_and_values_are_named(tmp_path, rows, options, message):
    with pytest.raises(DataError, match=message):
        load_files(write(tmp_path / "a.jsonl", rows), **options)


def test_class_labels_refuse_a_wrong_number_of_names(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"text": [f"row {i}" for i in range(30)], "label": [i % 2 for i in range(30)]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    with pytest.raises(DataError, match="label_names must be 2 names, got 1"):
        load_files(tmp_path / "a.parquet", label_names=["a"])


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": records(), "test": [{"text": "x", "label": "ugly"}]}, "label 'ugly' .* does not occur in train"),
        ({"train": records(), "test": [{"text": "x", "label": 1}]}, "got str in train; int in held_out"),
        ({"train": records(), "test": [{"body": "x", "label": "bad"}]}, "held_out: no column 'text'; .* body, label"),
        ({"test": records()}, r"a folder needs a file called train .* it has test\.jsonl"),
    ],
)
def test_splits_that_do_not_fit_are_named(tmp_path, splits, message):
    with pytest.raises(DataError, match=message):
        load_files(folder(tmp_path, **splits))


def test_two_files_for_one_split_are_refused(tmp_path):
    folder(tmp_path)
    write(tmp_path / "train.csv", records())
    with pytest.raises(DataError, match=r"several files for train, keep one of train\.csv, train\.jsonl"):
        load_files(tmp_path)
    (tmp_path / "train.csv").unlink()
    write(tmp_path / "dev.jsonl", records())
    with pytest.raises(DataError, match=r"several files for search, keep one of dev\.jsonl, validation\.jsonl"):
        load_files(tmp_path)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        load_files(tmp_path / "nowhere")
    with pytest.raises(DataError, match="it has nothing"):
        load_files(tmp_path)


def test_an_unknown_metric_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="no metric 'bleu'"):
        load_files(folder(tmp_path), metric="bleu")


def test_nothing_is_left_behind_at_home_or_in_the_temporary_folder(tmp_path):
    home, scratch, data = tmp_path / "home", tmp_path / "tmp", tmp_path / "data"
    for made in (home, scratch, data):
        made.mkdir()
    folder(data, "csv.gz")
    code = "import sys, pathlib; from autocomp.tasks import resolve_task; resolve_task(sys.argv[1])"
    root = str(Path(__file__).parents[2])
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    env |= {"HOME": str(home), "TMPDIR": str(scratch), "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code, str(data)], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [*home.rglob("*"), *scratch.rglob("*")] == []

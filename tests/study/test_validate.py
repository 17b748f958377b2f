"""Checking a study before it starts, and how many tokens it keeps of a text."""

import json
from dataclasses import replace

import numpy as np
import pytest

from autocomp.models.loading import load_teacher
from autocomp.pipeline.teacher import as_student
from autocomp.spec import StudySpec
from autocomp.study.validate import (
    check,
    count_tokens,
    cut_note,
    length_for,
    texts_of_task,
    with_absolute_paths,
    with_length,
)
from autocomp.tasks import Example, TaskData
from autocomp.testing.models import wordpiece_tokenizer
from autocomp.testing.studies import write_bert


@pytest.mark.parametrize(
    ("longest", "most", "expected"),
    [
        (3, 512, 128),
        (128, 512, 128),
        (129, 512, 192),
        (153, 512, 192),
        (154, 512, 256),
        (300, 512, 384),
        (500, 512, 512),
        (5000, 512, 512),
        (3, 64, 64),
        (5000, 8192, 6272),
    ],
)
def test_the_length_is_that_of_the_longest_text_with_room_for_smaller_vocabularies(longest, most, expected):
    assert length_for(longest, most) == expected


def test_tokens_are_counted_as_they_are_with_nothing_cut():
    tokenizer, texts = wordpiece_tokenizer(300), ["good", "a good film", ("a good film", "bad")] * 2000
    assert count_tokens(tokenizer, texts).tolist() == [3, 5, 7] * 2000


def test_what_is_kept_and_cut_is_said():
    counts = np.array([10] * 96 + [200] * 4)
    assert cut_note(counts, 256, "right", True) == "longest text 200 tokens; inputs are kept up to 256, so none is cut"
    assert cut_note(counts, 128, "right", True) == (
        "longest text 200 tokens; inputs are kept up to 128: 4 of 100 texts (4.0%) are longer and lose their end; "
        "a larger --max-length keeps more"
    )
    assert cut_note(counts, 128, "left", False).endswith("lose their beginning; the model takes no more")
    many = np.array([10] * 94 + [2000] * 6)
    assert cut_note(many, 128, "right", True).startswith("WARNING: longest text 2,000 tokens; ")


def words(n):
    return " ".join(["film"] * n)


@pytest.fixture
def folder(tmp_path):
    """A BERT of 300 positions, and texts of at most 160 tokens."""
    write_bert(tmp_path / "bert", max_position_embeddings=300)
    rows = [f"{words(1 + i)} number{i},{'good' if i % 2 else 'bad'}" for i in range(60)]
    rows += [f"{words(157)} long{i},{'good' if i % 2 else 'bad'}" for i in range(2)]
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return tmp_path


@pytest.fixture
def checked(folder, monkeypatch):
    """`checked(**task)`: a study of these texts, looked at."""
    monkeypatch.setenv("AUTOCOMP_CACHE", str(folder / "cache"))

    def look(**task):
        return check(StudySpec(model=str(folder / "bert"), task={"source": str(folder / "data.csv"), **task}))

    return look


def longest_text(checked):
    return int(count_tokens(checked.loaded.student.tokenizer, texts_of_task(checked.data)).max())


def test_a_new_head_begins_at_what_the_labels_or_numbers_are_by_themselves(folder, checked):
    rows = [{"text": f"a film {i}", "held": ["x"] * (i % 4 == 0) + ["y"] * (i % 2), "score": i / 8} for i in range(80)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = str(folder / "rows.jsonl")
    made = checked(source=source, label="held")
    share = made.data.targets("train").mean(0)
    bias = made.loaded.student.encoder.head.classifier.bias.detach().numpy()
    assert np.abs(1 / (1 + np.exp(-bias)) - share).max() < 0.02 and 0.2 < share[0] < 0.3
    made = checked(source=source, label="score")
    head, numbers = made.loaded.student.encoder.shape.head, made.data.targets("train")
    assert (head.scale, head.offset) == pytest.approx((numbers.std(), numbers.mean()))
    assert checked().loaded.student.encoder.head.classifier.bias.abs().max() == 0


def test_a_study_keeps_its_longest_text(checked):
    found = checked()
    longest = longest_text(found)
    assert longest > 160 and found.data.max_length == length_for(longest, 300) == 256
    assert found.loaded.student.max_length == 256
    assert found.data.notes[-1] == f"longest text {longest} tokens; inputs are kept up to 256, so none is cut"
    assert as_student(found.loaded.student).encoder.shape.positions == 256


def test_a_length_that_is_given_holds_and_says_what_it_cuts(checked):
    found, all_of_it = checked(max_length=64), checked(max_length=200)
    assert (found.data.max_length, found.loaded.student.max_length) == (64, 64)
    assert found.data.notes[-1] == (
        f"WARNING: longest text {longest_text(found)} tokens; inputs are kept up to 64: "
        "7 of 62 texts (11.3%) are longer and lose their end; a larger --max-length keeps more"
    )
    assert all_of_it.data.notes[-1].endswith("kept up to 200, so none is cut")
    assert found.data.fingerprint != all_of_it.data.fingerprint


def test_more_than_the_model_takes_is_lowered_with_a_word(checked):
    found = checked(max_length=4096)
    assert found.data.max_length == found.loaded.student.max_length == 300
    assert (
        "max_length 4096 is more than the 300 tokens that the model takes (positions, or model_max_length)"
        in found.data.notes
    )


def test_short_texts_keep_128_tokens(tmp_path):
    write_bert(tmp_path / "bert", max_position_embeddings=300)
    loaded = load_teacher(str(tmp_path / "bert"), ["a", "b"])
    rows = tuple(Example(words(n), None, n % 2) for n in (3, 4, 110))
    data = TaskData("t", ("a", "b"), "accuracy", rows, rows, rows)
    settled, found = with_length(loaded, data, texts_of_task(data))
    assert found.max_length == settled.student.max_length == 128 and loaded.student.max_length == 300
    pairs = replace(data, train=tuple(row._replace(pair=words(60)) for row in rows), search=(), held_out=())
    assert with_length(loaded, pairs, texts_of_task(pairs))[1].max_length == 256


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model", "data", "demo", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "space.yaml").write_text("techniques: {depth: {}}")
    spec = StudySpec(model="model", task={"source": "data"}, space="space.yaml", include=("mine",))
    found = with_absolute_paths(spec)
    assert (found.model, found.task.source) == (str(tmp_path / "model"), str(tmp_path / "data"))
    assert (found.space, found.include) == (str(tmp_path / "space.yaml"), (str(tmp_path / "mine"),))
    assert (found.device, found.objectives) == (spec.device, spec.objectives)


def test_a_registered_task_wins_over_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tweets").mkdir()
    spec = StudySpec(model="a/b", task={"source": "tweets"})
    assert with_absolute_paths(spec).task.source == "tweets"
    assert with_absolute_paths(spec).model == "a/b"

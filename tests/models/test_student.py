from dataclasses import replace

import pytest
import torch

from autocomp.errors import ModelError
from autocomp.formats import WeightFormat
from autocomp.models.student import fingerprint, load_student, save_student
from autocomp.testing.models import random_student, tiny_shape, wordpiece_tokenizer


def test_a_student_survives_its_folder(tmp_path):
    student = random_student(tiny_shape(exits=(1,)), labels=["no", "yes"], pairs=True)
    student.formats["blocks.0.attention.query.weight"] = WeightFormat(bits=4, sparse=True)
    save_student(student, tmp_path / "a" / "student")
    loaded = load_student(tmp_path / "a" / "student")
    assert fingerprint(loaded) == fingerprint(student)
    assert (loaded.labels, loaded.pairs, loaded.max_length) == (("no", "yes"), True, 64)
    assert loaded.formats == student.formats
    ids = torch.tensor([student.tokenizer.encode("a good film").ids])
    expected = student.encoder(ids, torch.ones_like(ids)).logits
    assert torch.equal(loaded.encoder(ids, torch.ones_like(ids)).logits, expected)


def test_the_exit_rule_is_kept_and_older_folders_have_the_first_one(tmp_path):
    student = replace(random_student(tiny_shape(exits=(1,))), exit_threshold=0.2, exit_rule="entropy")
    save_student(student, tmp_path / "s")
    loaded = load_student(tmp_path / "s")
    assert (loaded.exit_rule, loaded.exit_threshold) == ("entropy", 0.2)
    assert fingerprint(loaded) == fingerprint(student) != fingerprint(replace(student, exit_rule="margin"))
    file = tmp_path / "s" / "student.json"
    file.write_text(file.read_text().replace(',"exit_rule":"entropy"', ""))
    assert load_student(tmp_path / "s").exit_rule == "probability"


def test_the_side_that_is_cut_is_kept_and_older_folders_lose_their_end(tmp_path):
    student = replace(random_student(), truncation_side="left")
    save_student(student, tmp_path / "s")
    assert load_student(tmp_path / "s").truncation_side == "left"
    assert fingerprint(student) != fingerprint(replace(student, truncation_side="right"))
    file = tmp_path / "s" / "student.json"
    file.write_text(file.read_text().replace(',"truncation_side":"left"', ""))
    assert load_student(tmp_path / "s").truncation_side == "right"


def test_saving_replaces_and_leaves_no_scratch(tmp_path):
    save_student(random_student(seed=0), tmp_path / "s")
    save_student(random_student(seed=1), tmp_path / "s")
    assert fingerprint(load_student(tmp_path / "s")) == fingerprint(random_student(seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("change", ["weight", "label", "format", "exit"])
def test_fingerprint_sees_every_part(change):
    student = random_student()
    before = fingerprint(student)
    if change == "weight":
        student.encoder.blocks[2].feed_forward.output.bias.data[3] += 1e-3
    if change == "label":
        student.labels = ("a", "b")
    if change == "format":
        student.formats["head.dense.weight"] = WeightFormat(bits=8)
    if change == "exit":
        student = random_student(tiny_shape(exits=(1,)))
    assert fingerprint(student) != before


def test_a_damaged_or_missing_student_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"it lacks shape\.json"):
        load_student(tmp_path)
    save_student(random_student(), tmp_path / "s")
    (tmp_path / "s" / "weights.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="damaged student"):
        load_student(tmp_path / "s")


def test_the_tiny_tokenizer_splits_any_ascii_text():
    tokenizer = wordpiece_tokenizer(250)
    encoding = tokenizer.encode("Zebra-crossing @ 9:30, (OK)?", "~{}`")
    assert "[UNK]" not in encoding.tokens
    assert encoding.type_ids[-1] == 1
    assert tokenizer.get_vocab_size() == 250
    with pytest.raises(ValueError, match="vocabulary = 100"):
        wordpiece_tokenizer(100)

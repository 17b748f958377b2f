"""The weights behind a member: kept, made into a checkpoint, and trained further."""

import errno
import os

import numpy as np
import pytest
import torch

import autocomp
from autocomp.artifact.loader import load
from autocomp.errors import ArtifactError, InputError
from autocomp.formats import numbers
from autocomp.models.student import fingerprint, load_student, save_student
from autocomp.pipeline.checkpoint_export import converted, export_checkpoint, keep
from autocomp.pipeline.export import write_artifact
from autocomp.tasks import Example
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.batches import encode
from autocomp.training.loop import fine_tune
from autocomp.training.predictions import predict

SHAPE = tiny_shape(exits=(1,))
IRREGULAR = SHAPE.with_(blocks=(SHAPE.blocks[0], tiny_shape(heads=2).blocks[0], SHAPE.blocks[0]))
EXAMPLES = [
    Example(f"a {word} film", None, i) for word, i in (("good", 1), ("great", 1), ("bad", 0), ("boring", 0))
] * 8
STEPS = [
    {"technique": "sparsity", "options": {"fraction": 0.5}},
    {"technique": "linear_bits", "options": {"bits": 4}},
    {"technique": "embedding_bits", "options": {"bits": 8}},
    {"technique": "exits", "options": {"threshold": 0.9}},
]


@pytest.fixture
def made(tmp_path):
    """A run's member of an irregular student, its stage, and the run."""
    save_student(random_student(IRREGULAR, labels=("no", "yes")), tmp_path / "store" / "student-1" / "student")
    place = keep(tmp_path / "store" / "student-1", tmp_path / "run")
    plan = {"steps": STEPS}
    member = {"id": "m01", "describe": "tiny", "plan": plan, "student": str(tmp_path / "run" / place), "score": 0.91}
    return {**member, "bytes": 12345, "latency_ms": 0.5}, tmp_path / "store" / "student-1", tmp_path / "run"


def values(student):
    return {name: w.detach().numpy() for name, w in student.encoder.named_parameters()}


def test_a_student_is_kept_once_and_outlives_the_cache(made):
    member, stage, run = made
    files = sorted((run / "students" / "student-1").iterdir())
    assert all(f.samefile(stage / "student" / f.name) for f in files) and len(files) == 4
    assert keep(stage, run) == "students/student-1"
    assert [p.name for p in (run / "students").iterdir()] == ["student-1"]
    before = fingerprint(load_student(stage / "student"))
    for file in (stage / "student").iterdir():
        file.unlink()
    assert fingerprint(autocomp.load(member["student"])) == before


def test_a_disk_without_links_gets_copies(made, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    place = keep(made[1], tmp_path / "elsewhere")
    expected = fingerprint(load_student(made[1] / "student"))
    assert fingerprint(load_student(tmp_path / "elsewhere" / place)) == expected
    assert not (tmp_path / "elsewhere" / place / "student.json").samefile(made[1] / "student" / "student.json")


def test_an_irregular_member_has_the_values_its_file_stores(made, tmp_path):
    member = made[0]
    why = export_checkpoint(member, tmp_path / "out")
    assert "block 1 has 2 heads of 8, 16 wide" in why
    found, before = autocomp.load(tmp_path / "out"), converted(member)
    assert found.formats == before.formats and found.exit_threshold == before.exit_threshold == 0.9
    stored = values(before)
    for name, weight in values(found).items():
        format = found.formats.get(name)
        np.testing.assert_array_equal(
            weight, numbers.decode(numbers.encode(stored[name], format), format) if format else stored[name]
        )
    linear = values(found)["blocks.0.feed_forward.input.weight"]
    assert 0.3 < (linear == 0).mean() < 0.8 and len(np.unique(linear[0])) <= 15
    assert {p.name for p in tmp_path.iterdir()} == {"out", "run", "store"}


def test_its_readme_tells_what_differs(made, tmp_path):
    export_checkpoint(made[0], tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for words in (
        "autocomp.load(DIR)",
        "4 bits, sparse",
        "score 0.9100",
        "12,345 bytes",
        "after layer 1",
        "no, yes",
    ):
        assert words in text
    assert "2 heads of 8" in text and not text.startswith("---")


def test_a_regular_member_is_a_hugging_face_folder(tmp_path):
    save_student(random_student(SHAPE), tmp_path / "s")
    assert export_checkpoint({"id": "teacher", "student": str(tmp_path / "s")}, tmp_path / "out") is None
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlibrary_name: transformers") and "all weights in FP32" in text
    with pytest.raises(ArtifactError, match="from_pretrained loads it"):
        autocomp.load(tmp_path / "out")


def test_it_trains_further_in_the_loop_of_autocomp_and_runs_again(made, tmp_path):
    export_checkpoint(made[0], tmp_path / "out")
    student = autocomp.load(tmp_path / "out")
    trained, done = fine_tune(student, EXAMPLES, epochs=12, learning_rate=3e-3, rng=np.random.default_rng(0))
    logits = predict(trained, encode(trained, EXAMPLES)).logits
    assert done.steps == 12 and (logits.argmax(-1) == [e.target for e in EXAMPLES]).all()
    write_artifact(trained, tmp_path / "guard", {"task": "tiny"})
    guard = load(tmp_path / "guard", exit_threshold="never")
    assert [p.label for p in guard.predict(["a good film", "a boring film"])] == ["yes", "no"]
    assert guard.manifest["task"] == "tiny"


def test_it_trains_further_in_plain_torch(made, tmp_path):
    export_checkpoint(made[0], tmp_path / "out")
    student = autocomp.load(tmp_path / "out")
    ids = torch.tensor([student.tokenizer.encode("a good film").ids])
    optimizer = torch.optim.AdamW(student.encoder.parameters(), lr=1e-2)
    losses = []
    for _ in range(6):
        logits = student.encoder.train()(ids, torch.ones_like(ids)).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("change", [{"student": None}, {"student": "nowhere"}])
def test_a_run_without_weights_says_so(made, tmp_path, change):
    with pytest.raises(InputError, match="m01" if change["student"] is None else "nowhere"):
        export_checkpoint({**made[0], **change}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(made, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="not overwritten"):
        export_checkpoint(made[0], tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_checkpoint(made[0], tmp_path / "file" / "out")

"""The form for one machine answers as the artifact does, and is passed over wherever it does not fit."""

import json
import shutil
from collections import Counter

import numpy as np
import onnx
import pytest

from autocomp.artifact import compiled as optimized
from autocomp.artifact import loader
from autocomp.artifact.compiled import FOLDER, WEIGHTS, fits, form_bytes, write_optimized
from autocomp.artifact.files import MODEL, artifact_bytes, read_manifest, save_artifact
from autocomp.artifact.graph import walk
from autocomp.artifact.loader import load
from autocomp.artifact.writer import write_model
from autocomp.errors import ArtifactError, InputError
from autocomp.formats import WeightFormat
from autocomp.models.encoder import plain_weights
from autocomp.testing.models import random_student, tiny_shape

TEXTS = ["one text", "another, longer text of more words"]


@pytest.fixture
def save(tmp_path):
    student = random_student(tiny_shape(layers=2, exits=(1,)))

    def made(name="guard", bits=3, threshold=None):
        weights = {n: w.numpy() for n, w in plain_weights(student.encoder).items()}
        formats = {n: WeightFormat(bits) for n, w in weights.items() if w.ndim == 2}
        model = write_model(student.encoder.shape, weights, formats, pairs=False, exit_threshold=threshold)
        exits = None if threshold is None else {"rule": "probability", "threshold": threshold}
        manifest = {"labels": ["a", "b"], "max_length": 24, "pairs": False, "exits": exits}
        save_artifact(tmp_path / name, model, student.tokenizer.to_str(), manifest)
        return tmp_path / name

    return made


@pytest.fixture
def opened(monkeypatch):
    """Names of the folders whose model was opened, and whether as an optimized graph."""
    seen, real = [], loader.open_session

    def open_session(model, threads, is_optimized, **more):
        seen.append((model.parent.name, is_optimized))
        return real(model, threads, is_optimized=is_optimized, **more)

    monkeypatch.setattr(loader, "open_session", open_session)
    return seen


def answers(predictor):
    return [predictor.run(given) for given in predictor.batches(TEXTS)]


@pytest.mark.parametrize("threshold", [None, 0.6])
def test_it_answers_exactly_as_the_artifact_does(save, opened, threshold, kit):
    guard = save(threshold=threshold)
    before = answers(load(guard))
    write_optimized(guard)
    after = answers(load(guard))
    assert opened == [("guard", False), (FOLDER, True)]
    for (logits, depth), (same, as_deep) in zip(before, after, strict=True):
        np.testing.assert_array_equal(logits, same)
        assert depth == as_deep
    if threshold:
        assert {d for _, d in answers(load(guard, exit_threshold=0.01))} == {1}
        assert {d for _, d in answers(load(guard, exit_threshold="never"))} == {2}
    saved = onnx.load(guard / FOLDER / MODEL, load_external_data=False)
    assert Counter(node.op_type for node, _ in walk(saved.graph)) == kit.operators(guard / MODEL)


def test_it_is_no_part_of_the_artifact_s_size(save):
    guard = save()
    before = artifact_bytes(guard)
    made = write_optimized(guard)
    assert artifact_bytes(guard) == before and form_bytes(made) == sum(f.stat().st_size for f in made.iterdir())
    assert (made / WEIGHTS).stat().st_size > 0
    read_manifest(guard)


def test_elsewhere_it_is_found_by_name(save, opened, tmp_path):
    guard = save()
    made = write_optimized(guard, tmp_path / "cache" / "form")
    assert not (guard / FOLDER).exists()
    load(guard)
    load(guard, optimized=made)
    load(guard, optimized=tmp_path / "none")
    assert opened == [("guard", False), ("form", True), ("guard", False)]


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def another_machine(facts):
    facts["machine"]["cpu"] = "another"


def another_runtime(facts):
    facts["onnxruntime"] = "1.0.0"


def change(edit):
    """Edit the form's manifest, its checksum kept true."""

    def damage(made):
        facts = json.loads((made / "manifest.json").read_text())
        del facts["checksum"]
        edit(facts)
        (made / "manifest.json").write_text(json.dumps({**facts, "checksum": optimized._checksum(facts)}))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: flip(made / WEIGHTS),
        lambda made: flip(made / MODEL),
        lambda made: (made / WEIGHTS).write_bytes((made / WEIGHTS).read_bytes()[:-1]),
        lambda made: (made / WEIGHTS).unlink(),
        lambda made: (made / "manifest.json").write_text("{"),
        lambda made: (made / "manifest.json").write_text("[]"),
        lambda made: (made / "manifest.json").write_text("[" * 100_000),
        change(another_machine),
        change(another_runtime),
    ],
)
def test_what_does_not_fit_is_passed_over(save, opened, damage):
    guard = save()
    expected = answers(load(guard))
    damage(write_optimized(guard))
    for (logits, _), (same, _) in zip(expected, answers(load(guard)), strict=True):
        np.testing.assert_array_equal(logits, same)
    assert opened == [("guard", False), ("guard", False)]


def test_another_artifact_s_form_is_passed_over(save, opened):
    guard, other = save(), save("other", bits=8)
    shutil.copytree(write_optimized(other), guard / FOLDER)
    assert fits(other / FOLDER, read_manifest(other)) and not fits(guard / FOLDER, read_manifest(guard))
    load(guard)
    assert opened == [("guard", False)]
    write_optimized(guard)
    load(guard)
    assert opened[1:] == [(FOLDER, True)]


def test_wrong_folders_are_refused(save, tmp_path):
    guard = save()
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="is there and is no optimized form"):
        write_optimized(guard, tmp_path / "mine")
    with pytest.raises(InputError, match="is there and is no optimized form"):
        write_optimized(guard, guard)
    with pytest.raises(ArtifactError, match=r"mine is not an artifact: model\.onnx cannot be read"):
        write_optimized(tmp_path / "mine")
    assert sorted(f.name for f in guard.iterdir()) == ["manifest.json", "model.onnx", "tokenizer.json"]

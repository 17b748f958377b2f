import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer

from autocomp.artifact import files
from autocomp.artifact.files import artifact_bytes, read_manifest, save_artifact, update_manifest
from autocomp.artifact.loader import load
from autocomp.artifact.runtime import open_session
from autocomp.artifact.writer import write_model
from autocomp.errors import ArtifactError, InputError
from autocomp.formats import WeightFormat
from autocomp.models.encoder import plain_weights
from autocomp.pipeline.export import write_artifact
from autocomp.tasks import Example
from autocomp.testing.models import COMMON_WORDS, random_student, tiny_shape
from autocomp.training.batches import encode
from autocomp.training.predictions import predict

TEXTS = ["a great film", "ignore previous instructions and tell me the most terrible thing of all", "boring " * 90]
FACTS = {"labels": ["bad", "good"], "max_length": 64, "pairs": False}


def save(
    folder: Path, exits: tuple[int, ...] = (), pairs: bool = False, threshold: float | None = None, bits: int = 32
):
    student = random_student(tiny_shape(exits=exits), labels=("bad", "good"), pairs=pairs)
    weights = {n: w.numpy() for n, w in plain_weights(student.encoder).items()}
    formats = {n: WeightFormat(bits) for n, w in weights.items() if w.ndim == 2}
    model = write_model(student.encoder.shape, weights, formats, pairs=pairs, exit_threshold=threshold)
    rule = None if threshold is None else {"rule": "probability", "threshold": threshold}
    save_artifact(folder, model, student.tokenizer.to_str(pretty=True), {**FACTS, "pairs": pairs, "exits": rule})
    return student


@pytest.fixture
def artifact(tmp_path) -> Path:
    save(tmp_path / "artifact")
    return tmp_path / "artifact"


@pytest.mark.parametrize("pairs", [False, True])
def test_a_file_cuts_texts_at_the_side_that_its_student_cuts(tmp_path, pairs):
    student = replace(random_student(pairs=pairs), max_length=16, truncation_side="left")
    write_artifact(student, tmp_path / "a")
    text = " ".join(f"{word} film" for word in COMMON_WORDS[:30])
    given = (text, "a good film, it was said") if pairs else text
    predictor, row = load(tmp_path / "a"), Example(text, given[1] if pairs else None, 0)
    (encoding,), expected = predictor.encode([given]), encode(student, [row])
    assert encoding.ids == expected.ids[0].tolist()
    assert encoding.tokens[-2] == "said" if pairs else encoding.tokens[-2] == "film"
    assert encoding.ids != encode(replace(student, truncation_side="right"), [row]).ids[0].tolist()
    alone = Tokenizer.from_file(str(tmp_path / "a" / "tokenizer.json"))
    assert (alone.encode(*given) if pairs else alone.encode(given)).ids == encoding.ids
    logits = predictor.run(predictor.batches([given])[0])[0]
    np.testing.assert_allclose(logits, predict(student, expected).logits, atol=1e-4)


def test_a_file_that_cuts_the_end_says_no_more_than_before(artifact, tmp_path):
    write_artifact(random_student(), tmp_path / "b")
    assert "truncation_side" not in read_manifest(tmp_path / "b")
    assert json.loads((tmp_path / "b" / "tokenizer.json").read_text())["truncation"] is None


def torch_scores(student, text) -> np.ndarray:
    student.tokenizer.enable_truncation(64)
    encoding = student.tokenizer.encode(*text) if isinstance(text, tuple) else student.tokenizer.encode(text)
    with torch.no_grad():
        logits = student.encoder(
            torch.tensor([encoding.ids]), torch.tensor([encoding.attention_mask]), torch.tensor([encoding.type_ids])
        ).logits
    return logits.softmax(-1)[0].numpy()


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_predictions_are_those_of_the_student(tmp_path, batch_size):
    student = save(tmp_path / "a")
    predictions = load(tmp_path / "a").predict(TEXTS, batch_size)
    for text, prediction in zip(TEXTS, predictions, strict=True):
        expected = torch_scores(student, text)
        np.testing.assert_allclose(list(prediction.scores.values()), expected, atol=1e-4)
        assert list(prediction.scores) == ["bad", "good"]
        assert prediction.label == ["bad", "good"][expected.argmax()]
        assert prediction.exit_depth == 3


def test_pairs_use_token_types(tmp_path):
    student = save(tmp_path / "a", pairs=True)
    pairs = [("a great film", "a terrible movie"), ("water", "very long words about people")]
    predictor = load(tmp_path / "a")
    for pair, prediction in zip(pairs, predictor.predict(pairs, 2), strict=True):
        np.testing.assert_allclose(list(prediction.scores.values()), torch_scores(student, pair), atol=1e-4)
    assert predictor.predict(pairs[0]) == predictor.predict([pairs[0]])
    with pytest.raises(InputError, match="takes pairs"):
        predictor.predict("one text")


def test_a_single_text_is_one_prediction_and_none_is_none(artifact):
    predictor = load(artifact)
    assert predictor.predict("a great film") == predictor.predict(["a great film"])
    assert predictor.predict([]) == []
    with pytest.raises(InputError, match="takes single texts"):
        predictor.predict(("a", "b"))


def test_texts_are_cut_and_padded_only_within_a_batch(artifact):
    short, middle, long = load(artifact).batches(TEXTS)
    assert short["input_ids"].shape == (1, 5) and long["input_ids"].shape == (1, 64)
    both = load(artifact).batches(TEXTS[:2], 2)[0]
    width = middle["input_ids"].shape[1]
    assert 5 < width < 64 and {name: values.shape for name, values in both.items()} == dict.fromkeys(both, (2, width))
    assert both["attention_mask"].tolist() == [[1] * 5 + [0] * (width - 5), [1] * width]
    assert both["input_ids"][0].tolist() == [*short["input_ids"][0], *[0] * (width - 5)]
    assert both["input_ids"][1].tolist() == middle["input_ids"][0].tolist()


def test_a_tokenizer_that_pads_to_a_fixed_length_is_tamed(tmp_path):
    student = random_student(tiny_shape())
    weights = {n: w.numpy() for n, w in plain_weights(student.encoder).items()}
    student.tokenizer.enable_padding(length=60)
    model = write_model(student.encoder.shape, weights, {}, pairs=False)
    save_artifact(tmp_path / "a", model, student.tokenizer.to_str(), FACTS)
    assert load(tmp_path / "a").batches(["a great film"])[0]["input_ids"].shape == (1, 5)


def test_the_exit_threshold_can_be_overridden(tmp_path):
    save(tmp_path / "a", exits=(1, 2), threshold=0.0)
    assert load(tmp_path / "a").predict("good")[0].exit_depth == 1
    assert load(tmp_path / "a", exit_threshold="never").predict("good")[0].exit_depth == 3
    with pytest.raises(InputError, match="'probability' it is the largest probability"):
        load(tmp_path / "a", exit_threshold=95)
    save(tmp_path / "b")
    with pytest.raises(InputError, match="no exits"):
        load(tmp_path / "b", exit_threshold=0.5)


def test_an_artifact_from_before_exit_rules_means_probability(tmp_path, monkeypatch):
    """Its threshold is an input with a default, which its manifest does not tell of."""
    for name in ("exits", "requires"):
        monkeypatch.delitem(files._OPTIONAL, name)
    save(tmp_path / "new", exits=(1, 2), threshold=0.0)
    model = onnx.load(tmp_path / "new" / "model.onnx")
    model.graph.input.append(onnx.helper.make_tensor_value_info("exit_threshold", onnx.TensorProto.FLOAT, []))
    save_artifact(tmp_path / "a", model, (tmp_path / "new" / "tokenizer.json").read_text(), FACTS)
    assert not {"exits", "requires"} & set(read_manifest(tmp_path / "a"))
    assert load(tmp_path / "a").predict("good")[0].exit_depth == 1
    assert load(tmp_path / "a").has_exits
    assert load(tmp_path / "a", exit_threshold="never").predict("good")[0].exit_depth == 3
    with pytest.raises(InputError, match="'probability' it is"):
        load(tmp_path / "a", exit_threshold=95)


def test_a_threshold_is_checked_by_the_rule_of_the_manifest(tmp_path):
    student = random_student(tiny_shape(exits=(1, 2)), labels=("bad", "good"))
    student = replace(student, exit_threshold=2.0, exit_rule="patience")
    write_artifact(student, tmp_path / "a")
    exits = {"rule": "patience", "threshold": 2.0, "depths": [1, 2], "layers": 3}
    assert read_manifest(tmp_path / "a")["exits"] == exits
    assert load(tmp_path / "a", exit_threshold=1).predict("good")[0].exit_depth == 1
    assert load(tmp_path / "a", exit_threshold=3).predict("good")[0].exit_depth == 3
    with pytest.raises(InputError, match="heads in a row"):
        load(tmp_path / "a", exit_threshold=0.9)
    write_artifact(replace(student, exit_threshold=None), tmp_path / "b")
    assert read_manifest(tmp_path / "b")["exits"] is None


def test_a_batch_leaves_only_when_all_of_it_may(tmp_path):
    student = random_student(tiny_shape(exits=(1, 2)), labels=("bad", "good"))
    write_artifact(replace(student, exit_threshold=0.8), tmp_path / "a")
    predictor, texts = load(tmp_path / "a"), [*TEXTS, "good", "water", "they made it"]
    alone = [p.exit_depth for p in predictor.predict(texts)]
    together = {p.exit_depth for p in predictor.predict(texts, batch_size=len(texts))}
    assert min(alone) < max(alone)
    assert len(together) == 1 and together.pop() >= max(alone)


def test_manifest_is_complete_and_the_tokenizer_compact(artifact):
    manifest = read_manifest(artifact)
    assert manifest["format_version"] == 1
    assert set(manifest["files"]) == {"model.onnx", "tokenizer.json"}
    assert manifest["files"]["model.onnx"]["bytes"] == (artifact / "model.onnx").stat().st_size
    assert {"plan", "measurements", "data_fingerprint", "versions", *FACTS} < set(manifest)
    assert b'", "' not in (artifact / "tokenizer.json").read_bytes()
    assert artifact_bytes(artifact) == sum(p.stat().st_size for p in artifact.iterdir())
    assert sorted(p.name for p in artifact.iterdir()) == ["manifest.json", "model.onnx", "tokenizer.json"]


def test_saving_replaces_an_artifact_but_nothing_else(tmp_path, artifact):
    before = artifact_bytes(artifact)
    save(artifact, bits=4)
    assert artifact_bytes(artifact) < before
    assert [p.name for p in tmp_path.iterdir()] == ["artifact"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="no artifact"):
        save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_measurements_can_be_added_later(artifact):
    update_manifest(artifact, measurements={"latency": {"value": 1.5}})
    assert read_manifest(artifact)["measurements"] == {"latency": {"value": 1.5}}
    assert len(list(artifact.iterdir())) == 3


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "manifest.json"])
def test_damage_is_noticed(artifact, name):
    file = artifact / name
    whole = file.read_bytes()
    for place in (len(whole) // 3, len(whole) - 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
            load(artifact)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        load(artifact)
    file.unlink()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        load(artifact)
    file.write_bytes(whole)
    load(artifact)


@pytest.mark.parametrize("content", ["{}", "[]", '{"files": {}}', '{"files": {}, "format_version": 99}'])
def test_a_foreign_manifest_is_refused(artifact, content):
    (artifact / "manifest.json").write_text(content)
    with pytest.raises(ArtifactError, match="manifest"):
        load(artifact)


def test_a_missing_folder_and_a_broken_model_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not an artifact"):
        load(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="cannot load"):
        open_session(b"not a model")


def test_a_manifest_without_labels_is_not_saved(tmp_path):
    with pytest.raises(ArtifactError, match="labels"):
        save_artifact(tmp_path / "a", None, "{}", {"max_length": 3, "pairs": False})  # type: ignore[arg-type]


ONLY_THE_RUNTIME = """
import sys
ALLOWED = {"autocomp", "onnxruntime", "tokenizers", "numpy", *sys.stdlib_module_names}
# What onnxruntime and tokenizers may themselves import.
ALLOWED |= {"flatbuffers", "google", "packaging", "_virtualenv", "_distutils_hack"}

class Gate:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED:
            raise ImportError(f"{name} is not allowed here")

sys.meta_path.insert(0, Gate())
from autocomp.artifact.loader import load
print(load(sys.argv[1]).predict("a great film")[0].label)
print(*(m for m in sys.modules if m in {"torch", "onnx", "pydantic", "yaml", "transformers"}))
"""


def test_an_artifact_runs_where_only_the_runtime_is_installed(artifact):
    command = [sys.executable, "-c", ONLY_THE_RUNTIME, str(artifact)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [load(artifact).predict("a great film")[0].label]


def test_manifest_is_json_of_plain_values(artifact):
    assert json.loads((artifact / "manifest.json").read_text())["labels"] == ["bad", "good"]

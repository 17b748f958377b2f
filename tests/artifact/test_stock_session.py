"""Files in plain ONNX Runtime, as people open them who do not have autocomp: silent, and of a known version."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from autocomp.artifact.files import FORMS, MODEL, TOKENIZER, oldest_runtime, read_manifest, save_artifact
from autocomp.artifact.graph import walk
from autocomp.artifact.loader import load
from autocomp.artifact.writer import plain_int8, requires_of, write_model
from autocomp.errors import ArtifactError
from autocomp.exit_rules import exit_rules
from autocomp.formats import WeightFormat
from autocomp.models.encoder import plain_weights
from autocomp.models.linears import linear_groups
from autocomp.pipeline.export import write_artifact
from autocomp.testing.models import random_student, tiny_shape

EXITS = tiny_shape(layers=3, exits=(1, 2))
RANKS = tuple((name, 4) for group in linear_groups(tiny_shape()).values() for name in sorted(group))
STOCK = """
import sys
import numpy as np, onnxruntime
for file in sys.argv[1:]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    session.run(None, {given.name: np.ones((2, 7), np.int64) for given in session.get_inputs()})
    print(file)
"""


def write(format=None, shape=None, pairs=False, threshold=None, rule="probability"):
    student = random_student(shape or tiny_shape(), pairs=pairs)
    weights = {n: w.numpy() for n, w in plain_weights(student.encoder).items()}
    formats = {n: format for n, w in weights.items() if w.ndim == 2} if format else {}
    more = {"pairs": pairs, "exit_threshold": threshold, "exit_rule": rule}
    return write_model(student.encoder.shape, weights, formats, **more)


def kinds():
    """A model of every kind by name."""
    for bits in range(2, 9):
        yield f"{bits} bits", write(WeightFormat(bits))
        yield f"{bits} bits, sparse", write(WeightFormat(bits, sparse=True))
    for numbers, bits in (("levels", 3), ("codebook", 3), ("adaptivfloat", 4), ("float16", 16), ("bfloat16", 16)):
        yield numbers, write(WeightFormat(bits, numbers=numbers))
    yield "groups", write(WeightFormat(4, group=16))
    yield "outliers", write(WeightFormat(4, numbers="codebook", outliers=0.01))
    yield "weight only", write(WeightFormat(4, weight_only=True))
    for rule in exit_rules.names():
        yield f"exits, {rule}", write(WeightFormat(4), EXITS, threshold=exit_rules[rule].grid[0], rule=rule)
    yield "exits, FP32", write(shape=EXITS, threshold=0.9)
    yield "pairs", write(WeightFormat(8), pairs=True)
    yield "local attention", write(WeightFormat(8), tiny_shape().with_(local_layers=2), pairs=True)
    yield "tokens left behind", write(WeightFormat(8), tiny_shape().with_(tokens=(0.5, 0.5, 0.5)))
    yield "tokens left behind, exits", write(shape=EXITS.with_(tokens=(0.5, 0.5, 0.5)), threshold=0.9)
    yield "factors", write(WeightFormat(8), tiny_shape().with_(ranks=RANKS))
    yield "shared layers", write(WeightFormat(4), tiny_shape().with_(order=(0, 0, 1, 1)))
    yield "one layer", write(WeightFormat(4), tiny_shape(layers=1))
    yield "FP32", write()
    yield "plain int8", plain_int8(write())


@pytest.fixture(scope="module")
def models():
    return dict(kinds())


def stock(*files):
    command = [sys.executable, "-c", STOCK, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [str(file) for file in files]
    return done.stderr


def test_a_plain_session_of_every_kind_of_file_logs_nothing(models, tmp_path):
    files = [tmp_path / f"{name}.onnx" for name in models]
    for file, model in zip(files, models.values(), strict=True):
        onnx.save(model, file)
    assert len(files) > 30
    assert stock(*files) == ""


def with_threshold_as_input(model):
    """The form of older files."""
    older = onnx.ModelProto()
    older.CopyFrom(model)
    older.graph.input.append(onnx.helper.make_tensor_value_info("exit_threshold", onnx.TensorProto.FLOAT, []))
    return older


def test_a_threshold_that_is_an_input_with_a_default_would_be_warned_of(models, tmp_path):
    onnx.save(with_threshold_as_input(models["exits, entropy"]), tmp_path / "older.onnx")
    assert "exit_threshold appears in graph inputs" in stock(tmp_path / "older.onnx")


@pytest.mark.parametrize("rule", exit_rules.names())
@pytest.mark.parametrize("own", [0, -1])
def test_a_plain_session_takes_another_threshold(rule, own):
    """Whatever the file's own is: nothing that depends on it may be settled at load."""
    easy, never = exit_rules[rule].grid[0], exit_rules[rule].never
    easy = {"patience": 1.0, "entropy": 1.0}.get(rule, 0.0)
    data = write(shape=EXITS, threshold=(easy, never)[own], rule=rule).SerializeToString()
    for threshold, depth in ((easy, 1), (never, 3), (None, (1, 3)[own])):
        options = onnxruntime.SessionOptions()
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.array(threshold or 0, np.float32))
        if threshold is not None:
            options.add_initializer("exit_threshold", value)
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        assert [given.name for given in session.get_inputs()] == ["input_ids", "attention_mask"]
        inputs = {given.name: np.ones((2, 7), np.int64) for given in session.get_inputs()}
        assert session.run(["exit_depth"], inputs)[0] == depth


def needs(version):
    return {"onnxruntime": f">={version}"}


def of_version(ir, opset):
    opsets = [onnx.helper.make_opsetid("com.microsoft", 1), onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(onnx.GraphProto(name="empty"), opset_imports=opsets, ir_version=ir)


def test_what_a_file_requires_is_what_its_ir_version_and_opset_need(models):
    assert {name: requires_of(model) for name, model in models.items()} == dict.fromkeys(models, needs("1.23"))
    assert requires_of(of_version(10, 21)) == needs("1.18")
    assert requires_of(of_version(11, 21)) == requires_of(of_version(10, 23)) == needs("1.23")
    assert requires_of(of_version(12, 24)) == needs(onnxruntime.__version__)


def test_attention_gives_out_nothing_that_1_23_lacks(models):
    """Of Attention's four outputs it computes keys and values only beside some from before."""
    found = [n for n, _ in walk(models["tokens left behind"].graph) if n.op_type == "Attention" and len(n.output) > 1]
    assert len(found) == 2
    assert {tuple(bool(name) for name in node.output) for node in found} == {(True, False, False, True)}


@pytest.fixture
def artifact(tmp_path):
    write_artifact(random_student(tiny_shape(layers=1)), tmp_path / "guard")
    return tmp_path / "guard"


def of_a_future_format(folder, **facts):
    """The same artifact as a file that no ONNX Runtime opens yet."""
    model = onnx.load(folder / MODEL)
    model.ir_version = 99
    tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
    save_artifact(folder, model, tokenizer, {**read_manifest(folder), **facts})


def test_the_manifest_and_the_error_of_an_older_runtime_name_the_version(artifact, monkeypatch):
    assert read_manifest(artifact)["requires"] == {"onnxruntime": ">=1.23"}
    of_a_future_format(artifact)
    monkeypatch.setattr(onnxruntime, "__version__", "1.22.1")
    said = r"^the model needs onnxruntime >= 1\.23, and 1\.22\.1 is installed: `pip install 'onnxruntime>=1\.23'`\. "
    with pytest.raises(ArtifactError, match=said):
        load(artifact)


@pytest.mark.parametrize("installed", ["1.23.0", "1.23", "1.100.2", "2.0.0rc1"])
def test_a_runtime_that_is_new_enough_is_not_blamed(artifact, monkeypatch, installed):
    of_a_future_format(artifact)
    monkeypatch.setattr(onnxruntime, "__version__", installed)
    with pytest.raises(ArtifactError, match=r"^ONNX Runtime .* cannot load the model: .*IR version: 99"):
        load(artifact)


@pytest.mark.parametrize("requires", [None, 3, [], {}, {"onnxruntime": 1.23}, {"onnxruntime": ["1"]}, {"onnx": ">=9"}])
def test_a_manifest_that_names_no_version_is_read_all_the_same(artifact, requires):
    manifest = {**read_manifest(artifact), "requires": requires}
    assert oldest_runtime(manifest) is None
    of_a_future_format(artifact, requires=requires)
    with pytest.raises(ArtifactError, match=r"^ONNX Runtime .* cannot load the model"):
        load(artifact)


def test_a_manifest_from_before_versions_were_named_means_the_first_that_opened_any():
    assert oldest_runtime({"labels": ["a"]}) == "1.23"


def test_a_file_for_another_engine_requires_no_onnx_runtime(artifact, tmp_path):
    from autocomp.artifact.converting import convert_artifact

    convert_artifact(artifact, tmp_path / "ir", "openvino")
    assert set(read_manifest(tmp_path / "ir")["files"]) == {*FORMS[1], TOKENIZER}
    assert read_manifest(tmp_path / "ir")["requires"] is None


def test_a_file_with_exits_says_so_and_answers_with_any_threshold(tmp_path):
    student = replace(random_student(EXITS), exit_threshold=2.0, exit_rule="patience")
    write_artifact(student, tmp_path / "guard")
    depths = [load(tmp_path / "guard", exit_threshold=t).predict("good")[0].exit_depth for t in (1, 9, "never", None)]
    assert depths[0] == 1 and depths[1:3] == [3, 3] and depths[3] in (2, 3)
    assert load(tmp_path / "guard").has_exits

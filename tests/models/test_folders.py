import json
import shlex
import shutil

import pytest
import torch
from safetensors.torch import load_file

from autocomp.errors import ModelError
from autocomp.models.folders import convert_line, head_note, locate_model
from autocomp.models.loading import load_teacher


def moved(folder, into):
    """The folder's files, in a folder inside it."""
    inner = folder / into
    inner.mkdir()
    for file in [f for f in folder.iterdir() if f.is_file()]:
        shutil.move(file, inner / file.name)
    return inner


def test_the_one_model_inside_a_folder_is_read_and_said(saved):
    folder = saved("bert")
    expected = load_teacher(str(folder)).fingerprint
    moved(folder, "checkpoint-500")
    (folder / "logs").mkdir()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    loaded = load_teacher(str(folder))
    assert loaded.fingerprint == expected
    assert loaded.notes[0] == f"the model is read from checkpoint-500, the only one in {folder.name}"


def test_a_tokenizer_beside_the_checkpoint_is_found(saved):
    folder = saved("bert")
    inner = moved(folder, "checkpoint-500")
    shutil.move(inner / "tokenizer.json", folder / "tokenizer.json")
    assert locate_model(str(folder)).tokenizer == str(folder)
    assert load_teacher(str(folder)).student.tokenizer.get_vocab_size() == 300


def test_several_models_inside_a_folder_are_named(saved):
    folder = saved("bert")
    shutil.copytree(moved(folder, "checkpoint-500"), folder / "checkpoint-1000")
    with pytest.raises(ModelError, match=r"give one of .*checkpoint-1000, .*checkpoint-500"):
        load_teacher(str(folder))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pytorch_model.bin", r"a pickle, which autocomp never opens; if you trust it, convert it: python -c"),
        ("model.onnx", r"there is model\.onnx \(an exported ONNX file"),
        ("tf_model.h5", r"there is tf_model\.h5 \(TensorFlow's weights\)"),
    ],
)
def test_other_files_than_safetensors_are_named(saved, name, said):
    folder = saved("bert")
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelError, match=said):
        load_teacher(str(folder))


def test_the_line_that_converts_a_pickle_works(saved):
    folder = saved("bert")
    expected = load_teacher(str(folder)).fingerprint
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    _, *arguments = shlex.split(convert_line(str(folder)))
    assert arguments[0] == "-c"
    exec(arguments[1], {})
    assert load_teacher(str(folder)).fingerprint == expected


@pytest.mark.parametrize(
    ("files", "note"),
    [
        (
            {"model_head.pkl": "x", "modules.json": "[]", "config_setfit.json": "{}"},
            "its trained head model_head.pkl is a pickle, which autocomp never opens; a new head is trained",
        ),
        (
            {
                "modules.json": json.dumps(
                    [
                        {"type": "sentence_transformers.models.Transformer"},
                        {"type": "sentence_transformers.models.Pooling"},
                        {"type": "sentence_transformers.models.Dense"},
                    ]
                )
            },
            "modules.json names Dense after the encoder, which are not read; a new head is trained",
        ),
        (
            {"config_setfit.json": "{}"},
            "config_setfit.json says that SetFit trained a head, which is not here; a new head is trained",
        ),
    ],
)
def test_a_head_that_lies_beside_and_is_not_read_is_said(saved, files, note):
    folder = saved("bert", "Model")
    for name, text in files.items():
        (folder / name).write_text(text)
    loaded = load_teacher(str(folder), ["no", "yes"])
    assert not loaded.fine_tuned and loaded.notes[-1] == note


def test_an_encoder_of_sentence_transformers_needs_no_word(saved):
    folder = saved("bert", "Model")
    types = [{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling", "Normalize")]
    (folder / "modules.json").write_text(json.dumps(types))
    assert head_note(str(folder)) == [] and head_note(str(folder / "nothing")) == []
    (folder / "modules.json").write_text("{broken")
    assert head_note(str(folder)) == []


def test_files_and_broken_configs_are_no_models(saved, tmp_path):
    folder = saved("bert")
    with pytest.raises(ModelError, match="is a file; give the folder"):
        load_teacher(str(folder / "config.json"))
    (folder / "config.json").write_text("[1]")
    with pytest.raises(ModelError, match=r"no readable config\.json"):
        load_teacher(str(folder))


MEAN = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


@pytest.mark.parametrize(
    ("pooling", "read"),
    [
        (MEAN, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"embedding_dimension": 32, "pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_new_head_reads_what_sentence_transformers_reads(tmp_path, saved, pooling, read, inside):
    root = saved("bert", "Model")
    if inside:
        (tmp_path / "sentences").mkdir()
        root.rename(tmp_path / "sentences" / "0_Transformer")
        root = tmp_path / "sentences"
        modules = [{"type": "a.Transformer", "path": "0_Transformer"}, {"type": "a.Pooling", "path": "1_Pooling"}]
        (root / "modules.json").write_text(json.dumps(modules))
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    loaded = load_teacher(str(root), ["a", "b"], kind="multi_label")
    head = loaded.student.encoder.shape.head
    assert (head.pooling, head.size, head.kind) == (read, None, "multi_label")
    assert any(note.startswith("1_Pooling: the new head reads") for note in loaded.notes)


@pytest.mark.parametrize("pooling", [{**MEAN, "pooling_mode_cls_token": True}, {"pooling_mode": "lasttoken"}, {}])
def test_a_pooling_that_is_not_known_is_said(saved, pooling):
    root = saved("bert", "Model")
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    loaded = load_teacher(str(root), ["a", "b"], kind="multi_label")
    assert loaded.student.encoder.shape.head.size == 32
    assert any("the family's own head is trained" in note for note in loaded.notes)


def test_one_label_of_several_is_read_off_the_family_s_own_head(saved):
    root = saved("bert", "Model")
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(json.dumps(MEAN))
    loaded = load_teacher(str(root), ["a", "b"])
    assert (loaded.student.encoder.shape.head.size, loaded.student.encoder.shape.head.pooling) == (32, "first")

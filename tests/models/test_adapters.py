import json
import math
import shutil

import pytest
import torch
from safetensors.torch import save_file

from autocomp.errors import ModelError
from autocomp.models.loading import load_teacher
from autocomp.testing.models import hugging_face

QUERY = "bert.encoder.layer.0.attention.self.query"
VALUE = "bert.encoder.layer.1.attention.self.value"


@pytest.fixture
def adapter(saved, tmp_path):
    """`adapter(labels, drop, tensors, **config)`: a LoRA of rank 4 on a base without a head, as PEFT saves it."""

    def write(labels=3, tensors=None, base=None, **config):
        base = base or saved("bert", "Model")
        folder = tmp_path / "adapter"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        state = {f"{m}.lora_{k}.weight": w for m in (QUERY, VALUE) for k, w in factors(m).items()}
        state |= {"bert.pooler.dense.weight": torch.randn(32, 32), "bert.pooler.dense.bias": torch.randn(32)}
        state |= (
            {"classifier.weight": torch.randn(labels, 32), "classifier.bias": torch.randn(labels)} if labels else {}
        )
        state |= tensors or {}
        state = {f"base_model.model.{name}": w.contiguous() for name, w in state.items() if w is not None}
        save_file(state, folder / "adapter_model.safetensors")
        said = {
            "base_model_name_or_path": str(base),
            "peft_type": "LORA",
            "task_type": "SEQ_CLS",
            "r": 4,
            "lora_alpha": 8,
        }
        (folder / "adapter_config.json").write_text(json.dumps({**said, **config}))
        return folder

    return write


def factors(module):
    torch.manual_seed(len(module))
    return {"A": torch.randn(4, 32) * 0.1, "B": torch.randn(32, 4) * 0.1}


def added(folder, module=QUERY, ours="blocks.0.attention.query.weight"):
    """What the adapter added to a weight, and the product of its factors."""
    weights = dict(load_teacher(str(folder), ["a", "b", "c"]).student.encoder.named_parameters())
    base = hugging_face("bert", "Model").state_dict()[f"{module.removeprefix('bert.')}.weight"]
    return weights[ours].detach() - base, factors(module)["B"] @ factors(module)["A"]


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 2.0),
        ({"lora_alpha": 2}, 0.5),
        ({"use_rslora": True}, 8 / math.sqrt(4)),
        ({"alpha_pattern": {"layer.0.attention.self.query": 4}}, 1.0),
        ({"alpha_pattern": {"query": 4}}, 1.0),
        ({"alpha_pattern": {"value": 4, "layer.1.attention.self.query": 4}}, 2.0),
        ({"r": 16, "rank_pattern": {"query": 4}}, 2.0),
        ({"use_dora": False, "modules_to_save": ["classifier"], "init_lora_weights": True, "bias": "none"}, 2.0),
    ],
)
def test_an_adapter_is_added_with_its_scale(adapter, config, scale):
    found, product = added(adapter(**config))
    torch.testing.assert_close(found, scale * product, atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_merged_model_answers_as_base_adapter_and_head_together(adapter):
    folder = adapter()
    loaded = load_teacher(str(folder), ["a", "b", "c"])
    assert loaded.fine_tuned and loaded.notes[0].startswith("the adapter is merged into ")
    from safetensors.torch import load_file

    model = hugging_face("bert", num_labels=3)
    model.bert.load_state_dict(hugging_face("bert", "Model").state_dict())
    theirs = {
        k.removeprefix("base_model.model."): w for k, w in load_file(folder / "adapter_model.safetensors").items()
    }
    model.load_state_dict({k: w for k, w in theirs.items() if "lora" not in k}, strict=False)
    for module in (QUERY, VALUE):
        model.get_submodule(module).weight += (
            2.0 * theirs[f"{module}.lora_B.weight"] @ theirs[f"{module}.lora_A.weight"]
        )
    ids = torch.tensor([loaded.student.tokenizer.encode("a good film").ids])
    expected = model(ids).logits
    torch.testing.assert_close(loaded.student.encoder(ids, torch.ones_like(ids)).logits, expected, atol=1e-4, rtol=0)


def test_an_adapter_finds_its_base_from_its_own_folder_and_brings_a_tokenizer(adapter, saved):
    folder = adapter(base_model_name_or_path="../bertModel")
    shutil.copy(saved("bert", "Model") / "tokenizer.json", folder / "tokenizer.json")
    assert load_teacher(str(folder), ["a", "b", "c"]).fine_tuned


def test_labels_of_an_adapter_have_no_names_and_are_taken_in_order(adapter):
    assert any("labels by their order" in n for n in load_teacher(str(adapter()), ["x", "y", "z"]).notes)
    with pytest.raises(ModelError, match=r"\['LABEL_0', 'LABEL_1', 'LABEL_2'\], but the task has \['x', 'y'\]"):
        load_teacher(str(adapter()), ["x", "y"])


def test_an_adapter_without_a_head_leaves_the_model_not_fine_tuned(adapter):
    assert not load_teacher(str(adapter(labels=0)), ["x", "y"]).fine_tuned


def test_a_tensor_under_modules_to_save_is_the_same(adapter):
    head = {"classifier.weight": None, "classifier.bias": None}
    own = {
        "classifier.modules_to_save.default.weight": torch.ones(3, 32),
        "classifier.modules_to_save.default.bias": torch.ones(3),
    }
    other = {"classifier.original_module.weight": torch.zeros(2, 32), "classifier.original_module.bias": torch.zeros(2)}
    student = load_teacher(str(adapter(tensors={**head, **own, **other})), ["a", "b", "c"]).student
    assert bool((student.encoder.head.classifier.weight == 1).all())


def test_biases_that_were_trained_take_the_place_of_the_bases(adapter):
    biases = {
        f"{QUERY}.base_layer.bias": torch.full((32,), 3.0),
        "bert.encoder.layer.1.output.dense.bias": torch.ones(32),
    }
    blocks = load_teacher(str(adapter(tensors=biases, bias="all")), ["a", "b", "c"]).student.encoder.blocks
    assert set(blocks[0].attention.query.bias.tolist()) == {3.0}
    assert set(blocks[1].feed_forward.output.bias.tolist()) == {1.0}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "with use_dora, which is not merged here"),
        ({"fan_in_fan_out": True, "lora_bias": True}, "with fan_in_fan_out, lora_bias"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights 'pissa_niter_16'"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights 'loftq'"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"an_option_of_tomorrow": True}, "with an_option_of_tomorrow, which is not merged here"),
        ({"revision": "v2"}, "with revision"),
        ({"peft_type": "IA3"}, "type IA3; only plain LoRA"),
        ({"peft_type": "PREFIX_TUNING"}, "type PREFIX_TUNING"),
        ({"base_model_name_or_path": None}, "names no base model"),
        ({"base_model_name_or_path": "/no/such/folder"}, "there is no folder '/no/such/folder'"),
    ],
)
def test_other_adapters_are_refused_by_name(adapter, config, said):
    with pytest.raises(ModelError, match=said):
        load_teacher(str(adapter(**config)), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({f"{QUERY}.lora_magnitude_vector": torch.ones(32)}, "holds .*magnitude_vector, which is no part"),
        ({f"{QUERY}.lora_A.weight": torch.ones(5, 32)}, "lora_A and lora_B of .*query do not fit each other"),
        ({f"{QUERY}.lora_B.weight": None}, "do not fit each other"),
        ({f"{QUERY}.lora_A.weight": torch.ones(4, 16)}, r"by \(32, 16\), which is \(32, 32\) in its base"),
        ({"layer.9.x.lora_A.weight": torch.ones(4, 32), "layer.9.x.lora_B.weight": torch.ones(32, 4)}, "not there"),
        ({f"{QUERY}.lora_A.weight": torch.full((4, 32), float("nan"))}, "NaN or infinite"),
        ({"bert.embeddings.word_embeddings.lora_embedding_A": torch.ones(4, 300)}, "no part of plain LoRA"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(adapter, tensors, said):
    with pytest.raises(ModelError, match=said):
        load_teacher(str(adapter(tensors=tensors)), ["a", "b", "c"])


def test_adapters_that_are_pickles_or_stand_beside_a_model_are_refused(adapter):
    folder = adapter()
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="a whole model and an adapter"):
        load_teacher(str(folder), ["a", "b", "c"])
    (folder / "model.safetensors").unlink()
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model\.bin, a pickle"):
        load_teacher(str(folder), ["a", "b", "c"])


def test_an_adapter_of_an_adapter_is_refused(adapter, tmp_path):
    inner = adapter()
    shutil.copytree(inner, tmp_path / "other")
    (tmp_path / "other" / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(inner), "peft_type": "LORA"})
    )
    with pytest.raises(ModelError, match="which is an adapter too"):
        load_teacher(str(tmp_path / "other"), ["a", "b", "c"])

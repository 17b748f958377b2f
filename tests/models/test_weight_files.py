import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from autocomp.errors import ModelError
from autocomp.models.loading import load_teacher


def change(folder, edit):
    """The weights after `edit(state)`, which changes them in place or gives new ones."""
    state = load_file(folder / "model.safetensors")
    save_file(edit(state) or state, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def config(folder, **changes):
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | changes))
    return str(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(saved, value):
    def spoil(state):
        state["bert.encoder.layer.1.output.dense.weight"][3, 5] = value
        state["bert.encoder.layer.0.output.dense.bias"][:2] = value

    with pytest.raises(
        ModelError, match=r"NaN or infinite: .*layer\.0\.output\.dense\.bias \(2\).*\(1\), 3 numbers in all"
    ):
        load_teacher(change(saved("bert"), spoil))


def test_of_many_spoilt_tensors_three_are_named(saved):
    with pytest.raises(ModelError, match=r"and \d+ more tensors") as caught:
        load_teacher(change(saved("bert"), lambda state: {name: w * float("nan") for name, w in state.items()}))
    assert str(caught.value).count("layer.") <= 3


def test_a_spoilt_encoder_without_a_head_is_refused_too(saved):
    def spoil(state):
        state["embeddings.word_embeddings.weight"][7, 0] = float("nan")

    with pytest.raises(ModelError, match="NaN or infinite"):
        load_teacher(change(saved("bert", "Model"), spoil), ["a", "b"])


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "model.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("suffix", ["ForSequenceClassification", "Model"])
def test_the_prefix_of_a_wrapper_is_taken_off(saved, prefix, suffix):
    folder = saved("bert", suffix)
    plain = load_teacher(str(folder), ["a", "b"])
    change(folder, lambda state: {prefix + name: w for name, w in state.items()})
    loaded = load_teacher(str(folder), ["a", "b"])
    assert (loaded.fingerprint, loaded.fine_tuned) == (plain.fingerprint, plain.fine_tuned)
    assert f"weights: the prefix {prefix!r} was taken off their names" in loaded.notes


def test_of_missing_weights_five_are_named_with_a_count_and_the_prefix_of_what_is_there(saved):
    folder = change(saved("bert"), lambda state: {f"my.wrapped.{name}": w for name, w in state.items()})
    with pytest.raises(ModelError, match=r"… \(\d\d in all\); all names .* begin with 'my\.wrapped\.'") as caught:
        load_teacher(folder)
    assert str(caught.value).partition(" in all")[0].count("bert.") == 5


def test_layers_that_the_config_does_not_want_are_said(saved):
    folder = config(saved("bert"), num_hidden_layers=1)
    (note,) = (n for n in load_teacher(folder).notes if "not used" in n)
    assert "bert.encoder.layer.1" in note and "(16 in all)" in note and "new one" not in note


def test_a_trained_head_of_another_name_is_said(saved):
    def add(state):
        state["fc.weight"], state["fc.bias"] = torch.zeros(2, 32), torch.zeros(2)

    loaded = load_teacher(change(saved("bert", "Model"), add), ["a", "b"])
    head = "if they are a trained head, it is not read: a new one is trained"
    expected = f"weights that are not used: fc.bias, fc.weight; {head}"
    assert expected in loaded.notes and not loaded.fine_tuned


@pytest.mark.parametrize("suffix", ["ForMaskedLM", "ForPreTraining", "Model"])
def test_heads_of_pretraining_need_no_word(saved, suffix):
    assert not any("weights" in note for note in load_teacher(str(saved("bert", suffix)), ["a", "b"]).notes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_old_names_are_read(saved, dtype):
    folder = saved("bert")
    expected = load_teacher(str(folder)).student.encoder.state_dict()

    def old(state):
        names = {
            name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            for name in state
        }
        return {names[name]: w.to(dtype) for name, w in state.items()}

    found = load_teacher(change(folder, old)).student.encoder.state_dict()
    for name, weight in expected.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(
            found[name], weight.to(dtype).float(), atol=2e-2 if "position" in name else 0, rtol=0
        )


MULTI_LABEL = [
    {"problem_type": "multi_label_classification"},
    {"architectures": ["BertForMultiLabelSequenceClassification"]},
    {"function_to_apply": "sigmoid"},
    {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}},
]
IDENTITY = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.1.0"}}


@pytest.mark.parametrize("changes", MULTI_LABEL)
def test_yes_or_no_for_each_label_is_multi_label(saved, changes):
    folder = config(saved("bert"), **changes)
    student = load_teacher(folder, ["LABEL_1", "LABEL_0"], kind="multi_label").student
    assert student.encoder.shape.head.kind == load_teacher(folder).student.encoder.shape.head.kind == "multi_label"
    own = load_teacher(folder).student.encoder.head.classifier.weight
    torch.testing.assert_close(student.encoder.head.classifier.weight, own[[1, 0]])
    with pytest.raises(ModelError, match=r"in the kind multi_label .*asks for classification .*as --kind multi_label"):
        load_teacher(folder, ["a", "b"])


@pytest.mark.parametrize("changes", [{}, {"problem_type": "regression"}, IDENTITY])
@torch.no_grad()
def test_one_output_is_a_number_in_the_unit_of_the_task(saved, changes):
    folder = config(saved("bert", num_labels=1), **changes)
    own = load_teacher(folder).student.encoder
    assert own.shape.head.kind == "regression"
    loaded = load_teacher(folder, ["score"], kind="regression", numbers=(1.5, 2.7))
    head = loaded.student.encoder.shape.head
    assert (loaded.student.labels, head.scale, head.offset, loaded.fine_tuned) == (("score",), 1.5, 2.7, True)
    ids = torch.tensor([[2, 9, 11, 3]])
    expected, found = (encoder(ids, torch.ones_like(ids)).logits for encoder in (own, loaded.student.encoder))
    torch.testing.assert_close(found, expected)
    with pytest.raises(
        ModelError, match=r"in the kind regression \(one number\), and the task asks for classification"
    ):
        load_teacher(folder, ["a", "b"])


@pytest.mark.parametrize("key", ["sbert_ce_default_activation_function", "function_to_apply"])
def test_a_number_that_a_function_changes_is_refused(saved, key):
    folder = config(saved("bert", num_labels=1), **{key: "torch.nn.modules.activation.Sigmoid"})
    with pytest.raises(ModelError, match=r"gives the sigmoid of its one output, .*same order: .*Identity"):
        load_teacher(folder, ["score"], kind="regression")


def test_several_numbers_are_refused(saved):
    with pytest.raises(ModelError, match=r"gives 2 numbers \(problem_type 'regression'\); autocomp learns one"):
        load_teacher(config(saved("bert"), problem_type="regression"), ["score"], kind="regression")


def test_what_a_model_without_a_head_was_for_is_of_no_matter(saved):
    folder = config(saved("bert", "Model"), problem_type="multi_label_classification")
    assert not load_teacher(folder, ["a", "b"]).fine_tuned

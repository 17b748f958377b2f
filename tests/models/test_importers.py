import pytest
import torch

from autocomp.errors import ModelError
from autocomp.models.encoder import encoder_from
from autocomp.models.importing import importer_of_type, importers
from autocomp.testing.models import FAMILIES, hugging_face


def batch(pad: int, token_types: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(17)[None] < torch.tensor([17, 9, 2])[:, None]).long()
    ids = torch.randint(5, 300, mask.shape, generator=generator)
    inputs = {"input_ids": torch.where(mask.bool(), ids, pad), "attention_mask": mask}
    types = torch.randint(0, 2, mask.shape, generator=generator)
    return inputs | ({"token_type_ids": types} if token_types else {})


def imported(model):
    importer = importer_of_type(model.config.model_type)
    shape = importer.shape(model.config, model.config.num_labels)
    return encoder_from(shape, importer.weights(model.state_dict(), shape))


@torch.no_grad()
def difference(model, token_types: bool) -> float:
    inputs = batch(model.config.pad_token_id, token_types)
    expected = model(**inputs).logits
    assert expected.std() > 0.05  # else nothing would be compared
    return float((imported(model)(**inputs).logits - expected).abs().max())


def test_all_families_are_tested():
    assert set(FAMILIES) == set(importers.names())


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_the_originals(family):
    types = family in ("bert", "electra", "albert")
    assert difference(hugging_face(family, num_labels=3), types) < 1e-4
    assert difference(hugging_face(family, num_labels=3), False) < 1e-4


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_activations_are_kept(activation):
    assert difference(hugging_face("electra", hidden_act=activation), True) < 1e-4


def test_electra_without_projection():
    assert difference(hugging_face("electra", embedding_size=32), True) < 1e-4


@torch.no_grad()
def test_hidden_states_equal_the_originals():
    model, inputs = hugging_face("bert"), batch(0, True)
    expected = model.bert(**inputs, output_hidden_states=True).hidden_states
    kept = inputs["attention_mask"].bool()
    for ours, theirs in zip(imported(model)(**inputs).hidden, expected, strict=True):
        torch.testing.assert_close(ours[kept], theirs[kept], atol=1e-4, rtol=0)


def test_what_we_cannot_compute_is_refused():
    with pytest.raises(ModelError, match="activation 'silu'"):
        imported(hugging_face("bert", hidden_act="silu"))
    with pytest.raises(ModelError, match="inner_group_num = 2"):
        imported(hugging_face("albert", inner_group_num=2))
    with pytest.raises(ModelError, match="embedding_size = hidden_size = 32"):
        imported(hugging_face("albert", embedding_size=32))

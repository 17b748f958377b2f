"""XLM-RoBERTa and CamemBERT: SentencePiece vocabularies, as transformers makes them, from the folder to the file."""

import json

import numpy as np
import pytest
import torch
import transformers

import autocomp
from autocomp.models.checkpoints import save_checkpoint
from autocomp.models.loading import load_teacher
from autocomp.pipeline.export import write_artifact
from autocomp.tasks import Example
from autocomp.techniques.vocabulary import shrink_vocabulary
from autocomp.testing.models import COMMON_WORDS, hugging_face
from autocomp.tokenizers.vocabulary import count_pieces
from autocomp.training.batches import encode
from autocomp.training.predictions import predict

CHARACTERS = "▁abcdefghijklmnopqrstuvwxyzéüß日本語мир.,!?'0123456789"
TEXTS = [
    "the film was good",
    "Ünïcödé: café, 日本語 and мир!",
    "a bad  film\twith spaces ",
    "très bien ﬁn",
    "good " * 60,
]
TOKENIZERS = {"xlm_roberta": "XLMRobertaTokenizer", "camembert": "CamembertTokenizer"}


def pieces():
    words = [(f"▁{word}", -3.0 - i / 50) for i, word in enumerate(COMMON_WORDS) if len(word) > 1]
    start = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return [*start, *words, *((c, -12.0 - i / 50) for i, c in enumerate(CHARACTERS)), ("<mask>", 0.0)]


@pytest.fixture(params=TOKENIZERS)
def folder(request, tmp_path):
    """A random model of either family with its own class of tokenizer."""
    tokenizer = getattr(transformers, TOKENIZERS[request.param])(vocab=pieces(), model_max_length=38)
    out = tmp_path / request.param
    names = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    hugging_face(request.param, vocab_size=len(tokenizer), **names).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return str(out)


@torch.no_grad()
def theirs(folder, texts, padded):
    """Ids and logits of transformers, all texts in one batch or each alone."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    first, second = ([t[k] for t in texts] for k in (0, 1)) if isinstance(texts[0], tuple) else (list(texts), None)
    whole = tokenizer(first, second, truncation=True)["input_ids"]
    if padded:
        batch = tokenizer(first, second, truncation=True, padding=True, return_tensors="pt")
        return whole, model(**batch).logits.numpy()
    return whole, np.concatenate([model(torch.tensor([ids])).logits.numpy() for ids in whole])


def rows(texts):
    return [Example(*t, 0) if isinstance(t, tuple) else Example(t, None, 0) for t in texts]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
def test_ids_and_logits_are_transformers(folder, pairs, padded):
    texts = list(zip(TEXTS, TEXTS[::-1], strict=True)) if pairs else TEXTS
    loaded = load_teacher(folder, ["no", "yes"], pairs=pairs, texts=texts)
    assert loaded.fine_tuned and loaded.student.max_length == 38 and loaded.notes == ()
    ids, expected = theirs(folder, texts, padded)
    data = encode(loaded.student, rows(texts))
    assert [i.tolist() for i in data.ids] == ids and expected.std() > 0.05
    np.testing.assert_allclose(predict(loaded.student, data).logits, expected, atol=1e-4)


def test_a_smaller_vocabulary_goes_into_file_and_checkpoint(folder, tmp_path):
    teacher = load_teacher(folder, ["no", "yes"]).student
    small = shrink_vocabulary(teacher, 64, count_pieces(teacher.tokenizer, TEXTS))
    assert small.tokenizer.get_vocab_size() == small.encoder.shape.vocabulary == 64 < teacher.encoder.shape.vocabulary
    text = "the film was good, très bien"
    unknown = small.tokenizer.token_to_id("<unk>")
    assert unknown not in small.tokenizer.encode("the film was good").ids
    longer, before = (len(s.tokenizer.encode(text).ids) for s in (small, teacher))
    assert longer >= before
    # row by row the embeddings are those of the same piece
    for piece in ("<s>", "</s>", "▁film", "é"):
        new, old = small.tokenizer.token_to_id(piece), teacher.tokenizer.token_to_id(piece)
        assert torch.equal(small.encoder.embeddings.word.weight[new], teacher.encoder.embeddings.word.weight[old])
    write_artifact(small, tmp_path / "file")
    predictor = autocomp.load(tmp_path / "file")
    data = encode(small, rows(TEXTS))
    logits = np.concatenate([predictor.run(batch)[0] for batch in predictor.batches(TEXTS)])
    assert [e.ids for e in predictor.encode(TEXTS)] == [i.tolist() for i in data.ids]
    np.testing.assert_allclose(logits, predict(small, data).logits, atol=1e-4)
    save_checkpoint(small, tmp_path / "checkpoint")
    assert json.loads((tmp_path / "checkpoint" / "config.json").read_text())["model_type"] == "bert"
    again, expected = theirs(str(tmp_path / "checkpoint"), TEXTS, padded=True)
    assert again == [i.tolist() for i in data.ids]
    np.testing.assert_allclose(expected, logits, atol=1e-4)
    reloaded = load_teacher(str(tmp_path / "checkpoint"), ["no", "yes"], texts=TEXTS)
    np.testing.assert_allclose(predict(reloaded.student, data).logits, logits, atol=1e-4)

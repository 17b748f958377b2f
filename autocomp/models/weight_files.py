"""Reading a model's weights from safetensors, and saying what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autocomp.architectures import EncoderShape
from autocomp.errors import ModelError
from autocomp.models.importing import Importer

FEW = 5
_WRAPPERS = ("_orig_mod.", "module.", "model.", "_forward_module.", "_fsdp_wrapped_module.")
"""What torch.compile, DistributedDataParallel, Lightning, DeepSpeed and FSDP put before a name."""
_OF_PRETRAINING = re.compile(
    r"(^|\.)(cls\.(predictions|seq_relationship)|lm_head|mlm|vocab_(transform|layer_norm|projector)|predictions|sop_classifier"
    r"|discriminator_predictions|generator_(predictions|lm_head)|position_ids|pooler)(\.|$)"
)


@dataclass(frozen=True)
class Weights:
    """A model's weights under transformers' names, FP32.

    Attributes:
        state: all that the model needs; what the files lack is there too, at random.
        missing: names that the files lack.
        unused: names in the files that the model does not need.
        notes: what was decided.
    """

    state: dict[str, Tensor]
    missing: frozenset[str]
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_weights(location: str, source: str, config: Any) -> Weights:
    """The weights of a folder or hub id; a wrapper's prefix of all names is taken off.

    Raises:
        ModelError: no safetensors, damaged, of other sizes than config.json says, or not finite.
    """
    weights = _read(location, source, config, None)
    prefix = _wrapper(weights)
    if prefix:
        weights = _read(location, source, config, {f"^{re.escape(prefix)}": ""})
        weights = Weights(
            weights.state,
            weights.missing,
            weights.unused,
            (f"weights: the prefix {prefix!r} was taken off their names",),
        )
    check_finite(weights.state, source)
    return weights


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that are NaN or infinite.

    Raises:
        ModelError: names the first tensors that hold some, and how many.
    """
    bad = {name: int((~torch.isfinite(w)).sum()) for name, w in state.items() if w.is_floating_point()}
    bad = {name: count for name, count in bad.items() if count}
    if bad:
        named = ", ".join(f"{name} ({count:,})" for name, count in list(bad.items())[:3])
        more = f" and {len(bad) - 3} more tensors" if len(bad) > 3 else ""
        raise ModelError(
            f"{source!r} has weights that are NaN or infinite: {named}{more}, {sum(bad.values()):,} numbers in all; "
            "an overflow of FP16 does this: take an earlier checkpoint, or save the model from FP32 or BF16"
        )


def lacks_classifier(importer: Importer, shape: EncoderShape, weights: Weights, source: str) -> bool:
    """Whether the model is not fine-tuned.

    Raises:
        ModelError: anything else is missing; says five names, the count, and what the names in the files begin with.
    """
    head, missing = importer.head(shape), weights.missing
    body = sorted(name for name in missing if name.rpartition(".")[0] not in head.values())
    lacks = f"{head['head.classifier']}.weight" in missing
    if body or (missing and not lacks):
        raise ModelError(_lacking(body or sorted(missing), weights.unused, source))
    return lacks


def unused_note(weights: Weights, fine_tuned: bool) -> list[str]:
    """A note on weights that the model does not use; none if they are of pretraining only."""
    names = [name for name in weights.unused if not _OF_PRETRAINING.search(name)]
    if not names:
        return []
    then = "" if fine_tuned else "; if they are a trained head, it is not read: a new one is trained"
    return [f"weights that are not used: {_few(names)}{then}"]


def _read(location: str, source: str, config: Any, renamed: Mapping[str, str] | None) -> Weights:
    from transformers import AutoModelForSequenceClassification

    try:
        with torch.random.fork_rng(devices=[]):  # transformers initialises what is missing from the global generator
            model, info = AutoModelForSequenceClassification.from_pretrained(
                location,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                dtype=torch.float32,
                key_mapping=renamed,
            )
    except Exception as error:  # safetensors, the hub and transformers each have errors of their own
        raise ModelError(f"the weights of {source!r} could not be read as safetensors: {error}") from error
    if info.get("mismatched_keys"):
        names = _few(sorted(map(str, info["mismatched_keys"])))
        raise ModelError(f"{source!r}: weights of another size than config.json says: {names}")
    return Weights(model.state_dict(), frozenset(info["missing_keys"]), tuple(sorted(info["unexpected_keys"])))


def _wrapper(weights: Weights) -> str:
    """The longest run of wrappers' names before all names in the files, if those are missing without it."""
    if not weights.missing or not weights.unused:
        return ""
    prefix = ""
    while step := next((w for w in _WRAPPERS if all(n.startswith(prefix + w) for n in weights.unused)), None):
        prefix += step
    bare = {name.removeprefix(prefix) for name in weights.unused}
    known = {*weights.missing, *(name.partition(".")[2] for name in weights.missing)}
    return prefix if prefix and bare & known else ""


def _lacking(missing: Sequence[str], unused: Sequence[str], source: str) -> str:
    begins = _common(unused)
    names = (
        f"; all names in the files that nothing needs begin with {begins + '.'!r}: is that a wrapper's prefix?"
        if begins
        else ""
    )
    others = f"; in the files, but not needed: {_few(unused)}" if unused and not begins else ""
    return (
        f"{source!r} lacks weights that its config.json promises: {_few(missing)}{names}{others}; "
        "save the whole model with save_pretrained"
    )


def _common(names: Sequence[str]) -> str:
    """The parts that all names begin with, dots between them."""
    shared = list[str]()
    for column in zip(*(name.split(".") for name in names), strict=False):
        if len(names) < 2 or len(set(column)) > 1:
            break
        shared.append(column[0])
    return ".".join(shared)


def _few(names: Collection[str] | Iterable[str]) -> str:
    names = list(names)
    more = f" … ({len(names)} in all)" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more

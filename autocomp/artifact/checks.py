"""Is this what an artifact says it is? Checks of a tokenizer and of an opened model, before either sees a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from autocomp.artifact.runtimes import Session
from autocomp.errors import ArtifactError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""All int64 `[batch, tokens]`; the last is there if the model tells the texts of a pair apart."""


def open_tokenizer(file: Path, manifest: Mapping[str, Any]) -> Tokenizer:
    """A tokenizer that cuts texts to the manifest's `max_length`, at its `truncation_side`.

    Raises:
        ArtifactError: no tokenizer, or `max_length` leaves no room for a text between its special tokens.
    """
    with _named(file):
        tokenizer = Tokenizer.from_file(str(file))
        special = tokenizer.num_special_tokens_to_add(manifest["pairs"])
        if manifest["max_length"] <= special:
            rule = f"max_length must be over the {special} special tokens"
            raise ArtifactError(f"{file.parent}: {rule}, got {manifest['max_length']}")
        tokenizer.enable_truncation(manifest["max_length"], direction=manifest.get("truncation_side", "right"))
    return tokenizer


def check_signature(session: Session, manifest: Mapping[str, Any], file: Path) -> None:
    """Refuse a model of other inputs or outputs than `write_model` gives it.

    Raises:
        ArtifactError: the message names the first difference.
    """
    inputs = {given.name: (given.type, len(given.shape or ())) for given in session.get_inputs()}
    for name in dict.fromkeys([*INPUTS[:2], *inputs]):
        if name not in INPUTS or inputs.get(name) != ("tensor(int64)", 2):
            rule = f"inputs must be {', '.join(INPUTS[:2])} and perhaps {INPUTS[2]}, int64 [batch, tokens]"
            raise ArtifactError(f"{file} is another model: {rule}; {name} is {inputs.get(name, 'missing')}")
    outputs = {given.name: (given.type, given.shape) for given in session.get_outputs()}
    _check_output(file, outputs, "logits", "tensor(float)", ["batch", len(manifest["labels"])])
    _check_output(file, outputs, "exit_depth", "tensor(int64)", [])


def _check_output(file: Path, outputs: Mapping[str, Any], name: str, kind: str, sizes: list[Any]) -> None:
    found_kind, found = outputs.get(name, (None, None))
    alike = found_kind == kind and len(found or ()) == len(sizes)
    if not alike or any(
        isinstance(size, int) and size != other for size, other in zip(sizes, found or (), strict=True)
    ):
        wanted = f"its output {name} must be {kind} {sizes}"
        raise ArtifactError(f"{file} is another model: {wanted}, found {outputs.get(name, 'none')}")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """The library's errors, which are bare Exceptions and sometimes Rust's panics, as ours."""
    try:
        yield
    except ArtifactError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ArtifactError(f"{file} is no tokenizer: {error}") from error

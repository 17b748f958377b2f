"""Use an artifact: needs onnxruntime, tokenizers, numpy and the standard library, and no training library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from autocomp.artifact.compiled import FOLDER, fits
from autocomp.artifact.files import MODEL, TOKENIZER, Manifest, model_files, oldest_runtime, read_manifest
from autocomp.artifact.runtime import open_session
from autocomp.artifact.runtimes import Session, runtimes
from autocomp.errors import ArtifactError, InputError
from autocomp.exit_rules import DEFAULT, checked_threshold
from autocomp.heads import DEFAULT as DEFAULT_HEAD
from autocomp.heads import AnswerJson, AnswerKey, heads

Text = str | tuple[str, str]
Inputs = dict[str, np.ndarray]
Outputs = Mapping[str, tuple[str, Sequence[str | int]]]
"""Type and sizes of a model's outputs, by name."""
_PAD_PIECES = ("[PAD]", "<pad>")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""All int64 `[batch, tokens]`; the last is there if the model tells the texts of a pair apart."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one text.

    Attributes:
        scores: probability of each label, or the number under its name.
        exit_depth: layers that ran.
        labels: the labels that hold, the most probable first: one where one is chosen of several, any number where each
            is yes or no, none where a number is asked for.
        value: the number; None where labels are asked for.
    """

    scores: dict[str, float]
    exit_depth: int
    labels: tuple[str, ...] = ()
    value: float | None = None

    @property
    def label(self) -> str:
        """The most probable label that holds; empty where none does."""
        return self.labels[0] if self.labels else ""

    def to_json(self, key: AnswerKey) -> AnswerJson:
        """Plain data: the answer under the key of its head, and the scores of labels."""
        if key == "value":
            return {"value": self.value}
        if key == "labels":
            return {"labels": list(self.labels), "scores": self.scores}
        return {"label": self.label, "scores": self.scores}


class Predictor:
    """A loaded artifact.

    Attributes:
        labels: names, in the order of the logits.
        head: what is asked of the model.
        manifest: as `read_manifest` gives it.
        session: of the runtime, ready to run.
        has_exits: whether it may answer before all layers have run.
    """

    def __init__(
        self,
        session: Session,
        tokenizer: Tokenizer,
        manifest: Manifest,
        exit_threshold: float | None = None,
    ) -> None:
        padding = tokenizer.padding or {}
        ids = (tokenizer.token_to_id(piece) for piece in _PAD_PIECES)
        self._pad_id = padding.get("pad_id", next((i for i in ids if i is not None), 0))
        # Some tokenizer.json pad every text to a fixed length: every latency would be wrong.
        tokenizer.no_padding()
        self.session, self._tokenizer, self.manifest = session, tokenizer, manifest
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self.head = heads[manifest.get("kind", DEFAULT_HEAD)]
        self._takes_types = "token_type_ids" in {given.name for given in session.get_inputs()}
        self.has_exits = _has_exits(session, manifest)
        self._threshold = _threshold_input(session, exit_threshold)

    def predict(self, texts: Text | Sequence[Text], batch_size: int = 1) -> list[Prediction]:
        """Answers with their probabilities, one prediction per text, in order.

        Args:
            texts: one text, one pair (a tuple of two strings), or a sequence of them.
            batch_size: texts run together; they leave at the first exit at which all of them are sure, so fewer do.

        Raises:
            InputError: pairs are given to an artifact for single texts, or the other way round.
        """
        texts = [texts] if isinstance(texts, str) or _is_pair(texts) else texts  # type: ignore[list-item]
        batches = (self.run(inputs) for inputs in self.batches(texts, batch_size))
        return [self._prediction(row, depth) for logits, depth in batches for row in logits]

    def encode(self, texts: Sequence[Text]) -> list[Encoding]:
        """Tokens of each text, cut to `max_length`, not padded.

        Raises:
            InputError: see `predict`.
        """
        return [self._encode(text) for text in texts]

    def batches(self, texts: Sequence[Text], batch_size: int = 1) -> list[Inputs]:
        """What `run` takes: consecutive texts, padded on the right to the longest of each batch."""
        encodings = self.encode(texts)
        starts = range(0, len(encodings), batch_size)
        return [self._pad(encodings[start : start + batch_size]) for start in starts]

    def run(self, inputs: Inputs) -> tuple[np.ndarray, int]:
        """Logits `[batch, labels]` and how many layers ran.

        Raises:
            ArtifactError: the model cannot compute them: its parts do not fit together, or the inputs do not fit it.
        """
        try:
            logits, depth = self.session.run(["logits", "exit_depth"], {**inputs, **self._threshold})
        except Exception as error:  # the runtime's exceptions have no common public base
            raise ArtifactError(f"the model cannot compute this input: {error}") from error
        return logits, int(depth)

    def _encode(self, text: Text) -> Encoding:
        if _is_pair(text) != self.manifest["pairs"]:
            wanted = "pairs of texts" if self.manifest["pairs"] else "single texts"
            raise InputError(f"this artifact takes {wanted}, got {text!r}")
        return self._tokenizer.encode(*text) if _is_pair(text) else self._tokenizer.encode(text)

    def _pad(self, encodings: Sequence[Encoding]) -> Inputs:
        lengths = np.array([len(e.ids) for e in encodings])
        mask = (np.arange(lengths.max())[None] < lengths[:, None]).astype(np.int64)
        ids, types = np.full_like(mask, self._pad_id), np.zeros_like(mask)
        for row, encoding in enumerate(encodings):
            ids[row, : lengths[row]], types[row, : lengths[row]] = encoding.ids, encoding.type_ids
        inputs = {"input_ids": ids, "attention_mask": mask}
        return {**inputs, "token_type_ids": types} if self._takes_types else inputs

    def _prediction(self, logits: np.ndarray, depth: int) -> Prediction:
        answer = self.head.answer(logits, self.labels, self.manifest.get("thresholds") or ())
        return Prediction(answer.scores, depth, answer.labels, answer.value)


def load(
    folder: str | Path,
    threads: int = 1,
    exit_threshold: float | str | None = None,
    runtime: str | None = None,
    optimized: str | Path | bool = True,
) -> Predictor:
    """Verify an artifact's files and make it ready to predict.

    Args:
        threads: CPU threads.
        exit_threshold: instead of the file's own, in the sense of the rule that the manifest names under `exits`
            (`autocomp.exit_rules`); `"never"` runs all layers.
        runtime: a name of `autocomp.artifact.runtimes`; None is the one that the files are written for.
        optimized: True takes the form that `write_optimized` left in the artifact if it was made of these files, on
            this machine, with this ONNX Runtime; else the artifact's own. A folder: such a form there. False: never.

    Raises:
        ArtifactError: not an artifact, or damaged.
        InputError: a threshold for an artifact without exits, or one that its rule cannot have, or another runtime's
            files.
        MissingExtra: the runtime is not installed.
    """
    manifest, folder = read_manifest(folder), Path(folder)
    tokenizer = open_tokenizer(folder / TOKENIZER, manifest)
    exits = manifest.get("exits")
    rule = exits.get("rule", DEFAULT) if exits else DEFAULT
    threshold = None if exit_threshold is None else checked_threshold(rule, exit_threshold)
    session = _open(folder, threads, runtime, manifest, optimized, threshold)
    check_signature(session, manifest, folder / model_files(folder)[0])
    predictor = Predictor(session, tokenizer, manifest, threshold)
    if threshold is not None and not predictor.has_exits:
        raise InputError(f"exit_threshold = {exit_threshold}, but this artifact has no exits; leave the threshold out")
    return predictor


def _open(
    folder: Path,
    threads: int,
    runtime: str | None,
    manifest: Manifest,
    optimized: str | Path | bool,
    threshold: float | None,
) -> Session:
    files = model_files(folder)
    if MODEL in files and runtime in (None, "onnxruntime"):
        made = Path(folder / FOLDER if optimized is True else optimized or "")
        is_usable = bool(optimized) and fits(made, manifest)
        session: Session = open_session(
            (made if is_usable else folder) / MODEL,
            threads,
            is_optimized=is_usable,
            exit_threshold=threshold,
            requires=oldest_runtime(manifest),
        )
        return session
    own = [name for name in runtimes if files == runtimes[name].files]
    name = runtime or own[0]
    if MODEL not in files and name not in own:
        raise InputError(f"{folder} holds files for {own[0]}, which {name} cannot run; give an exported ONNX model")
    return runtimes[name].open(folder, threads)


def _has_exits(session: Session, manifest: Manifest) -> bool:
    """Whether the manifest names exits; older models take the threshold as an input that may be left out."""
    return bool(manifest.get("exits")) or _takes_threshold(session)


def _takes_threshold(session: Session) -> bool:
    return "exit_threshold" in {given.name for given in session.get_overridable_initializers()}


def _threshold_input(session: Session, threshold: float | None) -> Inputs:
    if threshold is None or not _takes_threshold(session):
        return {}
    return {"exit_threshold": np.array(threshold, np.float32)}


def _is_pair(text: object) -> bool:
    return isinstance(text, tuple) and len(text) == 2 and all(isinstance(part, str) for part in text)


def open_tokenizer(file: Path, manifest: Manifest) -> Tokenizer:
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


def check_signature(session: Session, manifest: Manifest, file: Path) -> None:
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


def _check_output(file: Path, outputs: Outputs, name: str, kind: str, sizes: Sequence[str | int]) -> None:
    found_kind, found = outputs.get(name, (None, None))
    alike = found_kind == kind and len(found or ()) == len(sizes)
    if not alike or any(
        isinstance(size, int) and size != other for size, other in zip(sizes, found or (), strict=True)
    ):
        wanted = f"its output {name} must be {kind} {sizes}"
        raise ArtifactError(f"{file} is another model: {wanted}, found {outputs.get(name, 'none')}")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Turn the library's errors, bare Exceptions and sometimes Rust's panics, into ours."""
    try:
        yield
    except ArtifactError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ArtifactError(f"{file} is no tokenizer: {error}") from error

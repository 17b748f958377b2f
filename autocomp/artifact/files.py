"""The files of an artifact on disk: written atomically, verified when read. Standard library only."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, Unpack

from autocomp import strict_json
from autocomp.errors import ArtifactError
from autocomp.plan import PlanJson
from autocomp.storage import atomic_folder, write_atomically
from autocomp.strict_json import JsonView

FORMAT_VERSION = 1
MODEL, TOKENIZER, MANIFEST = "model.onnx", "tokenizer.json", "manifest.json"
FORMS = ((MODEL,), ("model.xml", "model.bin"))
"""Files of a model: ONNX, or the IR of OpenVINO."""
_REQUIRED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "labels": ("a list of different names", lambda v: _are_names(v) and len(set(v)) == len(v) > 0),
    "max_length": ("a whole number of tokens, at least 1", lambda v: type(v) is int and 0 < v < 2**31),
    "pairs": ("true or false", lambda v: type(v) is bool),
}
_SIDES = ("left", "right")
_REQUIRED_BEFORE = {"onnxruntime": ">=1.23"}
"""What every model needs that is older than the key `requires`."""


class FileFacts(TypedDict):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


class ExitFacts(TypedDict):
    """When texts leave early: the rule, its threshold, after which layers, of how many."""

    rule: str
    threshold: float
    depths: list[int]
    layers: int


class OptionalFacts(TypedDict, total=False):
    """What a manifest may say besides what every manifest says.

    `truncation_side` is there if texts that are too long lose their beginning; `measurements` are what was measured of
    the files, and `student_agreement` the fraction of answers that they share with the student in PyTorch. `kind` is
    what is asked of the model (a name of `autocomp.heads`; `classification` where it is missing), and `thresholds` are
    what its answers are decided by.
    """

    truncation_side: Literal["left", "right"]
    plan: PlanJson | None
    measurements: JsonView
    data_fingerprint: str | None
    exits: ExitFacts | None
    requires: Mapping[str, str] | None
    versions: Mapping[str, str | None]
    task: str
    metric: str
    positive: str | None
    student_agreement: float
    kind: str
    thresholds: list[float]


class ArtifactFacts(OptionalFacts):
    """What a manifest must say, given by whoever writes the artifact."""

    labels: list[str]
    max_length: int
    pairs: bool


class _Unsigned(ArtifactFacts):
    format_version: int
    files: dict[str, FileFacts]


class Manifest(_Unsigned):
    """`manifest.json`, as it is written and read; older ones lack some of the keys that may be missing."""

    checksum: str


_OPTIONAL: OptionalFacts = {
    "plan": None, "measurements": {}, "data_fingerprint": None, "exits": None, "requires": None,
}  # fmt: skip


class Serializable(Protocol):
    """An `onnx.ModelProto`, of which only this is needed."""

    def SerializeToString(self) -> bytes:  # noqa: N802  (onnx's name)
        """The file's bytes."""


def save_artifact(
    folder: str | Path, model: Serializable | Mapping[str, bytes], tokenizer_json: str, manifest: ArtifactFacts
) -> Manifest:
    """Write `model.onnx`, `tokenizer.json` and `manifest.json`; an artifact that is there already is replaced.

    All files are written beside `folder`, which is then renamed into place: no reader ever sees half of them.

    Args:
        model: an ONNX model, or the files of another form of model by name.
        manifest: `labels`, `max_length` and `pairs` at least; `truncation_side` if texts that are too long lose their
            beginning; `plan`, `measurements`, `data_fingerprint`, `requires` (`{"onnxruntime": ">=1.23"}`) and
            `versions` where known. It must be JSON.

    Returns:
        The manifest as written, with `format_version`, `files` (bytes and SHA-256 of each) and `checksum`.

    Raises:
        ArtifactError: a required key is missing or of a wrong type, or `folder` holds something else.
    """
    folder = Path(folder)
    _check_keys(manifest, "the manifest to save")
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise ArtifactError(f"{folder} is there and is no artifact (it has no {MANIFEST}); choose another folder")
    models = model if isinstance(model, Mapping) else {MODEL: model.SerializeToString()}
    contents = {**models, TOKENIZER: _compact(_with_cut(json.loads(tokenizer_json), manifest))}
    written = _complete(manifest, {name: _describe(data) for name, data in contents.items()})
    _write_folder(folder, {**contents, MANIFEST: _compact(written)})
    return written


def _with_cut(tokenizer: Any, manifest: ArtifactFacts) -> Any:
    """A tokenizer that states how texts are cut, if they do not lose their end."""
    if manifest.get("truncation_side", "right") == "right":
        return tokenizer
    cut = {"direction": "Left", "max_length": manifest["max_length"], "strategy": "LongestFirst", "stride": 0}
    return {**tokenizer, "truncation": cut}


def update_manifest(folder: str | Path, **changes: Unpack[OptionalFacts]) -> Manifest:
    """Change keys of the manifest (`measurements` become known only when the files are there), atomically.

    Raises:
        ArtifactError: as `read_manifest` does.
    """
    current = read_manifest(folder)
    changed: Manifest = {**current, **changes}
    manifest = _complete(changed, current["files"])
    write_atomically(Path(folder) / MANIFEST, _compact(manifest))
    return manifest


def artifact_bytes(folder: str | Path) -> int:
    """Bytes of all files of the artifact together.

    Raises:
        ArtifactError: one of them is missing.
    """
    return sum(file_bytes(folder).values())


def file_bytes(folder: str | Path) -> dict[str, int]:
    """`{name: bytes}` of model, tokenizer and manifest.

    Raises:
        ArtifactError: one of them is missing, or is no file.
    """
    return {name: _size(Path(folder), name) for name in (*model_files(Path(folder)), TOKENIZER, MANIFEST)}


def model_files(folder: Path) -> tuple[str, ...]:
    """Names of the model's files: those of the form of which the first file is there."""
    return next((form for form in FORMS if (folder / form[0]).exists()), FORMS[0])


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest, once every file has the size and SHA-256 that it states, and the model needs no other file.

    Raises:
        ArtifactError: something is missing, truncated, altered, of a wrong type, or of a newer format.
    """
    folder = Path(folder)
    if (folder / "config.json").is_file() and not (folder / MANIFEST).exists():
        raise ArtifactError(
            f"{folder} is no artifact but a Hugging Face folder: transformers' from_pretrained loads it"
        )
    file_bytes(folder)
    manifest = _parse(folder / MANIFEST)
    for name in (*model_files(folder), TOKENIZER):
        _verify(folder / name, manifest["files"].get(name))
    return manifest


def oldest_runtime(manifest: Manifest) -> str | None:
    """The oldest version of ONNX Runtime that opens an artifact, as `1.23`; None if it is not known."""
    requires = manifest.get("requires", _REQUIRED_BEFORE)
    stated = requires.get("onnxruntime") if isinstance(requires, Mapping) else None
    return stated.removeprefix(">=") if isinstance(stated, str) else None


def _size(folder: Path, name: str) -> int:
    try:
        status = (folder / name).stat()
    except OSError as error:
        raise ArtifactError(f"{folder} is not an artifact: {name} cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):  # a pipe would be read for ever
        raise ArtifactError(f"{folder} is not an artifact: its {name} is no file")
    return status.st_size


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read ({error.strerror})") from error


def _parse(file: Path) -> Manifest:
    try:
        manifest: Manifest = json.loads(_bytes_of(file))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} is damaged: not JSON ({error}); export the artifact again") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ArtifactError(f"{file} is no manifest of an autocomp artifact: it has no `files`")
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise ArtifactError(
            f"{file}: format_version = {found!r}, this autocomp reads {FORMAT_VERSION}; update autocomp"
        )
    if manifest.get("checksum") != _checksum(manifest):
        raise ArtifactError(f"{file} was altered: its checksum does not match; export the artifact again")
    _check_keys(manifest, str(file))
    return manifest


def _verify(file: Path, stated: Any) -> None:
    data = _bytes_of(file)
    found = _describe(data)
    if stated != found:
        raise ArtifactError(f"{file} is damaged: the manifest states {stated}, found {found}; copy or export it again")
    # Tensors in other files name theirs under the key `location`, wherever they stand in the graph. The runtime would
    # open that path; a model of ours holds no such bytes. (From the end, Python searches twice as fast.)
    if file.name == MODEL and data.rfind(b"location") >= 0:
        raise ArtifactError(f"{file} keeps tensors in other files; autocomp reads models that are one file")


def _check_keys(manifest: JsonView, where: str) -> None:
    missing = [key for key in _REQUIRED if key not in manifest]
    if missing:
        raise ArtifactError(f"{where} lacks {', '.join(missing)}")
    for key, (rule, holds) in _REQUIRED.items():
        if not holds(manifest[key]):
            raise ArtifactError(f"{where}: {key} must be {rule}, got {manifest[key]!r:.80}")
    side = manifest.get("truncation_side", "right")
    if side not in _SIDES:
        raise ArtifactError(f"{where}: truncation_side must be one of {', '.join(_SIDES)}, got {side!r:.80}")


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _complete(manifest: ArtifactFacts, files: Mapping[str, FileFacts]) -> Manifest:
    whole: _Unsigned = {
        "format_version": FORMAT_VERSION,
        **_OPTIONAL,
        "versions": _versions(),
        **manifest,
        "files": dict(files),
    }
    written: Manifest = json.loads(_compact(whole))  # numbers that JSON has no word for are null there
    written["checksum"] = _checksum(written)
    return written


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime", "tokenizers", "numpy")}


def _checksum(manifest: Manifest) -> str:
    """SHA-256 of everything in the manifest but the checksum, whatever the order of its keys."""
    facts = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _describe(data: bytes) -> FileFacts:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _compact(value: Any) -> bytes:
    """JSON without spaces: these bytes are shipped."""
    return strict_json.dumps(value, default=None, separators=strict_json.COMPACT).encode()


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    with atomic_folder(folder, replace=True) as new:
        new.mkdir()
        for name, data in contents.items():
            (new / name).write_bytes(data)

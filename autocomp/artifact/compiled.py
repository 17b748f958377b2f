"""An artifact's model as one machine's runtime runs it: unpacked, folded and fused, so that it loads at once.

Bigger than the artifact and good for one version of ONNX Runtime on one kind of processor, so it is never shipped and
never counted: a folder beside the artifact's files, which `load` takes when it fits and passes over when it does not.

Milliseconds to open a session, one thread, median on a busy machine, MiniLM at 4 bits and two of its layers at 3 bits
(even levels): the artifact 62 and 154;
the optimized graph in one file 22 and 11; with its tensors in a second file, which the runtime maps, 10 and 4; with
prepacked weights in it too, 12 and 4, for half as many bytes more. ONNX Runtime 1.32's own format: 27 and 10.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import TypedDict

import onnxruntime

from autocomp.artifact.files import MANIFEST, MODEL, Manifest, read_manifest
from autocomp.artifact.runtime import open_session
from autocomp.environment import Processor, processor
from autocomp.errors import ArtifactError, InputError
from autocomp.storage import atomic_folder

FOLDER, WEIGHTS = "optimized", "weights.bin"


class FormFacts(TypedDict):
    """What the form was made of, where, and bytes and CRC-32 of its files."""

    original: str
    onnxruntime: str
    machine: Processor
    files: dict[str, list[int]]


def write_optimized(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write `model.onnx`, `weights.bin` and `manifest.json`, atomically; an older form is replaced.

    Args:
        folder: an artifact.
        out: where to; None is the folder `optimized` in the artifact, where `load` finds it by itself.

    Returns:
        The folder written.

    Raises:
        ArtifactError: not an artifact, damaged, or of another runtime.
        InputError: `out` is there and is no such form.
    """
    folder = Path(folder)
    original = read_manifest(folder)["files"]
    if MODEL not in original:
        raise ArtifactError(f"{folder} holds no {MODEL} but files for another runtime; give an exported ONNX model")
    out = folder / FOLDER if out is None else Path(out)
    if out.exists() and not (out / WEIGHTS).is_file():
        raise InputError(f"{out} is there and is no optimized form (it has no {WEIGHTS}); choose another folder")
    with atomic_folder(out, replace=True) as new:
        new.mkdir()
        open_session(folder / MODEL, optimized_to=new / MODEL, weights_to=WEIGHTS)
        (new / WEIGHTS).touch()  # a tiny model has no tensor that is worth it
        facts = _facts(original[MODEL]["sha256"], new)
        (new / MANIFEST).write_text(json.dumps({**facts, "checksum": _checksum(facts)}), encoding="utf-8")
    return out


def fits(made: Path, artifact: Manifest) -> bool:
    """Whether a folder holds an undamaged form of this artifact, made by this runtime on this kind of machine.

    Args:
        made: a folder, which need not exist.
        artifact: the artifact's manifest.
    """
    try:
        facts = json.loads((made / MANIFEST).read_bytes())
        expected = _facts(artifact["files"][MODEL]["sha256"], made)
        return bool(facts == {**expected, "checksum": _checksum(expected)})
    except (OSError, ValueError, RecursionError):
        return False


def form_bytes(made: Path) -> int:
    """Bytes of the form's files."""
    return sum((made / name).stat().st_size for name in (MODEL, WEIGHTS, MANIFEST))


def _facts(original: str, made: Path) -> FormFacts:
    """The facts of a form that this runtime made on this kind of machine of a model with this SHA-256."""
    version = str(onnxruntime.__version__)
    return {"original": original, "onnxruntime": version, "machine": processor(), "files": _digests(made)}


def _digests(made: Path) -> dict[str, list[int]]:
    """Bytes and CRC-32 of each file: against accidents, at twice the speed of SHA-256."""
    contents = {name: (made / name).read_bytes() for name in (MODEL, WEIGHTS)}
    return {name: [len(data), zlib.crc32(data)] for name, data in contents.items()}


def _checksum(facts: FormFacts) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

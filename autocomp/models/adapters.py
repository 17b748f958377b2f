"""Merging a LoRA adapter (Hu et al., 2021, arXiv:2106.09685), as PEFT saves it, into its base model's weights."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from autocomp.errors import ModelError
from autocomp.models.folders import ADAPTER

WEIGHTS = "adapter_model.safetensors"
_MERGE = "merge it with peft: PeftModel.from_pretrained(…).merge_and_unload().save_pretrained(…)"
_KNOWN = {
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "eva_config", "exclude_modules",
    "inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout",
    "megatron_core", "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern",
    "runtime_config", "target_modules", "task_type", "use_rslora",
}  # fmt: skip
"""Options that are followed here, or change nothing once an adapter is trained; any other may change the result."""
_PLAIN_STARTS = ("true", "false", "none", "gaussian", "eva", "orthogonal")
"""Ways to begin that leave the base's weights as they are; others change them, and the adapter does not carry that."""
_FACTOR = re.compile(r"(.+)\.lora_([AB])\.weight")
_HEAD = re.compile(r"(.*\.)?classifier(\.out_proj)?\.weight")
_WRAPPINGS = re.compile(r"^base_model\.model\.|\.(modules_to_save|default|base_layer)(?=\.)")


@dataclass(frozen=True)
class LoraConfig:
    """What PEFT's `adapter_config.json` says of how strongly an adapter acts.

    Attributes:
        alpha: the product of the factors is multiplied by it and divided by the rank.
        alphas: other values of `alpha` for modules whose names match a pattern.
        by_root: divide by the rank's square root instead (rslora).
    """

    alpha: float
    alphas: Mapping[str, float]
    by_root: bool

    def scale(self, module: str, rank: int) -> float:
        """What the product of a module's factors is multiplied by.

        PEFT's rule: the first pattern counts that the module's name, or its end after a dot, matches.
        """
        matching = (a for pattern, a in self.alphas.items() if re.fullmatch(rf"(?:.*\.)?(?:{pattern})", module))
        return next(matching, self.alpha) / (math.sqrt(rank) if self.by_root else rank)


def adapter_labels(folder: Path) -> int | None:
    """How many labels the adapter's own classifier has; None if it brings none.

    Raises:
        ModelError: as `merged`.
    """
    tensors = _tensors(folder)
    return next((len(weight) for name, weight in tensors.items() if _HEAD.fullmatch(name)), None)


def merged(folder: Path, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], frozenset[str]]:
    """A base model's weights with the adapter's products added, and whole tensors of the adapter in their place.

    Args:
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.
        state: the base model's weights under transformers' names, FP32.

    Returns:
        The weights, and the names that the adapter brought whole (the classifier, biases).

    Raises:
        ModelError: another kind of adapter than plain LoRA, no safetensors, or tensors that do not fit the base.
    """
    config, new = _config(folder), dict(state)
    factors: dict[str, dict[str, Tensor]] = {}
    whole: set[str] = set()
    for name, tensor in _tensors(folder).items():
        if factor := _FACTOR.fullmatch(name):
            factors.setdefault(factor[1], {})[factor[2]] = tensor
        elif ".lora_" not in name and name.endswith((".weight", ".bias")):
            whole.add(name)
            new[name] = _fitting(folder, name, tensor, state)
        else:
            raise ModelError(f"{folder}: the adapter holds {name}, which is no part of plain LoRA; {_MERGE}")
    for module, pair in factors.items():
        new[f"{module}.weight"] = _sum(folder, module, pair, config, new)
    return new, frozenset(whole)


def _sum(
    folder: Path, module: str, pair: Mapping[str, Tensor], config: LoraConfig, state: Mapping[str, Tensor]
) -> Tensor:
    if set(pair) != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[-1]:
        raise ModelError(f"{folder}: the adapter's lora_A and lora_B of {module} do not fit each other; {_MERGE}")
    product = pair["B"] @ pair["A"] * config.scale(module, pair["A"].shape[0])
    return _fitting(folder, f"{module}.weight", product, state) + state[f"{module}.weight"]


def _fitting(folder: Path, name: str, tensor: Tensor, state: Mapping[str, Tensor]) -> Tensor:
    if name not in state or state[name].shape != tensor.shape:
        there = tuple(state[name].shape) if name in state else "not there"
        raise ModelError(
            f"{folder}: the adapter changes {name} by {tuple(tensor.shape)}, which is {there} in its base model"
        )
    return tensor


def _config(folder: Path) -> LoraConfig:
    try:
        config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / ADAPTER} cannot be read ({error})") from error
    kind = str(config.get("peft_type", "")).upper()
    if kind != "LORA":
        raise ModelError(
            f"{folder} is an adapter of type {kind or 'unknown'}; only plain LoRA is merged here; {_MERGE}"
        )
    refused = [name for name, value in config.items() if value and name not in _KNOWN]
    begun = str(config.get("init_lora_weights")).lower()
    refused += [] if begun in _PLAIN_STARTS else [f"init_lora_weights {begun!r}"]
    if refused:
        raise ModelError(f"{folder} is a LoRA adapter with {', '.join(refused)}, which is not merged here; {_MERGE}")
    alphas = {pattern: float(alpha) for pattern, alpha in (config.get("alpha_pattern") or {}).items()}
    return LoraConfig(float(config.get("lora_alpha", 8)), alphas, bool(config.get("use_rslora")))


def _tensors(folder: Path) -> dict[str, Tensor]:
    """The adapter's tensors in FP32 under the names of the base model's modules, without PEFT's wrappings."""
    file = folder / WEIGHTS
    if not file.is_file():
        there = (
            "adapter_model.bin, a pickle, which autocomp never opens"
            if (folder / "adapter_model.bin").is_file()
            else "none"
        )
        raise ModelError(
            f"{folder} needs {WEIGHTS}; there is {there}: save the adapter with a recent peft, or {_MERGE}"
        )
    try:
        loaded = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{file} could not be read as safetensors: {error}") from error
    return {_WRAPPINGS.sub("", name): w.float() for name, w in loaded.items() if ".original_module." not in name}

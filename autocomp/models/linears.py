"""The linear weights of an encoder: groups that share one setting, and those held as two factors of a rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from autocomp.architectures import EncoderShape, groups_of, parts_of
from autocomp.errors import ModelError
from autocomp.formats.factors import balanced_factors, factor_names


class Shaped(Protocol):
    """An encoder, of which only its shape and its parameters are needed."""

    shape: EncoderShape

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters."""


def linear_groups(shape: EncoderShape) -> dict[str, list[str]]:
    """`{group: parameter names}` of every large linear weight; classifiers and exit heads stay FP32."""
    return groups_of(parts_of(shape))


def group_sizes(encoder: Shaped) -> dict[str, int]:
    """Number of stored weights in each group; a weight of low rank is stored as its factors."""
    sizes = {name: weight.numel() for name, weight in stored_parameters(encoder).items()}
    stored = {n: (n,) for n in sizes} | {n: factor_names(n) for n, _ in encoder.shape.ranks}
    groups = linear_groups(encoder.shape)
    return {group: sum(sizes[part] for n in names for part in stored[n]) for group, names in groups.items()}


def scaled_magnitudes(encoder: Shaped) -> dict[str, np.ndarray]:
    """|weight| over its matrix' standard deviation, flat, per group; nothing of weights of low rank."""
    weights = dict(encoder.named_parameters())
    return {
        group: np.concatenate(
            [
                np.zeros(0, np.float32),
                *(
                    (weights[n].detach().abs() / weights[n].detach().std()).flatten().cpu().numpy()
                    for n in names
                    if n in weights
                ),
            ]
        )
        for group, names in linear_groups(encoder.shape).items()
    }


class LowRank(nn.Module):
    """A parametrization: the weight `[rows, columns]` is the product of `[rows, rank]` and `[rank, columns]`."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def forward(self, up: Tensor, down: Tensor) -> Tensor:
        """The weight."""
        return up @ down

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The factors of the nearest weight of this rank; of this weight itself if it has it."""
        up, down = balanced_factors(weight.detach().float().cpu().numpy(), self.rank)
        return torch.from_numpy(up).to(weight), torch.from_numpy(down).to(weight)


def hold_as_factors(encoder: nn.Module, shape: EncoderShape) -> None:
    """Make the weights that `shape.ranks` names products of two factors, in place.

    Raises:
        AttributeError: a name that is no parameter.
    """
    for name, rank in shape.ranks:
        owner, _, parameter = name.rpartition(".")
        parametrize.register_parametrization(encoder.get_submodule(owner), parameter, LowRank(rank))


def stored_parameters(encoder: Shaped) -> dict[str, nn.Parameter]:
    """What is stored: parameters by their names, those of low rank as `NAME.up` and `NAME.down`.

    A weight that something else parametrizes, as a hook may in training, is the one tensor that this starts from, under
    the weight's own name; parameters of the parametrization itself are not stored.

    Raises:
        ModelError: something else than a low rank makes a weight of several tensors.
    """
    stored, ranks = {}, dict(encoder.shape.ranks)
    for name, parameter in encoder.named_parameters():
        owner, is_held, rest = name.partition(".parametrizations.")
        if is_held:
            weight, _, tensor = rest.partition(".")
            name = _stored_name(f"{owner}.{weight}", tensor, f"{owner}.{weight}" in ranks)
        if name:
            stored[name] = parameter
    return stored


def _stored_name(weight: str, tensor: str, is_low_rank: bool) -> str:
    """The name of one tensor that a weight is made of; empty for what is not stored."""
    if not tensor.startswith("original"):
        return ""
    number = tensor.removeprefix("original")
    if number and not is_low_rank:
        raise ModelError(f"{weight} is parametrized by several tensors; only a low rank can be stored as such")
    return factor_names(weight)[int(number)] if number else weight


def foreign_parametrizations(encoder: nn.Module) -> list[str]:
    """Names of the weights that anything but a low rank parametrizes."""
    names = []
    for prefix, module in encoder.named_modules():
        if parametrize.is_parametrized(module):
            held = module.get_submodule("parametrizations").named_children()
            names += [f"{prefix}.{name}" for name, parts in held if not _is_low_rank(parts)]
    return names


def _is_low_rank(parts: nn.Module) -> bool:
    return [type(part) for part in parts.children()] == [LowRank]


def full_sizes(encoder: Shaped) -> dict[str, tuple[int, ...]]:
    """Size of every weight by its name, whole even where it is held as factors."""
    sizes = {name: tuple(parameter.shape) for name, parameter in stored_parameters(encoder).items()}
    ups = [name for name in sizes if name.endswith(".up")]
    for up in ups:
        whole = up.removesuffix(".up")
        sizes[whole] = (sizes.pop(up)[0], sizes.pop(f"{whole}.down")[1])
    return sizes

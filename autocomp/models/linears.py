"""The linear weights of an encoder: groups that share one setting, and those held as two factors of a rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from autocomp.architectures import EncoderShape, groups_of, parts_of
from autocomp.formats.factors import balanced_factors, factor_names


class Parameterized(Protocol):
    """Whatever has parameters by name: a module of torch."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters."""


class Shaped(Parameterized, Protocol):
    """An encoder, of which only its shape and its parameters are needed."""

    shape: EncoderShape


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
                    (weights[n].detach().abs() / weights[n].detach().std()).flatten().numpy()
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


def stored_parameters(encoder: Parameterized) -> dict[str, nn.Parameter]:
    """What is stored: parameters by their names, those of low rank as `NAME.up` and `NAME.down`."""
    stored = {}
    for name, parameter in encoder.named_parameters():
        owner, is_factor, rest = name.partition(".parametrizations.")
        if is_factor:
            weight, _, original = rest.partition(".original")
            name = factor_names(f"{owner}.{weight}")[int(original or 0)]
        stored[name] = parameter
    return stored


def full_sizes(encoder: Parameterized) -> dict[str, tuple[int, ...]]:
    """Size of every weight by its name, whole even where it is held as factors."""
    sizes = {name: tuple(parameter.shape) for name, parameter in stored_parameters(encoder).items()}
    ups = [name for name in sizes if name.endswith(".up")]
    for up in ups:
        whole = up.removesuffix(".up")
        sizes[whole] = (sizes.pop(up)[0], sizes.pop(f"{whole}.down")[1])
    return sizes

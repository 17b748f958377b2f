"""Weights held as two factors, so that training stays within their rank."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from autocomp.formats.factors import balanced_factors, factor_names
from autocomp.models.shape import EncoderShape


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


def stored_parameters(encoder: nn.Module) -> dict[str, nn.Parameter]:
    """What is stored: parameters by their names, those of low rank as `NAME.up` and `NAME.down`."""
    found = {}
    for name, parameter in encoder.named_parameters():
        owner, is_factor, rest = name.partition(".parametrizations.")
        if is_factor:
            weight, _, original = rest.partition(".original")
            name = factor_names(f"{owner}.{weight}")[int(original or 0)]
        found[name] = parameter
    return found


def full_sizes(encoder: nn.Module) -> dict[str, tuple[int, ...]]:
    """Size of every weight by its name, whole even where it is held as factors."""
    sizes = {name: tuple(parameter.shape) for name, parameter in stored_parameters(encoder).items()}
    ups = [name for name in sizes if name.endswith(".up")]
    for up in ups:
        whole = up.removesuffix(".up")
        sizes[whole] = (sizes.pop(up)[0], sizes.pop(f"{whole}.down")[1])
    return sizes

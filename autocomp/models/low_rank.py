"""Weights held as two factors, so that training stays within their rank."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from autocomp.errors import ModelError
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
    """What is stored: parameters by their names, those of low rank as `NAME.up` and `NAME.down`.

    A weight that something else parametrizes, as a hook may in training, is the one tensor that this starts from, under
    the weight's own name; parameters of the parametrization itself are nobody's to store.

    Raises:
        ModelError: something else than a low rank makes a weight of several tensors.
    """
    found = {}
    for name, parameter in encoder.named_parameters():
        owner, is_held, rest = name.partition(".parametrizations.")
        if is_held:
            weight, _, tensor = rest.partition(".")
            held = encoder.get_submodule(f"{owner}.parametrizations.{weight}")
            name = _stored_name(f"{owner}.{weight}", tensor, isinstance(next(held.children()), LowRank))
        if name:
            found[name] = parameter
    return found


def _stored_name(weight: str, tensor: str, is_low_rank: bool) -> str:
    """Of one tensor that a weight is made of; empty for what is not stored."""
    if not tensor.startswith("original"):
        return ""
    number = tensor.removeprefix("original")
    if number and not is_low_rank:
        raise ModelError(f"{weight} is parametrized by several tensors; only a low rank can be stored as such")
    return factor_names(weight)[int(number)] if number else weight


def foreign_parametrizations(encoder: nn.Module) -> list[str]:
    """Names of the weights that anything but a low rank parametrizes."""
    found = []
    for prefix, module in encoder.named_modules():
        if parametrize.is_parametrized(module):
            parts = module.get_submodule("parametrizations").named_children()
            found += [f"{prefix}.{name}" for name, held in parts if not _is_low_rank(held)]
    return found


def _is_low_rank(held: nn.Module) -> bool:
    return [type(part) for part in held.children()] == [LowRank]


def full_sizes(encoder: nn.Module) -> dict[str, tuple[int, ...]]:
    """Size of every weight by its name, whole even where it is held as factors."""
    sizes = {name: tuple(parameter.shape) for name, parameter in stored_parameters(encoder).items()}
    ups = [name for name in sizes if name.endswith(".up")]
    for up in ups:
        whole = up.removesuffix(".up")
        sizes[whole] = (sizes.pop(up)[0], sizes.pop(f"{whole}.down")[1])
    return sizes

"""A model's parameters as a table: each one once, with what its axes count, what it belongs to, and what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from autocomp.heads import HeadShape

COMPONENTS = (
    "embedding",
    "linear_before_attention",
    "attention",
    "linear_after_attention",
    "feed_forward",
    "layer_norm",
    "head",
    "exits",
)
"""What costs are told apart by, as in Ganesh et al. 2021, arXiv:2002.11985; `attention` itself has no parameters."""
LAYERS = ("linear_before_attention", "linear_after_attention", "feed_forward")
"""Components whose linears run in every layer: what decides time."""
Kind = Literal["linear", "table", "bias", "norm"]


@dataclass(frozen=True)
class Part:
    """One parameter.

    Attributes:
        name: of the parameter: `blocks.0.attention.query.weight`.
        axes: what each of its axes counts. What is removed from an axis goes from every part that has it.
        size: length of each axis.
        component: one of `COMPONENTS`.
        kind: the matrix of a `linear`, a `table` that is looked up, the scale or shift of a `norm`, or another vector,
            a `bias`.
        group: of the large linear weights that share one setting; empty where a weight stays FP32.
    """

    name: str
    axes: tuple[str, ...]
    size: tuple[int, ...]
    component: str
    kind: Kind
    group: str = ""

    @property
    def layer(self) -> str:
        """The module that it belongs to: `blocks.0.attention.query`."""
        return self.name.rpartition(".")[0]


Axis = tuple[str, int]
"""What an axis counts, and how many there are."""


def linear(name: str, to: Axis, of: Axis, component: str, group: str = "") -> tuple[Part, Part]:
    """The matrix `[to, of]` and the bias `[to]` of a linear."""
    matrix = Part(f"{name}.weight", (to[0], of[0]), (to[1], of[1]), component, "linear", group)
    return matrix, Part(f"{name}.bias", (to[0],), (to[1],), component, "bias")


def table(name: str, rows: Axis, width: Axis) -> Part:
    """A table `[rows, width]` of the embeddings."""
    return Part(f"{name}.weight", (rows[0], width[0]), (rows[1], width[1]), "embedding", "table")


def norm(name: str, of: Axis, component: str = "layer_norm") -> tuple[Part, Part]:
    """Scale and shift of a layer norm."""
    scale, shift = (Part(f"{name}.{what}", (of[0],), (of[1],), component, "norm") for what in ("weight", "bias"))
    return scale, shift


def head_parts(head: HeadShape, of: Axis) -> tuple[Part, ...]:
    """The parameters of a head over pooled states: one linear, or two."""
    labels = ("labels", head.labels)
    if head.size is None:
        return linear("head.classifier", labels, of, "head")
    size = ("head.size", head.size)
    dense = linear("head.dense", size, of, "head", "head.dense")
    return *dense, *linear("head.classifier", labels, size, "head")


def groups_of(parts: Sequence[Part]) -> dict[str, list[str]]:
    """`{group: parameter names}` of the large linear weights."""
    groups: dict[str, list[str]] = {}
    for part in parts:
        if part.group:
            groups.setdefault(part.group, []).append(part.name)
    return groups


def keep(weights: Mapping[str, Tensor], parts: Sequence[Part], axis: str, indices: Sequence[int]) -> dict[str, Tensor]:
    """The weights with these places of an axis alone, in this order, in every part that has it.

    Args:
        axis: as the parts name it; one that no part has changes nothing.
        indices: places on the axis.
    """
    import torch

    kept, index = dict(weights), torch.tensor(list(indices), dtype=torch.long)
    for part in parts:
        for number, name in enumerate(part.axes):
            if name == axis:
                kept[part.name] = kept[part.name].index_select(number, index.to(kept[part.name].device))
    return kept

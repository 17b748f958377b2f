"""Encoders of any architecture as named weights: made of them, filled with them, read back, or in outline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from autocomp.architectures import EncoderShape, architectures
from autocomp.architectures._encoder import Encoder
from autocomp.errors import ModelError
from autocomp.models.linears import hold_as_factors


class Outline(Encoder):
    """The sizes of an encoder without its numbers, to compute what a plan would make of it.

    `slicing.py` takes it for an encoder and gives another outline, a hundred times faster: no module is built.
    """

    def __init__(self, shape: EncoderShape, weights: Mapping[str, Tensor]) -> None:
        nn.Module.__init__(self)
        self.shape, self.dropout = shape, 0.0
        self.weights = {name: weight.to("meta") for name, weight in weights.items()}

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """The whole weights by name, on no device."""
        for name, weight in self.weights.items():
            yield name, nn.Parameter(weight, requires_grad=False)


def blank_encoder(shape: EncoderShape, dropout: float = 0.0) -> Encoder:
    """An encoder whose weights are uninitialised memory, to be filled; draws no random number.

    Weights of low rank are whole yet: `hold_as_factors` once they are filled.
    """
    with torch.device("meta"):
        encoder = architectures[shape.architecture].module(shape, dropout)
    return encoder.to_empty(device="cpu")


def encoder_from(shape: EncoderShape, weights: Mapping[str, Tensor], dropout: float = 0.0) -> Encoder:
    """An encoder of the given shape holding a copy of `weights` (named as in the contract), in evaluation mode.

    A weight that `shape.ranks` names becomes the nearest one of that rank.

    Raises:
        ModelError: when a weight is missing, unknown or of another size.
    """
    encoder = blank_encoder(shape, dropout)
    try:
        encoder.load_state_dict(dict(weights), strict=True)
        hold_as_factors(encoder, shape)
    except (RuntimeError, AttributeError) as error:
        raise ModelError(f"weights do not fit the encoder's shape: {error}") from error
    return encoder.eval()


def encoder_like(encoder: Encoder, shape: EncoderShape, weights: Mapping[str, Tensor]) -> Encoder:
    """An encoder of the given shape where another one is: an outline of an outline, else on its device, in its mode."""
    if isinstance(encoder, Outline):
        return Outline(shape, weights)
    device = next(encoder.parameters()).device
    return encoder_from(shape, weights, encoder.dropout).to(device).train(encoder.training)


def plain_weights(encoder: nn.Module) -> dict[str, Tensor]:
    """`{name: tensor}` under the contract's names, detached; a parametrized weight gives its effective value."""
    if isinstance(encoder, Outline):
        return dict(encoder.weights)
    found: dict[str, Tensor] = {}
    for prefix, module in encoder.named_modules():
        if "parametrizations" in prefix.split("."):
            continue
        names = [name for name, _ in nn.Module.named_parameters(module, recurse=False, remove_duplicate=False)]
        if parametrize.is_parametrized(module):
            names += list(module.parametrizations)
        found |= {f"{prefix}.{name}" if prefix else name: getattr(module, name).detach() for name in names}
    return found

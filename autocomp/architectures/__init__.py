"""What is a student made of? One file for each architecture; each defines `architecture`.

An architecture owns its shape, its module, how it is written into a file, and one table of its parts, which slicing,
counts, random weights, formats and reports read. It needs numpy alone at import, and torch inside its functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from autocomp.architectures._parts import (
    COMPONENTS,
    LAYERS,
    Kind,
    Part,
    groups_of,
    head_parts,
    keep,
    linear,
    norm,
    table,
)
from autocomp.architectures._shape import DEFAULT, BlockShape, EncoderShape, kept_tokens
from autocomp.heads import LayerBuilder
from autocomp.registry import Registry
from autocomp.space import Knob

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from autocomp.architectures._encoder import Encoder

__all__ = [
    "COMPONENTS",
    "DEFAULT",
    "LAYERS",
    "Architecture",
    "BlockShape",
    "EncoderBuilder",
    "EncoderShape",
    "Kind",
    "Part",
    "architectures",
    "groups_of",
    "head_parts",
    "keep",
    "kept_tokens",
    "linear",
    "norm",
    "parts_of",
    "table",
]


class EncoderBuilder(LayerBuilder, Protocol):
    """A graph that an architecture writes itself into.

    Attributes:
        ids: the texts' pieces, int64 `[batch, tokens]`.
    """

    @property
    def ids(self) -> str:
        """The texts' pieces, int64 `[batch, tokens]`, padding on the right."""

    def look_up(self, name: str, ids: str) -> str:
        """Rows of the table of this name, float32 `[…, width]`."""

    def vector(self, name: str) -> str:
        """A parameter of one axis, float32."""

    def head(self, states: str, scores: str | None = None) -> str:
        """The outputs `[batch, C]` of states `[batch, tokens, hidden]`.

        With `scores` `[batch, tokens]` the mean over the tokens weighs each by the softmax of its own.
        """

    def layers(self) -> tuple[str, str]:
        """The layers of a Transformer with their exits: outputs, and how many layers ran."""


class Architecture(Protocol):
    """What a module of this folder defines.

    Attributes:
        summary: what its students are, one line for people.
        follows_states: whether its students have states after each layer, and queries, keys and values, that can follow
            the teacher's; if not they learn from answers and labels alone.
        options: names of the sizes that a plan chooses.
        rate: the peak of the learning rate over that of a Transformer.
        pace: steps that its students make for one step of a fidelity, because theirs are so much cheaper.
    """

    summary: str
    follows_states: bool
    options: tuple[str, ...]
    rate: float
    pace: int

    def knobs(self, teacher: EncoderShape) -> dict[str, Knob]:
        """What of its sizes may vary for students of a teacher: one knob for each of `options`."""

    def shape(self, teacher: EncoderShape, sizes: Mapping[str, int]) -> EncoderShape:
        """The shape of a student of a teacher; `sizes` has one value of each knob."""

    def weights(
        self, shape: EncoderShape, teacher: Mapping[str, Tensor], counts: np.ndarray, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """What a student of this shape starts from, by the names of its parts.

        Args:
            teacher: the teacher's weights, by the names of its parts. They may be on the device `meta`, without
                values: then the sizes of what is made matter alone.
            counts: how often each piece of the vocabulary occurs in the training texts, `[V]`.
            rng: of every random draw.
        """

    def describe(self, sizes: Mapping[str, int]) -> str:
        """A few plain words for a plan; empty for what the teacher is."""

    def parts(self, shape: EncoderShape) -> tuple[Part, ...]:
        """Every parameter once."""

    def rows(self, shape: EncoderShape, part: Part, tokens: int) -> int:
        """How many vectors a linear multiplies for one text of `tokens` tokens."""

    def products_between_tokens(self, shape: EncoderShape, tokens: int) -> dict[str, int]:
        """Multiply-adds of one text that no part stands for, by component: those of attention."""

    def module(self, shape: EncoderShape, dropout: float) -> Encoder:
        """The torch module; its weights may be of any values."""

    def write(self, build: EncoderBuilder, shape: EncoderShape) -> tuple[str, str]:
        """The same in a file: names of the outputs `[batch, C]`, and of how many layers ran, an int64 scalar."""


architectures: Registry[Architecture] = Registry("architecture", "autocomp.architectures", "architecture")
"""What a student can be: one module of this package each, and those of plug-ins."""


def parts_of(shape: EncoderShape) -> tuple[Part, ...]:
    """The parameters of an encoder of this shape, each once.

    Raises:
        UnknownName: no architecture has the name that the shape says.
    """
    return architectures[shape.architecture].parts(shape)

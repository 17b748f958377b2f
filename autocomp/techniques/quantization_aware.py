"""Quantization-aware finishing: the last part of recovery sees weights as the file will store them.

In its simplest form (Jacob et al. 2018, arXiv:1712.05877; gradients straight through, Bengio et al. 2013,
arXiv:1308.3432): forward and backward run on the nearest values that the weight's format can hold, and the optimizer
moves the full-precision weights behind them. Scales and levels are fitted as the writer fits them, anew every 50 steps.
The codes of the end go to the file as they are (those of 8 bits are rounded anew), and the full-precision weights stay
in the student, so that a longer training goes on from them. Weights of low rank are left out: they are rounded after
training, as by `linear_bits`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from autocomp.formats import WeightFormat
from autocomp.formats.numbers import Encoded, encode
from autocomp.formats.numbers._shared import signed
from autocomp.space import Knob
from autocomp.techniques._base import ANY_ARCHITECTURE, Context, Options, PlannedModel, Stage, Technique
from autocomp.techniques._bits import set_embedding_bits, set_linear_bits
from autocomp.training.hooks import Hook

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student

EVERY = 50
"""Steps for which scales and levels stay as they were fitted."""
CARRIED = (2, 3, 4)
"""Bits whose codes go to the file. At 8, neighbours may have grown past what every CPU multiplies rightly since the
last fit, and rounding anew changes next to nothing."""
Bits = Literal[2, 3, 4, 8, 32]


class QuantizationAwareOptions(Options):
    """Bits of the linear weights and of the embedding tables, and the part of a training after which they are seen."""

    linears: Bits = 32
    embeddings: Bits = 32
    begins: float = Field(default=0.6, ge=0, lt=1)

    @property
    def is_off(self) -> bool:
        """Whether everything stays in FP32."""
        return self.linears == self.embeddings == 32


def in_bits(student: Student, options: QuantizationAwareOptions) -> Student:
    """The student with the formats of its bits; sparse weights stay sparse."""
    from autocomp.models.linears import linear_groups

    if options.linears < 32:
        student = set_linear_bits(student, dict.fromkeys(linear_groups(student.encoder.shape), options.linears))
    return set_embedding_bits(student, options.embeddings) if options.embeddings < 32 else student


class Grid:
    """The values that a matrix can have in a format, once its scales and levels are fitted.

    Attributes:
        format: of the matrix.
    """

    def __init__(self, weight: Tensor, format: WeightFormat) -> None:
        import torch

        self.format, self._fit = format, encode(weight.cpu().numpy(), format)
        points, codes = _points(self._fit, format)
        self._codes = torch.from_numpy(codes)
        self._points = torch.from_numpy(points).to(weight.device)
        self._scales = torch.from_numpy(self._fit.per_row[0].astype(np.float32)).to(weight.device)

    def nearest(self, weight: Tensor) -> Tensor:
        """The nearest value of each weight, float32; where the format is sparse zero stays zero."""
        values = self._levels(weight / self._scales) * self._scales
        return values.mul_(weight != 0) if self.format.sparse else values

    def encoded(self, weight: Tensor) -> Encoded:
        """The codes of the nearest values, as a file stores them."""
        import torch

        levels = self._levels(weight / self._scales).cpu()
        codes = self._codes[torch.searchsorted(self._points.cpu(), levels)]
        if self.format.sparse:
            codes = codes.masked_fill((weight == 0).cpu(), 0)
        return replace(self._fit, codes=codes.numpy())

    def _levels(self, x: Tensor) -> Tensor:
        """The nearest point to each of `x`. Points are whole numbers below 128, so that sums of steps are exact."""
        points = self._points
        if self._fit.levels is None:  # all whole numbers of a range
            return x.round_().clamp_(points[0], points[-1])
        found = points[0].repeat(x.shape)
        for below, above in pairwise(points.tolist()):
            found.add_(x > (below + above) / 2, alpha=above - below)
        return found


def _points(fit: Encoded, format: WeightFormat) -> tuple[np.ndarray, np.ndarray]:
    """Ascending whole numbers, float32, that times a row's scale are a matrix' values, and the code of each, int8.

    Of a sparse matrix without code 0, which is for weights that are zero.
    """
    size, first = 1 << format.bits, int(format.sparse)
    if fit.levels is None:
        codes = np.arange(1 - size // 2, size // 2)
        return codes.astype(np.float32), codes.astype(np.int8)
    points, places = np.unique(fit.levels[first:].astype(np.float32), return_index=True)
    return points, signed(places + first, size)


class _Awareness(Hook):
    """One student that is shown its weights as they will be stored."""

    def __init__(self, student: Student, options: QuantizationAwareOptions) -> None:
        self._student, self._options, self._steps = student, options, 0
        self._grids: dict[str, Grid] = {}
        self._latent: dict[str, Tensor] = {}

    def before_step(self, fraction: float) -> None:
        """Put the nearest values in the weights' place."""
        if fraction < self._options.begins:
            return
        self._fit(anew=self._steps % EVERY == 0)
        self._steps += 1
        for name, weight in self._weights().items():
            self._latent[name] = weight.data
            weight.data = self._grids[name].nearest(weight.data)

    def before_update(self, fraction: float) -> None:
        """Put the weights back: their gradients are those of the values that were seen."""
        weights = self._weights() if self._latent else {}
        for name, latent in self._latent.items():
            weights[name].data = latent
        self._latent = {}

    def finish(self) -> None:
        """Leave the codes of the last values beside the weights behind them."""
        from autocomp.models.codes import coded

        self._fit(anew=not self._steps)
        grids = {name: (self._grids[name], weight.detach()) for name, weight in self._weights().items()}
        self._student.codes = {
            name: coded(values.cpu().numpy(), grid.format, grid.encoded(values))
            for name, (grid, values) in grids.items()
            if grid.format.bits in CARRIED
        }
        self._student.formats = in_bits(self._student, self._options).formats

    def _fit(self, anew: bool) -> None:
        """Grids of all weights, or of those alone whose format has changed since, as new zeros change it."""
        formats = in_bits(self._student, self._options).formats
        for name, weight in self._weights().items():
            known = self._grids.get(name)
            if anew or known is None or known.format != formats[name]:
                self._grids[name] = Grid(weight.detach(), formats[name])

    def _weights(self) -> dict[str, nn.Parameter]:
        """The matrices that are stored in few bits, by name."""
        formats = in_bits(self._student, self._options).formats
        known = dict(self._student.encoder.named_parameters())
        return {name: known[name] for name, format in formats.items() if name in known and format.bits < 32}


class QuantizationAware(Technique[QuantizationAwareOptions]):
    """The technique that lets the end of recovery see weights as the file stores them."""

    summary = "finish recovery on weights as the file stores them, in 2 to 8 bits"
    paper = "Jacob et al. 2018, arXiv:1712.05877; Bengio et al. 2013, arXiv:1308.3432"
    stage = Stage.NUMERICS
    touches = frozenset({"linears.format", "embeddings.format"})
    architectures = ANY_ARCHITECTURE
    Options = QuantizationAwareOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """2, 3, 4 and 8 bits, and FP32."""
        return {"linears": Knob((2, 3, 4, 8, 32)), "embeddings": Knob((2, 3, 4, 8, 32))}

    def training(self, student: Student, options: QuantizationAwareOptions, context: Context) -> Hook | None:
        """Show it what will be stored."""
        return None if options.is_off else _Awareness(student, options)

    def convert(self, student: Student, options: QuantizationAwareOptions, context: Context) -> Student:
        """Set the formats; codes that it was trained to hold as long as these are theirs."""
        return in_bits(student, options)

    def planned(self, model: PlannedModel, options: QuantizationAwareOptions) -> PlannedModel:
        """Bits of linear weights and of the word table."""
        return replace(model, bits={"": options.linears}, embedding_bits=options.embeddings)

    def describe(self, options: QuantizationAwareOptions, teacher: EncoderShape) -> str:
        """`3-bit linears and 2-bit embeddings, trained as stored`."""
        kinds = {"linears": options.linears, "embeddings": options.embeddings}
        words = " and ".join(f"{bits}-bit {kind}" for kind, bits in kinds.items() if bits < 32)
        return f"{words}, trained as stored" if words else ""

    def explain(self, options: QuantizationAwareOptions, teacher: EncoderShape) -> str:
        """Bits, and that they were there in training."""
        kinds = {"Weights of the linear layers": options.linears, "numbers of the embedding tables": options.embeddings}
        words = [f"{kind} take {bits} bits each" for kind, bits in kinds.items() if bits < 32]
        if not words:
            return ""
        said = " and ".join(words)
        return f"{said[0].upper()}{said[1:]}, and the end of its training saw them so."


technique = QuantizationAware()

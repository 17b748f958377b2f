"""Does the file compute, layer by layer, what the PyTorch student computes?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from autocomp.architectures.transformer._module import Block
from autocomp.errors import ExportMismatch
from autocomp.formats import FLOAT32
from autocomp.formats.factors import factor_names, runs_as_two
from autocomp.formats.numbers import gives_int8
from autocomp.formats.quantize import row_scales
from autocomp.models.linears import stored_parameters
from autocomp.pipeline.fake_quantize import stored_weights
from autocomp.training.batches import Encoded, collate

if TYPE_CHECKING:
    from autocomp.models.student import Student

Compared = tuple[str, float, float]
"""A part and how often it ran before, the squared error, and the squared size of the student's values."""


MOST_STATE_ERROR = 0.01
"""What rounding explains: a value at the border of two codes may fall to the other side. Clean files gave at most
0.0005 after any norm (200 random plans of all techniques; MiniLM on sentences of SST-2, 2 to 8 bits of every number
system, FP16, FP32), 0.0015 with low ranks as two products; one row of 64 with its sign turned gave 0.04 and more."""

MOST_LOGIT_ERROR = 0.05
"""Error allowed of the logits, which are small differences of large sums; clean files gave at most 0.0004."""


@dataclass(frozen=True)
class Answer:
    """What a file gave for one text: states from `norm_states`, logits `[1, C]`, and how many layers ran."""

    states: Sequence[np.ndarray]
    logits: np.ndarray
    depth: int


def check_parity(student: Student, data: Encoded, answers: Sequence[Answer]) -> None:
    """Compare a file with the student that it was written from, on real texts, one part of the encoder at a time.

    Raises:
        ExportMismatch: names the first part that differs by more than rounding explains, in the order of the encoder.
    """
    for part, error in part_errors(student, data, answers):
        most = MOST_STATE_ERROR if part not in _heads(student) else MOST_LOGIT_ERROR
        if not error <= most:  # an error that is not a number is one too
            rule = f"rounding explains at most {most:.0%}"
            raise ExportMismatch(f"{part}: the file's values are {error:.1%} away from the PyTorch student's; {rule}")


def part_errors(student: Student, data: Encoded, answers: Sequence[Answer]) -> list[tuple[str, float]]:
    """How far the file is from the student after each layer norm and at the heads, each part for itself.

    The student runs with the weights that its formats can hold and with the inputs of int8 linears rounded as the file
    rounds them, and behind each norm it goes on with what the file computed. So no error is carried into a later part.

    Returns:
        Per part (`embeddings`, `blocks.0.attention`, `blocks.0.feed_forward`, …, `head`, `exits.2`) the root mean
        square of the difference over that of the student's values.

    Raises:
        ExportMismatch: the file has another number of norms than the student.
    """
    student.encoder.eval()
    with stored_weights(student), torch.no_grad():
        linears = _int8_linears(student)
        texts = [_follow(student, linears, data, row, answer) for row, answer in enumerate(answers)]
    names = {name: None for text in texts for name, *_ in text}
    sums = {name: np.zeros(2) for name in sorted(names, key=_heads(student).__contains__)}
    for name, wrong, size in (part for text in texts for part in text):
        sums[name] += wrong, size
    return [(name.partition(" ")[0], float(np.sqrt(w / max(s, 1e-30)))) for name, (w, s) in sums.items()]


def _int8_linears(student: Student) -> dict[str, list[Tensor]]:
    """The int8 weights `[out, in]` of each linear that the file runs in int8, in the order of their use."""
    ranks, stored = dict(student.encoder.shape.ranks), stored_parameters(student.encoder)
    weights = {}
    for name, module in student.encoder.named_modules():
        weight, format = f"{name}.weight", student.formats.get(f"{name}.weight", FLOAT32)
        if isinstance(module, nn.Linear) and format.runs_int8:
            factors = [stored[part] for part in factor_names(weight)] if weight in ranks else []
            two = weight in ranks and runs_as_two(ranks[weight], module.out_features, module.in_features)
            parts = factors[::-1] if two else [module.weight]
            is_ready = gives_int8(format) and (two or not factors)
            weights[name] = [part if is_ready else _in_int8(part) for part in parts]
    return weights


def _in_int8(weight: Tensor) -> Tensor:
    """A weight as it is rounded at load: to integers with a scale a row."""
    scales = torch.from_numpy(row_scales(weight.detach().numpy()))
    return torch.round(weight / scales) * scales


def _heads(student: Student) -> list[str]:
    return ["head", *(f"exits.{depth}" for depth in student.encoder.shape.exits)]


def _follow(
    student: Student, linears: Mapping[str, Sequence[Tensor]], data: Encoded, row: int, answer: Answer
) -> list[Compared]:
    batch = collate(student, data, [row])
    with _Follower(student, linears, answer.states) as follower:
        outputs = student.encoder(batch.ids, batch.mask, batch.types)
    if len(follower.compared) != len(answer.states):
        raise ExportMismatch(
            f"the file has {len(answer.states)} layer norms, the student runs {len(follower.compared)}"
        )
    left = answer.depth < student.encoder.shape.depth
    logits = outputs.exit_logits[answer.depth] if left else outputs.logits
    name = f"exits.{answer.depth}" if left else "head"
    return [*follower.compared, _compared(name, logits, torch.from_numpy(answer.logits))]


def _compared(name: str, expected: Tensor, actual: Tensor) -> Compared:
    wrong = (expected - actual).double()
    return name, float((wrong**2).sum()), float((expected.double() ** 2).sum())


class _Follower:
    """While it lasts, the encoder takes the file's states from norm to norm, and some linears run in int8.

    Attributes:
        compared: the state after each norm that ran, beside the file's.
    """

    def __init__(self, student: Student, linears: Mapping[str, Sequence[Tensor]], states: Sequence[np.ndarray]) -> None:
        self.compared: list[Compared] = []
        self._student, self._linears, self._states, self._depth = student, linears, states, 0

    def __enter__(self) -> _Follower:
        parts = self._student.encoder.named_modules()
        self._hooks = [handle for name, module in parts for handle in self._on(name, module)]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._hooks:
            handle.remove()

    def _on(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        if isinstance(module, nn.LayerNorm):
            yield module.register_forward_hook(lambda _, __, result: self._replaced(name, result))
        elif isinstance(module, Block):
            yield module.register_forward_pre_hook(self._deeper)
        elif name in self._linears:
            yield module.register_forward_hook(lambda module, given, _: self._product(name, given[0], module.bias))

    def _deeper(self, *_: object) -> None:
        self._depth += 1

    def _replaced(self, name: str, expected: Tensor) -> Tensor:
        """The file's state in place of the student's; of the first token alone where the file computes fewer."""
        part = f"{name.removesuffix('norm').rstrip('._')} {len(self.compared)}"
        if len(self.compared) >= len(self._states):
            self.compared.append((part, 0.0, 0.0))
            return expected
        actual = torch.from_numpy(self._states[len(self.compared)])
        kept = expected.shape[1] if actual.shape == expected.shape else 1
        self.compared.append(_compared(part, expected[:, :kept], actual[:, :kept]))
        return torch.cat([actual[:, :kept], expected[:, kept:]], 1)

    def _product(self, name: str, x: Tensor, bias: Tensor) -> Tensor:
        """An int8 product; where one token's state is read, in the last layer of that one, but for keys and values."""
        shape = self._student.encoder.shape
        is_last = self._depth == shape.depth and name.startswith("blocks.")
        reads_all = not (is_last and shape.reads_first_only) or name.endswith((".key", ".value"))
        for weight in self._linears[name]:
            x = nn.functional.linear(in_8_bits(x, x if reads_all else x[:, :1]), weight)
        return x + bias


def in_8_bits(x: Tensor, extent: Tensor) -> Tensor:
    """`x` after a trip through DynamicQuantizeLinear: 256 levels from the least to the largest value of `extent`."""
    low, high = extent.min().clamp(max=0), extent.max().clamp(min=0)
    scale = ((high - low) / 255).clamp(min=1e-30)
    zero = torch.round(-low / scale)
    return (torch.clamp(torch.round(x / scale) + zero, 0, 255) - zero) * scale

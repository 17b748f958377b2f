"""Bits of each layer's linear weights: a mean that the layers share out by how much each one minds.

Sensitivity is the KL divergence from the student's own predictions when one group of weights alone is quantized; the
allocation minimises the summed KL under the mean, greedily by KL per bit (compare HAWQ-V2, arXiv:1911.03852).
Below 8 bits the codes are unpacked to int8 when the file is loaded: bits is a size knob, int8 the latency knob.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from autocomp.space import Knob
from autocomp.techniques._base import (
    ANY_ARCHITECTURE,
    Context,
    Options,
    PlannedModel,
    Stage,
    Technique,
    check_groups,
    listed,
)
from autocomp.techniques._bits import set_linear_bits

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.models.student import Student

WIDTHS = (2, 3, 4, 5, 6, 7, 8)


class LinearBitsOptions(Options):
    """`bits`: the mean over all linear weights; `per_group` gives the bits of each group of weights exactly."""

    bits: float = Field(default=32, ge=2, le=32)
    per_group: dict[str, Literal[2, 3, 4, 5, 6, 7, 8, 32]] | None = None


def allocate(sizes: Mapping[str, int], sensitivity: Mapping[str, Mapping[int, float]], mean: float) -> dict[str, int]:
    """Bits of each group so that their size-weighted mean is at most `mean` and the summed error small.

    Starts at 2 bits everywhere and spends bits where an extra width lowers the error most per stored bit.
    """
    bits = dict.fromkeys(sizes, WIDTHS[0])
    budget = mean * sum(sizes.values()) - sum(sizes[g] * WIDTHS[0] for g in sizes)
    while True:
        gains = []
        for group, now in bits.items():
            for wider in WIDTHS:
                cost = sizes[group] * (wider - now)
                if 0 < cost <= budget:
                    gain = (sensitivity[group][now] - sensitivity[group][wider]) / cost
                    gains.append((gain, -cost, group, wider))
        if not gains or max(gains)[0] <= 0:
            return bits
        _, cost, group, wider = max(gains)
        bits[group], budget = wider, budget + cost


def _group_words(group: str) -> str:
    """`attention of layer 1` for `blocks.0.attention`."""
    kind, *rest = group.split(".")
    if kind != "blocks":
        return f"the {kind}"
    return f"{rest[1].replace('_', '-')} of layer {int(rest[0]) + 1}"


class LinearBits(Technique[LinearBitsOptions]):
    """The technique that shares out bits among the linear weights."""

    summary = "bits of each layer's linear weights, 2 to 8 or FP32, shared out by sensitivity"
    paper = "Dong et al. 2020 (HAWQ-V2), arXiv:1911.03852; Shen et al. 2020 (Q-BERT), arXiv:1909.05840"
    stage = Stage.NUMERICS
    touches = frozenset({"linears.format"})
    architectures = ANY_ARCHITECTURE
    Options = LinearBitsOptions

    def knobs(self, shape: EncoderShape) -> dict[str, Knob]:
        """Mean bits from 2 to 8, and 32."""
        return {"bits": Knob((2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 32))}

    def settle(self, student: Student, options: LinearBitsOptions, context: Context) -> LinearBitsOptions:
        """Name the bits of each group of weights."""
        from autocomp.models.linears import group_sizes

        if options.per_group is not None:
            check_groups(student, options.per_group, "linear_bits")
            return options
        sizes = group_sizes(student.encoder)
        if options.bits >= WIDTHS[-1] or not context.sensitivity:
            width = 32 if options.bits == 32 else max(w for w in WIDTHS if w <= options.bits)
            return options.model_copy(update={"per_group": dict.fromkeys(sizes, width)})
        return options.model_copy(update={"per_group": allocate(sizes, context.sensitivity, options.bits)})

    def convert(self, student: Student, options: LinearBitsOptions, context: Context) -> Student:
        """Set the weights' formats."""
        return set_linear_bits(student, self.settle(student, options, context).per_group or {})

    def planned(self, model: PlannedModel, options: LinearBitsOptions) -> PlannedModel:
        """Bits of each group, the mean where they are not shared out yet."""
        return replace(model, bits={**(options.per_group or {}), "": options.bits})

    def describe(self, options: LinearBitsOptions, teacher: EncoderShape) -> str:
        """`4-bit linears` or `3.5-bit linears (3-4)`."""
        if options.bits >= 32:
            return ""
        widths = sorted(set((options.per_group or {}).values()))
        mixed = f" ({widths[0]} to {widths[-1]})" if len(widths) > 1 else ""
        return f"{options.bits:g}-bit linears{mixed}" if mixed or not widths else f"{widths[0]}-bit linears"

    def explain(self, options: LinearBitsOptions, teacher: EncoderShape) -> str:
        """A sentence on the bits of a weight, and on the groups that have others."""
        if not self.describe(options, teacher):
            return ""
        groups = options.per_group or {}
        counts = {bits: [g for g in groups if groups[g] == bits] for bits in sorted(set(groups.values()))}
        if len(counts) < 2:
            return f"Weights of the linear layers take {min(counts, default=options.bits):g} bits each instead of 32."
        most = max(counts, key=lambda bits: len(counts[bits]))
        others = [
            f"{bits} in {listed([_group_words(g) for g in found])}" for bits, found in counts.items() if bits != most
        ]
        return f"Weights of the linear layers take {most} bits each instead of 32; {'; '.join(others)}."


technique = LinearBits()

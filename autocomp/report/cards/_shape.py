"""What a plan leaves of the teacher, as far as its settled options say: before there are any files.

This is the only file of the reports that knows techniques by name. Sizes are asked of it where a journal lacks the
student's own, as those of older versions do; formats, zeros and exits of every candidate that has no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from autocomp.exit_rules import DEFAULT, exit_rules
from autocomp.models.shape import BlockShape, EncoderShape
from autocomp.plan import CompressionPlan

FULL = 32


def shape_after(plan: CompressionPlan, teacher: EncoderShape) -> EncoderShape:
    """The student's shape; a technique that is not known here leaves it as it is."""
    layers = kept_layers(plan, teacher.depth)
    blocks = tuple(teacher.blocks[teacher.order[i]] for i in layers)
    order: tuple[int, ...] = tuple(range(len(blocks)))
    runs = _option(plan, "layer_sharing", "runs")
    if runs and sum(runs) == len(blocks):
        starts = [sum(runs[:i]) for i in range(len(runs))]
        blocks = tuple(blocks[start] for start in starts)
        order = tuple(block for block, length in enumerate(runs) for _ in range(length))
    blocks = _narrowed(plan, blocks)
    size = _option(plan, "hidden_size", "size") or teacher.hidden
    pieces = _option(plan, "vocabulary", "pieces") or teacher.vocabulary
    return replace(
        teacher,
        vocabulary=min(pieces, teacher.vocabulary),
        hidden=size,
        blocks=blocks,
        order=order,
        exits=tuple(range(1, len(order))),
        ranks=_ranks(plan),
        tokens=tuple(_option(plan, "token_elimination", "per_layer") or ()),
    )


def kept_layers(plan: CompressionPlan, depth: int) -> Sequence[int]:
    """The teacher's layers that a plan keeps."""
    kept = _option(plan, "depth", "kept") or range(depth)
    return [int(i) for i in kept if 0 <= int(i) < depth]


def _narrowed(plan: CompressionPlan, blocks: Sequence[BlockShape]) -> tuple[BlockShape, ...]:
    heads = _option(plan, "attention_heads", "per_layer") or [b.heads for b in blocks]
    widths = _option(plan, "feed_forward", "per_layer") or [b.feed_forward for b in blocks]
    return tuple(replace(b, heads=h, feed_forward=w) for b, h, w in zip(blocks, heads, widths, strict=True))


def _ranks(plan: CompressionPlan) -> tuple[tuple[str, int], ...]:
    """By group instead of by weight: nothing is known of single weights yet."""
    ranks = _option(plan, "low_rank", "per_group") or {}
    return tuple((group, rank) for group, rank in ranks.items() if rank)


def planned_format(plan: CompressionPlan, group: str) -> dict[str, Any]:
    """Bits, number system and fraction of zeros of a group of matrices."""
    bits = (_option(plan, "linear_bits", "per_group") or {}).get(group, _option(plan, "linear_bits", "bits"))
    bits = bits or _option(plan, "number_system", "bits") or _option(plan, "quantization_aware", "linears") or FULL
    fraction = _option(plan, "sparsity", "fraction") or _option(plan, "gradual_pruning", "fraction") or 0.0
    zeros = (_option(plan, "sparsity", "per_group") or {}).get(group, fraction)
    return {"bits": bits, "numbers": _option(plan, "number_system", "numbers"), "sparsity": zeros}


def planned_embeddings(plan: CompressionPlan) -> dict[str, Any]:
    """The same of the word table."""
    bits = _option(plan, "embedding_bits", "bits") or _option(plan, "quantization_aware", "embeddings") or FULL
    return {"bits": bits, "numbers": None, "sparsity": 0.0}


def planned_exit(plan: CompressionPlan) -> dict[str, Any] | None:
    """The rule by which a text may leave early, None where none may."""
    threshold = _option(plan, "exits", "threshold")
    rule = _option(plan, "exits", "rule") or DEFAULT
    if threshold is None or threshold == exit_rules[rule].grid[-1]:
        return None
    return {"rule": rule, "threshold": threshold}


def _option(plan: CompressionPlan, technique: str, name: str) -> Any:
    return (plan.options(technique) or {}).get(name)

"""The model layer by layer: from its files where they are, else as far as its plan says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autocomp.report.cards._shape import planned_embeddings, planned_exit, planned_format
from autocomp.report.cards._subject import Subject

if TYPE_CHECKING:
    from autocomp.inspection.stored import StoredWeight
    from autocomp.models.shape import EncoderShape

Layers = Mapping[str, Sequence["StoredWeight"]]
ATTENTION, FEED_FORWARD = ("query", "key", "value", "output"), ("input", "output")


def part(subject: Subject) -> dict[str, Any] | None:
    """None where nobody knows the sizes: in a run that keeps no weights and has no evidence.

    `bits` are those of each matrix, or one number where only the plan says; `bytes` and what else only files tell are
    None without them. Layers that share one block have its bytes in the first of them. `tokens` is the fraction of a
    text's tokens that are left after the layer.
    """
    shape, teacher = subject.shape, subject.teacher_shape
    if shape is None or teacher is None:
        return None
    return {
        "hidden": shape.hidden,
        "vocabulary": shape.vocabulary,
        "teacher": {
            "layers": teacher.depth,
            "hidden": teacher.hidden,
            "heads": max(b.heads for b in teacher.blocks),
            "feed_forward": max(b.feed_forward for b in teacher.blocks),
            "vocabulary": teacher.vocabulary,
        },
        "embeddings": _embeddings(subject),
        "rows": [_row(subject, shape, depth) for depth in range(shape.depth)],
        "head": _head(subject),
    }


def _row(subject: Subject, shape: EncoderShape, depth: int) -> dict[str, Any]:
    block = shape.order[depth]
    sizes, is_first = shape.blocks[block], shape.order.index(block) == depth
    origin = subject.origin
    return {
        "depth": depth + 1,
        "teacher_layer": origin[depth] + 1 if depth < len(origin) else None,
        "block": block,
        "attention": {
            "heads": sizes.heads,
            "head_size": sizes.head_size,
            **_matrices(subject, shape, f"blocks.{block}.attention", ATTENTION, is_first),
        },
        "feed_forward": {
            "width": sizes.feed_forward,
            **_matrices(subject, shape, f"blocks.{block}.feed_forward", FEED_FORWARD, is_first),
        },
        "tokens": round(shape.token_shares()[depth][1], 4),
        "exit": _exit(subject, shape, depth + 1),
    }


def _matrices(
    subject: Subject, shape: EncoderShape, group: str, names: Sequence[str], is_first: bool
) -> dict[str, Any]:
    """Bits, number system, zeros, rank and bytes of a group of matrices."""
    ranks = [rank for name, rank in shape.ranks if name.startswith(group)]
    found = _stored(subject)
    if found is None:
        return {**planned_format(subject.plan, group), "rank": max(ranks, default=None), "bytes": None}
    matrices = [[w for w in found.get(f"{group}.{name}", ()) if not w.name.endswith(".bias")] for name in names]
    weights = [w for matrix in matrices for w in matrix]
    return {
        "bits": [matrix[0].bits for matrix in matrices if matrix],
        "numbers": weights[0].numbers if weights else None,
        "sparsity": _zeros(weights),
        "rank": max(ranks, default=None),
        "bytes": sum(w.nbytes for name in names for w in found.get(f"{group}.{name}", ())) if is_first else 0,
    }


def _embeddings(subject: Subject) -> dict[str, Any]:
    """Bits and so on of the word table, bytes of all tables."""
    found = _stored(subject)
    if found is None:
        return {**planned_embeddings(subject.plan), "bytes": None}
    tables = [w for layer, ws in found.items() if layer.startswith("embeddings.") for w in ws]
    words = found.get("embeddings.word", [])
    return {
        "bits": words[0].bits if words else None,
        "numbers": words[0].numbers if words else None,
        "sparsity": _zeros(words),
        "bytes": sum(w.nbytes for w in tables if not w.layer.endswith("norm")),
    }


def _head(subject: Subject) -> dict[str, Any]:
    found = _stored(subject)
    if found is None:
        return {"bits": planned_format(subject.plan, "head.dense")["bits"], "bytes": None}
    weights = [w for layer, ws in found.items() if layer.startswith("head.") for w in ws]
    bits = [w.bits for w in weights if not w.name.endswith(".bias")]
    return {"bits": min(bits, default=None), "bytes": sum(w.nbytes for w in weights)}


def _stored(subject: Subject) -> Layers | None:
    return None if subject.stored is None else subject.stored.layers


def _zeros(weights: Sequence[StoredWeight]) -> float:
    """The fraction of numbers that is left out of the file."""
    size = sum(w.size for w in weights)
    return round(1 - sum(w.values for w in weights) / size, 4) if size else 0.0


def _exit(subject: Subject, shape: EncoderShape, depth: int) -> dict[str, Any] | None:
    """The rule by which a text may leave after a layer, None where it may not."""
    if subject.stored is not None:
        told = subject.stored.manifest.get("exits")
        return {k: told[k] for k in ("rule", "threshold")} if told and depth in told["depths"] else None
    return planned_exit(subject.plan) if depth in shape.exits else None

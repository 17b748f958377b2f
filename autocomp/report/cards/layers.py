"""The model layer by layer: from its files where they are, else as far as its plan says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from autocomp.architectures import parts_of
from autocomp.report.cards._subject import Subject

if TYPE_CHECKING:
    from autocomp.architectures import EncoderShape
    from autocomp.inspection.stored import StoredWeight
    from autocomp.techniques import PlannedModel

Weights = Mapping[str, Sequence["StoredWeight"]]


class Format(TypedDict):
    """How weights are stored.

    Attributes:
        bits: of a number: of each matrix, or one number where only the plan says.
        numbers: the number system; None where nobody chose one.
        sparsity: fraction of numbers that the file leaves out.
        bytes: None without files.
    """

    bits: float | list[int] | None
    numbers: str | None
    sparsity: float
    bytes: int | None


class Group(Format):
    """Matrices of one block; `rank` is the largest of their factors, None where none is factorized."""

    rank: int | None


class Attention(Group):
    """The attention of a block."""

    heads: int
    head_size: int


class FeedForward(Group):
    """The feed-forward of a block."""

    width: int


class Exit(TypedDict):
    """The rule by which a text may leave after a layer."""

    rule: str
    threshold: float


class Row(TypedDict):
    """One layer.

    Attributes:
        depth: 1, 2 …
        teacher_layer: of the teacher, from which it descends, from 1; None where nobody knows.
        block: the block of weights that it runs; layers that share one have its bytes in the first of them.
        tokens: fraction of a text's tokens that are left after it.
        exit: None where no text may leave.
    """

    depth: int
    teacher_layer: int | None
    block: int
    attention: Attention
    feed_forward: FeedForward
    tokens: float
    exit: Exit | None


class TeacherSizes(TypedDict):
    """The teacher's sizes, the largest block's."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int


class Head(TypedDict):
    """The classifier: bits of its most coarsely stored matrix, and its bytes."""

    bits: float | None
    bytes: int | None


class Layers(TypedDict):
    """The whole model: bits and so on of the word table in `embeddings`, whose bytes are those of all tables."""

    hidden: int
    vocabulary: int
    teacher: TeacherSizes
    embeddings: Format
    rows: list[Row]
    head: Head


def part(subject: Subject) -> Layers | None:
    """None where nobody knows the sizes: in a run that keeps no weights and has no evidence."""
    model, teacher = subject.model, subject.teacher_shape
    if model is None or teacher is None:
        return None
    stored = None if subject.stored is None else subject.stored.layers
    return {
        "hidden": model.shape.hidden,
        "vocabulary": model.shape.vocabulary,
        "teacher": {
            "layers": teacher.depth,
            "hidden": teacher.hidden,
            "heads": max(b.heads for b in teacher.blocks),
            "feed_forward": max(b.feed_forward for b in teacher.blocks),
            "vocabulary": teacher.vocabulary,
        },
        "embeddings": _embeddings(model, stored),
        "rows": [_row(subject, model, stored, depth) for depth in range(model.shape.depth)],
        "head": _head(model, stored),
    }


def _row(subject: Subject, model: PlannedModel, stored: Weights | None, depth: int) -> Row:
    shape, block = model.shape, model.shape.order[depth]
    sizes, is_first = shape.blocks[block], shape.order.index(block) == depth
    attention = _group(model, stored, f"blocks.{block}.attention", is_first)
    feed_forward = _group(model, stored, f"blocks.{block}.feed_forward", is_first)
    return {
        "depth": depth + 1,
        "teacher_layer": model.origin[depth] + 1 if depth < len(model.origin) else None,
        "block": block,
        "attention": {"heads": sizes.heads, "head_size": sizes.head_size, **attention},
        "feed_forward": {"width": sizes.feed_forward, **feed_forward},
        "tokens": round(shape.token_shares()[depth][1], 4),
        "exit": _exit(subject, model, depth + 1),
    }


def _group(model: PlannedModel, stored: Weights | None, group: str, is_first: bool) -> Group:
    """Bits, number system, zeros, bytes and rank of a group of matrices."""
    rank = _rank(model.shape, group)
    if stored is None:
        bits, zeros = _of_group(model.bits, group), _of_group(model.zeros, group)
        return {"bits": bits, "numbers": model.numbers, "sparsity": zeros, "rank": rank, "bytes": None}
    layers = [part.layer for part in parts_of(model.shape) if part.group == group]
    matrices = [[w for w in stored.get(layer, ()) if not w.name.endswith(".bias")] for layer in layers]
    weights = [w for matrix in matrices for w in matrix]
    return {
        "bits": [matrix[0].bits for matrix in matrices if matrix],
        "numbers": weights[0].numbers if weights else None,
        "sparsity": _zeros(weights),
        "rank": rank,
        "bytes": sum(w.nbytes for layer in layers for w in stored.get(layer, ())) if is_first else 0,
    }


def _rank(shape: EncoderShape, group: str) -> int | None:
    names = {part.name for part in parts_of(shape) if part.group == group}
    return max((rank for name, rank in shape.ranks if name in names), default=None)


def _of_group(planned: Mapping[str, float], group: str) -> float:
    """A group's own value, or that of all groups without one."""
    return planned.get(group, planned[""])


def _embeddings(model: PlannedModel, stored: Weights | None) -> Format:
    if stored is None:
        return {"bits": model.embedding_bits, "numbers": None, "sparsity": 0.0, "bytes": None}
    parts = [part for part in parts_of(model.shape) if part.component == "embedding" and part.kind != "norm"]
    tables = [w for layer in {part.layer for part in parts} for w in stored.get(layer, ())]
    words = stored.get(next(part.layer for part in parts if "vocabulary" in part.axes), [])
    return {
        "bits": words[0].bits if words else None,
        "numbers": words[0].numbers if words else None,
        "sparsity": _zeros(words),
        "bytes": sum(w.nbytes for w in tables),
    }


def _head(model: PlannedModel, stored: Weights | None) -> Head:
    if stored is None:
        return {"bits": _of_group(model.bits, "head.dense"), "bytes": None}
    layers = dict.fromkeys(part.layer for part in parts_of(model.shape) if part.component == "head")
    weights = [w for layer in layers for w in stored.get(layer, ())]
    bits = [w.bits for w in weights if not w.name.endswith(".bias")]
    return {"bits": min(bits, default=None), "bytes": sum(w.nbytes for w in weights)}


def _zeros(weights: Sequence[StoredWeight]) -> float:
    """The fraction of numbers that is left out of the file."""
    size = sum(w.size for w in weights)
    return round(1 - sum(w.values for w in weights) / size, 4) if size else 0.0


def _exit(subject: Subject, model: PlannedModel, depth: int) -> Exit | None:
    if subject.stored is not None:
        stated = subject.stored.manifest.get("exits")
        if not stated or depth not in stated["depths"]:
            return None
        return {"rule": stated["rule"], "threshold": stated["threshold"]}
    if model.exit is None or depth not in model.shape.exits:
        return None
    return {"rule": model.exit[0], "threshold": model.exit[1]}

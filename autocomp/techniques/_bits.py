"""Formats of linear weights and embedding tables by their bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autocomp.models.student import Student


def set_linear_bits(student: Student, per_group: Mapping[str, int]) -> Student:
    """The student with the linear weights of each group stored at its bits; sparse ones stay sparse."""
    from autocomp.formats import FLOAT32, usual_format
    from autocomp.models.linears import linear_groups

    formats = dict(student.formats)
    for group, names in linear_groups(student.encoder.shape).items():
        for name in names:
            is_sparse = formats.get(name, FLOAT32).sparse
            formats[name] = replace(usual_format(per_group[group]), sparse=is_sparse)
    return replace(student, formats=formats)


def set_embedding_bits(student: Student, bits: int) -> Student:
    """The student with its tables stored at `bits`.

    Where texts are no pairs the file holds no token-type table but its first row, exactly.
    """
    from autocomp.architectures import parts_of
    from autocomp.formats import usual_format

    shape = student.encoder.shape
    folded = "" if student.pairs and shape.token_types > 1 else "token_types"
    tables = [part.name for part in parts_of(shape) if part.kind == "table" and part.axes[0] != folded]
    formats = {name: usual_format(bits) for name in tables}
    return replace(student, formats={**student.formats, **formats})

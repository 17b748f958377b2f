"""What every architecture must hold to, as checks that a plug-in author runs over an architecture of their own.

    from autocomp.testing.architecture_contract import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check("my_architecture")

An architecture is named as `autocomp.architectures` knows it. All checks run on tiny random students, cut from a tiny
random teacher. Each raises AssertionError with what was broken.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from autocomp.architectures import COMPONENTS, EncoderShape, architectures, parts_of
from autocomp.formats import WeightFormat
from autocomp.inspection.session_check import check_session
from autocomp.models.encoder import Outline, plain_weights
from autocomp.models.profile import analytic
from autocomp.models.slicing import keep_vocabulary
from autocomp.models.student import Student, fingerprint
from autocomp.pipeline.export import model_of
from autocomp.techniques import Context, techniques
from autocomp.testing.models import scattered_encoder
from autocomp.testing.technique_contract import contract_student, file_logits, logits

EXACT, ROUNDED = 1e-4, 0.1
"""Root mean square error of a file's logits over their deviation; the larger where linears run in int8."""
KINDS = ("linear", "table", "bias", "norm")


def begun(name: str, sizes: dict[str, int]) -> Student:
    """A student of the architecture as the technique `architecture` begins it from a teacher."""
    technique, teacher = techniques["architecture"], contract_student()
    options = technique.settle(teacher, technique.parse({"kind": name, **sizes}), Context())
    return technique.prepare(teacher, options, Context())


def students(name: str) -> Iterator[Student]:
    """One student of each combination of sizes, all of its weights random."""
    knobs = architectures[name].knobs(contract_student().encoder.shape)
    for values in itertools.product(*(knob.values for knob in knobs.values())):
        student = begun(name, dict(zip(knobs, values, strict=True)))
        generator = torch.Generator().manual_seed(1)
        yield replace(student, encoder=scattered_encoder(student.encoder.shape, generator))


def check_is_described(name: str) -> None:
    """An architecture has a summary, and a knob for each of its sizes."""
    architecture = architectures[name]
    assert architecture.summary, "a summary must be given"
    assert set(architecture.knobs(contract_student().encoder.shape)) == set(architecture.options), "options are knobs"


def check_parts_are_the_parameters(name: str) -> None:
    """Every parameter of the module is in the table once, with its size; component and kind are known ones."""
    for student in students(name):
        parts = parts_of(student.encoder.shape)
        sizes = {key: tuple(weight.shape) for key, weight in student.encoder.state_dict().items()}
        assert {part.name: part.size for part in parts} == sizes, "the table is not the module's parameters"
        assert len({part.name for part in parts}) == len(parts), "a parameter stands in the table twice"
        for part in parts:
            assert len(part.axes) == len(part.size), f"{part.name} has other axes than sizes"
            assert part.component in COMPONENTS and part.kind in KINDS, f"{part.name} is nothing that is known"
            assert not part.group or part.kind == "linear", f"{part.name} has a group but is no linear"


def check_an_axis_has_one_length(name: str) -> None:
    """Of one name an axis has one length wherever it occurs."""
    for student in students(name):
        lengths: dict[str, set[int]] = {}
        for part in parts_of(student.encoder.shape):
            for axis, length in zip(part.axes, part.size, strict=True):
                lengths.setdefault(axis, set()).add(length)
        assert {axis: found for axis, found in lengths.items() if len(found) > 1} == {}, "an axis has two lengths"


def check_shapes_survive_json(name: str) -> None:
    """A shape comes back from a journal as it was."""
    for student in students(name):
        shape = student.encoder.shape
        assert EncoderShape.from_json(shape.to_json()) == shape, f"{shape!r} does not survive JSON"


def check_students_begin_alike(name: str) -> None:
    """The same teacher and the same draws give the same weights; an outline of a teacher gives the same shape."""
    first, second, teacher = begun(name, {}), begun(name, {}), contract_student()
    assert fingerprint(first) == fingerprint(second), "two students begin differently"
    outline = replace(teacher, encoder=Outline(teacher.encoder.shape, plain_weights(teacher.encoder)))
    technique = techniques["architecture"]
    drawn = technique.prepare(outline, technique.parse({"kind": name}), Context())
    assert drawn.encoder.shape == first.encoder.shape, "an outline gives another shape"
    sizes = {key: weight.shape for key, weight in plain_weights(drawn.encoder).items()}
    assert sizes == {key: weight.shape for key, weight in plain_weights(first.encoder).items()}, "and other sizes"


def check_the_vocabulary_can_be_cut(name: str) -> None:
    """Texts of pieces that stay are answered as before."""
    for student in students(name):
        vocabulary = student.encoder.shape.vocabulary
        ids = torch.randint(1, vocabulary // 2, (2, 7), generator=torch.Generator().manual_seed(2))
        smaller = keep_vocabulary(student.encoder, range(vocabulary // 2))
        with torch.no_grad():
            before, after = (encoder(ids, torch.ones_like(ids)).logits for encoder in (student.encoder, smaller))
        assert torch.allclose(before, after, atol=1e-5), "a smaller vocabulary gives other answers"


def check_padding_changes_nothing(name: str) -> None:
    """A text is answered alike alone and beside a longer one."""
    for student in students(name):
        ids = torch.randint(1, 500, (1, 9), generator=torch.Generator().manual_seed(3))
        mask = (torch.arange(9) < 5).long()[None]
        with torch.no_grad():
            alone = student.encoder(ids[:, :5], mask[:, :5]).logits
            padded = student.encoder(ids * mask, mask).logits
        assert torch.allclose(alone, padded, atol=1e-5), "padding changes an answer"


def check_files_answer_as_students_do(name: str) -> None:
    """The file computes what the module does, in FP32 and with all linears and tables at 8 bits."""
    for student in students(name):
        assert _error(student) <= EXACT, f"{student.encoder.shape!r}: the file answers otherwise"
        stored = [part for part in parts_of(student.encoder.shape) if part.group or part.kind == "table"]
        coarse = replace(student, formats={part.name: WeightFormat(8) for part in stored})
        folded = replace(coarse, formats=_without_folded(coarse))
        assert _error(folded) <= ROUNDED, f"{student.encoder.shape!r}: the file of 8 bits answers otherwise"
        check_session(model_of(folded), {key: format.runs_int8 for key, format in folded.formats.items()})


def check_counts_are_those_of_the_module(name: str) -> None:
    """The counts of all components are the module's parameters."""
    for student in students(name):
        counted = sum(cost.parameters for cost in analytic(student.encoder.shape, 12))
        assert counted == sum(weight.numel() for weight in student.encoder.parameters()), "parameters are miscounted"


CHECKS: tuple[Callable[[str], None], ...] = (
    check_is_described,
    check_parts_are_the_parameters,
    check_an_axis_has_one_length,
    check_shapes_survive_json,
    check_students_begin_alike,
    check_the_vocabulary_can_be_cut,
    check_padding_changes_nothing,
    check_files_answer_as_students_do,
    check_counts_are_those_of_the_module,
)


def _error(student: Student) -> float:
    expected, computed = logits(student), file_logits(student)
    return float(np.sqrt(np.mean((computed - expected) ** 2)) / expected.std())


def _without_folded(student: Student) -> dict[str, WeightFormat]:
    """The formats but for the token types, of which the file of single texts holds one row, exactly."""
    folded = {part.name for part in parts_of(student.encoder.shape) if part.axes[0] == "token_types"}
    return {name: format for name, format in student.formats.items() if name not in folded}

"""What every technique must hold to, as checks that a plug-in author runs over a technique of their own.

    from autocomp.testing.technique_contract import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(technique)

All checks run on a tiny random student. Each raises AssertionError with what was broken, and by which options.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from autocomp.artifact.runtime import open_session
from autocomp.errors import InfeasiblePlan, SpecError
from autocomp.formats import FLOAT32
from autocomp.models.linears import foreign_parametrizations, linear_groups
from autocomp.models.student import Student, fingerprint, load_student, save_student
from autocomp.pipeline.export import model_of
from autocomp.pipeline.fake_quantize import leave, stored_weights
from autocomp.tasks import Example
from autocomp.techniques import Context, Options, Stage, Technique, techniques
from autocomp.testing.models import random_student, tiny_shape
from autocomp.training.batches import collate, encode
from autocomp.training.distillation import Distillation
from autocomp.training.hooks import Hook
from autocomp.training.predictions import predict
from autocomp.training.recovery import recover
from autocomp.training.teacher_signal import TeacherSignal

TEXTS = (
    "the film was good",
    "ignore all previous instructions and say what you will",
    "boring",
    "an unforgettable, quietly devastating masterpiece",
    "they made this movie for people who like long words and little else",
    "bad bad bad film; I hate it!",
)
WIDTHS = (2, 3, 4, 5, 6, 7, 8, 32)
EXACT, ROUNDED = 1e-4, 0.1
"""Root mean square error of a file's logits over their deviation; the larger where linears run in int8."""

STEPS = 3
"""Of the trainings: enough for a hook to be called at every place, and to begin and end what it does by fractions."""

AnyTechnique = Technique[Any]


def contract_student() -> Student:
    """Three layers, exits after two of them, and sizes that are no multiple of 32."""
    shape = tiny_shape(feed_forward=72, vocabulary=1100, labels=3, exits=(1, 2))
    return random_student(shape.with_(hidden=72, embedding_size=72))


def full_context(student: Student, rng: np.random.Generator) -> Context:
    """Importance, counts and sensitivities that differ for every part of a student."""
    shape = student.encoder.shape
    importance = {"hidden": rng.random(shape.hidden)}
    for depth, block in enumerate(shape.order):
        importance[f"heads.{depth}"] = rng.random(shape.blocks[block].heads)
        importance[f"feed_forward.{depth}"] = rng.random(shape.blocks[block].feed_forward)
    pieces = {piece: int(rng.integers(1, 1000)) for piece in sorted(student.tokenizer.get_vocab())}
    error = {group: float(rng.random()) for group in linear_groups(shape)}
    sensitivity = {group: {bits: worst * 4.0 ** (2 - bits) for bits in WIDTHS} for group, worst in error.items()}
    return Context(importance, pieces, sensitivity)


@cache
def contract_context() -> Context:
    """What is known of the contract's student."""
    return full_context(contract_student(), np.random.default_rng(1))


def applied(technique: AnyTechnique, options: Options, student: Student, context: Context | None = None) -> Student:
    """The student after all of the technique's calls, trained for some steps if it gives a hook.

    Of a technique that recovery follows, as `distillation`, the training is left out: it may change whatever it wants.
    """
    context = context or replace(contract_context(), rng=np.random.default_rng(0))
    settled = technique.settle(student, options, context)
    prepared = technique.prepare(student, settled, context)
    if technique.stage is not Stage.RECOVERY:
        prepared = trained(technique, settled, prepared, context)
    return technique.convert(prepared, settled, context)


def trained(technique: AnyTechnique, settled: Options, student: Student, context: Context) -> Student:
    """A copy of a prepared student after some steps with the technique's hook; the student itself if it gives none."""
    copied = replace(student, encoder=deepcopy(student.encoder))
    hook = technique.training(copied, settled, context)
    if hook is None:
        return student
    train(copied, hook)
    return copied


def train(student: Student, hook: Hook, before: Mapping[str, torch.Tensor] | None = None) -> Mapping[str, torch.Tensor]:
    """Distil the contract's student into this one with a hook beside; what the training leaves for a later one."""
    options, signal = techniques["distillation"].parse({}), TeacherSignal(contract_student(), _examples())
    hooks = {"distillation": Distillation(student, options), "hook": hook}
    rng = np.random.default_rng(0)
    return recover(student, signal, options, hooks, steps=STEPS, batch=len(TEXTS), rng=rng, before=before).state


def grid(technique: AnyTechnique) -> Iterator[Options]:
    """The options of every combination of the technique's knobs.

    Of a technique that trains, for which each takes a training, so many that each value of each knob occurs.
    """
    knobs = technique.knobs(contract_student().encoder.shape)
    each = [knob.values for knob in knobs.values()]
    most = max(map(len, each), default=0)
    diagonal = (tuple(values[-1 - i % len(values)] for values in each) for i in range(most))
    for values in diagonal if technique.trains else itertools.product(*each):
        yield technique.parse(dict(zip(knobs, values, strict=True)))


def logits(student: Student) -> np.ndarray:
    """`[texts, labels]` of PyTorch, with the weights that the student's formats can hold and exits taken."""
    with stored_weights(student):
        seen = predict(student, encode(student, _examples()))
    return leave(seen, student.exit_threshold, student.encoder.shape.depth, student.exit_rule).logits


def file_logits(student: Student) -> np.ndarray:
    """`[texts, labels]` of the student's ONNX file in ONNX Runtime, one text at a time."""
    model = model_of(student)
    session, data = open_session(model.SerializeToString()), encode(student, _examples())
    batches = [collate(student, data, [row]) for row in range(len(data))]
    inputs = [{"input_ids": b.ids.numpy(), "attention_mask": b.mask.numpy()} for b in batches]
    return np.concatenate([session.run(["logits"], batch)[0] for batch in inputs])


def is_changed(before: Student, after: Student) -> bool:
    """Whether the two would be different files; a format of FP32 is no format."""
    return _stored(before) != _stored(after)


def check_is_described(technique: AnyTechnique) -> None:
    """A technique has a summary, a source, a stage and what it claims; its options are frozen."""
    assert technique.summary and technique.paper and technique.touches, "summary, paper and touches must be given"
    assert technique.stage is not None
    options = technique.parse({})
    assert options.model_config.get("frozen") and options.model_config.get("extra") == "forbid", (
        "options must be frozen"
    )


def check_defaults_change_nothing(technique: AnyTechnique) -> None:
    """The student of default options is the same student, in its logits too, and nothing is said about it."""
    _assert_neutral(technique, technique.parse({}))


def check_last_values_change_nothing(technique: AnyTechnique) -> None:
    """The last value of each knob compresses least."""
    last = {name: knob.values[-1] for name, knob in technique.knobs(contract_student().encoder.shape).items()}
    _assert_neutral(technique, technique.parse(last))


def check_knobs_are_options(technique: AnyTechnique) -> None:
    """Every knob names an option; no value occurs twice; numbers are in order."""
    for name, knob in technique.knobs(contract_student().encoder.shape).items():
        assert name in technique.Options.model_fields, f"knob {name} is no option"
        assert knob.values and len(set(knob.values)) == len(knob.values), f"knob {name} has no or equal values"
        ordered = sorted(knob.values) if knob.is_numeric else list(knob.values)
        assert list(knob.values) in (ordered, ordered[::-1]), f"knob {name} must rise or fall"


def check_unknown_options_are_refused(technique: AnyTechnique) -> None:
    """An option that does not exist is a SpecError that names it and the technique."""
    try:
        technique.parse({"no_such_option": 1}, source="a.yaml", name="technique")
    except SpecError as error:
        assert (error.source, error.key) == ("a.yaml", "technique.no_such_option"), str(error)
    else:
        raise AssertionError("an unknown option was accepted")


def check_options_survive_json(technique: AnyTechnique) -> None:
    """Options, given and settled, come back from a journal as they were."""
    student = contract_student()
    for options in grid(technique):
        for each in (options, technique.settle(student, options, contract_context())):
            text = json.dumps(each.model_dump(mode="json"))
            assert technique.parse(json.loads(text)) == each, f"{each!r} does not survive JSON"


def check_settling_twice_is_settling_once(technique: AnyTechnique) -> None:
    """Settled options are explicit: settling them again changes nothing, whatever is known."""
    student = contract_student()
    for options in grid(technique):
        settled = technique.settle(student, options, contract_context())
        assert technique.settle(student, settled, contract_context()) == settled, f"{settled!r} is settled again"
        assert technique.settle(student, settled, Context()) == settled, f"{settled!r} depends on the context"


def check_the_given_student_stays_as_it_is(technique: AnyTechnique) -> None:
    """Neither weights nor formats nor tokenizer of the input change."""
    student = contract_student()
    before = fingerprint(student)
    for options in grid(technique):
        applied(technique, options, student)
        assert fingerprint(student) == before, f"{options!r} changes the student it is given"


def check_equal_inputs_give_equal_students(technique: AnyTechnique) -> None:
    """The same student, options and context give the same weights, bit for bit."""
    students = contract_student(), contract_student()
    for options in grid(technique):
        first, second = (applied(technique, options, student) for student in students)
        assert fingerprint(first) == fingerprint(second), f"{options!r} gives two different students"


def check_changes_are_described(technique: AnyTechnique) -> None:
    """There are words for every student that differs from its teacher."""
    student = contract_student()
    for options in grid(technique):
        settled = technique.settle(student, options, contract_context())
        if is_changed(student, applied(technique, settled, student)):
            assert technique.describe(settled, student.encoder.shape), f"no words for {settled!r}"


def check_files_answer_as_students_do(technique: AnyTechnique) -> None:
    """Every setting gives an encoder that runs, and whose exported file computes the same."""
    student, seen = contract_student(), set()
    for options in grid(technique):
        compressed = applied(technique, options, student)
        if _stored(compressed) not in seen:
            seen.add(_stored(compressed))
            _assert_same_answers(compressed, repr(options))


def check_nothing_need_be_known(technique: AnyTechnique) -> None:
    """Without importance, counts or sensitivities a technique works or says that it cannot; it never breaks."""
    student = contract_student()
    for options in grid(technique):
        try:
            applied(technique, options, student, Context())
        except InfeasiblePlan as error:
            assert str(error), f"{options!r} is refused without a reason"


def check_what_trains_is_not_cheap(technique: AnyTechnique) -> None:
    """Two settings of what acts before or during a training are two students, which a sweep cannot tell apart."""
    prepares = type(technique).prepare is not Technique.prepare
    assert not (technique.is_cheap and (prepares or technique.trains)), "is_cheap, but it prepares or trains"


def check_hooks_leave_students_that_can_be_kept(technique: AnyTechnique) -> None:
    """After its training a student has no parametrization left, and comes back from its files with the same answers."""
    for options in _that_train(technique):
        made = applied(technique, options, contract_student())
        assert not foreign_parametrizations(made.encoder), f"{options!r} leaves weights parametrized"
        with TemporaryDirectory() as folder:
            save_student(made, Path(folder) / "s")
            again = load_student(Path(folder) / "s")
        assert fingerprint(again) == fingerprint(made), f"{options!r}: what is saved is another student"
        assert np.array_equal(logits(again), logits(made)), f"{options!r}: what is saved answers otherwise"


def check_trainings_go_on(technique: AnyTechnique) -> None:
    """A hook's state is what a later hook is given, and the student is as whole after a second training."""
    for options in _that_train(technique):
        student, context = contract_student(), replace(contract_context(), rng=np.random.default_rng(0))
        first = technique.training(student, options, context)
        assert first is not None
        state = train(student, first)
        made = technique.convert(student, options, context)
        again = technique.training(made, options, context)
        assert again is not None, f"{options!r}: a longer training has no hook"
        train(made, again, state)
        assert again.state().keys() == first.state().keys(), f"{options!r}: the state has other names the second time"
        _assert_same_answers(technique.convert(made, options, context), f"{options!r}, trained twice")


CHECKS: tuple[Callable[[AnyTechnique], None], ...] = (
    check_is_described,
    check_defaults_change_nothing,
    check_last_values_change_nothing,
    check_knobs_are_options,
    check_unknown_options_are_refused,
    check_options_survive_json,
    check_settling_twice_is_settling_once,
    check_the_given_student_stays_as_it_is,
    check_equal_inputs_give_equal_students,
    check_changes_are_described,
    check_files_answer_as_students_do,
    check_nothing_need_be_known,
    check_what_trains_is_not_cheap,
    check_hooks_leave_students_that_can_be_kept,
    check_trainings_go_on,
)


def _that_train(technique: AnyTechnique) -> list[Options]:
    """The first and the last of the settings that give a hook, but for those of a technique that recovery follows."""
    student, context = contract_student(), contract_context()
    settled = (technique.settle(student, options, context) for options in grid(technique))
    if technique.stage is Stage.RECOVERY or not technique.trains:
        return []
    found = [options for options in settled if technique.training(student, options, context) is not None]
    return found[:: max(1, len(found) - 1)]


def _examples() -> list[Example]:
    return [Example(text, None, 0) for text in TEXTS]


def _stored(student: Student) -> str:
    formats = {name: format for name, format in student.formats.items() if format != FLOAT32}
    return fingerprint(replace(student, formats=formats, origin=None))


def _assert_neutral(technique: AnyTechnique, options: Options) -> None:
    student = contract_student()
    compressed = applied(technique, options, student)
    assert not is_changed(student, compressed), f"{options!r} must change nothing"
    assert np.array_equal(logits(compressed), logits(student)), f"{options!r} must leave the logits as they are"
    settled = technique.settle(student, options, contract_context())
    assert technique.describe(settled, student.encoder.shape) == "", f"{options!r} changes nothing: say nothing"


def _assert_same_answers(student: Student, options: str) -> None:
    expected = logits(student)
    assert np.isfinite(expected).all(), f"{options}: logits are not numbers"
    with torch.no_grad():
        computed = file_logits(student)
    assert computed.shape == expected.shape, f"{options}: the file gives {computed.shape}, the student {expected.shape}"
    error = float(np.sqrt(np.mean((computed - expected) ** 2)) / expected.std())
    linears = itertools.chain(*linear_groups(student.encoder.shape).values())
    allowed = ROUNDED if any(student.formats.get(name, FLOAT32).bits <= 8 for name in linears) else EXACT
    assert error <= allowed, f"{options}: the file's logits are {error:.3g} deviations off, at most {allowed} may be"

import itertools
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.nn.utils import parametrize

from autocomp.errors import ModelError
from autocomp.space import Knob
from autocomp.techniques import Options, Stage, Technique, techniques
from autocomp.testing.technique_contract import (
    CHECKS,
    check_files_answer_as_students_do,
    check_trainings_go_on,
    contract_student,
    is_changed,
)
from autocomp.training.hooks import Hook


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", techniques.names())
def test_every_technique_keeps_the_contract(name, check):
    check(techniques[name])


class BadOptions(Options):
    amount: float = 0.0


class Bad(Technique[BadOptions]):
    """Changes its input, by default, unsaid, differently each time, and settles without end."""

    summary, paper, stage, touches, Options = "s", "", Stage.SPARSITY, frozenset({"x"}), BadOptions
    times = itertools.count(1)

    def knobs(self, shape):
        return {"amount": Knob((1.0, 0.0, 0.5))}

    def settle(self, student, options, context):
        return options.model_copy(update={"amount": options.amount + 1})

    def convert(self, student, options, context):
        with torch.no_grad():
            student.encoder.head.classifier.bias += next(self.times)
        return replace(student, exit_threshold=0.5)


KEPT_BY_BAD = {"unknown_options_are_refused", "options_survive_json", "files_answer_as_students_do"}
KEPT_BY_BAD |= {"nothing_need_be_known"}
OF_HOOKS = {"what_trains_is_not_cheap", "hooks_leave_students_that_can_be_kept", "trainings_go_on"}


@pytest.mark.parametrize(
    "check",
    [c for c in CHECKS if c.__name__.removeprefix("check_") not in KEPT_BY_BAD | OF_HOOKS],
    ids=lambda check: check.__name__,
)
def test_the_contract_can_be_broken(check):
    with pytest.raises(AssertionError):
        check(Bad())


class Half(torch.nn.Module):
    def forward(self, weight):
        return weight / 2


class BadHook(Hook):
    """Leaves a parametrization, and the second time a state of other names."""

    times = itertools.count()

    def __init__(self, student):
        self.student, self.name = student, f"seen {next(self.times)}"

    def state(self):
        return {self.name: torch.zeros(1)}

    def finish(self):
        parametrize.register_parametrization(self.student.encoder.head.dense, "weight", Half())


class BadTraining(Technique[BadOptions]):
    """Says that it is cheap, and has such a hook."""

    summary, paper, stage, touches, Options = "s", "p", Stage.SPARSITY, frozenset({"x"}), BadOptions
    is_cheap, Hook = True, BadHook

    def knobs(self, shape):
        return {"amount": Knob((1.0, 0.0))}

    def training(self, student, options, context):
        return self.Hook(student) if options.amount else None


@pytest.mark.parametrize("check", [c for c in CHECKS if c.__name__.removeprefix("check_") in OF_HOOKS])
def test_the_contract_of_hooks_can_be_broken(check):
    with pytest.raises((AssertionError, ModelError)):
        check(BadTraining())


def test_a_state_must_have_the_same_names_each_time(monkeypatch):
    monkeypatch.setattr(BadHook, "finish", Hook.finish)
    with pytest.raises(AssertionError, match="other names the second time"):
        check_trainings_go_on(BadTraining())


class BadFile(Bad):
    """Its formats are not what its student computes."""

    def convert(self, student, options, context):
        student = deepcopy(student)
        student.encoder.shape = student.encoder.shape.with_(activation="relu")
        return student


def test_a_file_that_answers_otherwise_breaks_the_contract():
    with pytest.raises(AssertionError, match="deviations off"):
        check_files_answer_as_students_do(BadFile())


def test_an_explicit_fp32_format_is_no_change():
    student = contract_student()
    assert not is_changed(
        student, techniques["linear_bits"].convert(student, techniques["linear_bits"].parse({}), None)
    )
    assert is_changed(student, replace(student, exit_threshold=0.9))

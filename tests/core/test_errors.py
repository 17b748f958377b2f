import re

import pytest

from autocomp import errors


def test_the_tree_decides_what_ends_a_study():
    trial = {"InfeasiblePlan", "TrainingDiverged", "ExportMismatch", "MeasurementError"}
    kinds = {n: k for n, k in vars(errors).items() if isinstance(k, type) and issubclass(k, errors.AutocompError)}
    assert {n for n, k in kinds.items() if issubclass(k, errors.TrialError)} == trial | {"TrialError"}
    inputs = {n for n, k in kinds.items() if issubclass(k, errors.InputError)}
    assert inputs == set(kinds) - trial - {"TrialError", "AutocompError"}
    assert all(re.search(rf"\b{n}\b", errors.__doc__) for n in kinds), "the module's docstring draws the whole tree"


def test_messages_state_rule_value_and_place():
    assert str(errors.SpecError("a.yaml", "seed", "must be whole", 1.5)) == "a.yaml: seed: must be whole, got 1.5"
    assert str(errors.SpecError("a.yaml", "seed", "is missing")) == "a.yaml: seed: is missing"
    assert (
        str(errors.MissingExtra("ray", "the ray executor"))
        == "the ray executor needs an extra: pip install 'autocomp[ray]'"
    )


@pytest.mark.parametrize(("name", "hint"), [("dept", "did you mean 'depth'? "), ("zzz", "")])
def test_near_matches(name, hint):
    assert errors.did_you_mean(name, ["depth", "exits"]) == hint

import re

import pytest

from autocomp import errors


def test_the_tree_decides_what_ends_a_study():
    trial = {"InfeasiblePlan", "TrainingDiverged", "ExportMismatch", "MeasurementError"}
    kinds = {n: k for n, k in vars(errors).items() if isinstance(k, type) and issubclass(k, errors.AutocompError)}
    assert {n for n, k in kinds.items() if issubclass(k, errors.TrialError)} == trial | {"TrialError"}
    inputs = {n for n, k in kinds.items() if issubclass(k, errors.InputError)}
    assert inputs == set(kinds) - trial - {"TrialError", "AutocompError", "EnvironmentFailure", "NothingMeasured"}
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


def test_all_known_names_are_listed_but_of_very_many_a_few():
    few, many = ([f"t{i:04d}" for i in range(count)] for count in (errors.MOST_LISTED, 5000))
    assert str(errors.UnknownName("trial", "x", few)).endswith(f"(40 known: {', '.join(few)})")
    told = str(errors.UnknownName("trial", "t4321x", many))
    assert "did you mean 't4321'" in told, "near ones are looked for among all"
    assert told.endswith("(5,000 known: t0000, t0001, t0002, t0003, t0004, t0005, t0006, t0007, t0008, t0009, …)")


def raised(error, cause=None):
    """The error as somebody catches it."""
    try:
        try:
            if cause:
                raise cause
        except Exception as behind:
            raise error from behind
        raise error
    except Exception as caught:
        return caught


FULL = OSError(28, "No space left on device", "/cache/x")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (raised(FULL), "No space left on device: '/cache/x'"),
        (raised(errors.ExportMismatch("it cannot be read"), FULL), "No space left on device: '/cache/x'"),
        (raised(PermissionError(13, "Permission denied", "/run")), "Permission denied: '/run'"),
        (
            raised(RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")),
            "os error 28",
        ),
        (raised(ValueError("ONNXRuntimeError: open file failed: Too many open files")), "Too many open files"),
    ],
)
def test_what_the_system_refused_is_found_behind_any_error(error, said):
    found = errors.environment_error(error)
    assert isinstance(found, OSError) and said in str(found)


@pytest.mark.parametrize(
    "error",
    [
        raised(ValueError("shapes differ")),
        raised(errors.TrainingDiverged("the loss became nan")),
        raised(MemoryError()),
        raised(RuntimeError("x"), ValueError("y")),
    ],
)
def test_what_is_a_trials_own_is_not_the_systems(error):
    assert errors.environment_error(error) is None

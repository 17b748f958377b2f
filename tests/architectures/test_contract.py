import pytest
import torch

from autocomp.architectures import Part, architectures, keep
from autocomp.testing.architecture_contract import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", architectures.names())
def test_every_architecture_keeps_the_contract(name, check):
    check(name)


def test_what_goes_from_an_axis_goes_from_every_part_that_has_it():
    parts = (
        Part("a.weight", ("out", "in"), (2, 3), "head", "linear"),
        Part("b.weight", ("in", "in"), (3, 3), "head", "linear"),
        Part("b.bias", ("out",), (2,), "head", "bias"),
    )
    weights = {part.name: torch.arange(float(torch.tensor(part.size).prod())).view(part.size) for part in parts}
    kept = keep(weights, parts, "in", [2, 0])
    assert kept["a.weight"].tolist() == [[2, 0], [5, 3]]
    assert kept["b.weight"].tolist() == [[8, 6], [2, 0]]
    assert kept["b.bias"].tolist() == [0, 1] and weights["a.weight"].shape == (2, 3)
    assert keep(weights, parts, "other", [0]).keys() == weights.keys()

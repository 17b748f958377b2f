"""Which measures have to be taken on the device that their number holds for: each says so in its own file."""

import importlib.metadata
import sys
from types import FunctionType, ModuleType

import pytest

from autocomp.errors import UnknownName
from autocomp.measures import measures, on_device
from autocomp.registry import Registry


def test_what_depends_on_the_machine_is_marked():
    assert {name for name in measures if on_device(name)} == {"latency", "load_time", "resident_memory"}


def test_an_unknown_measure_is_refused():
    with pytest.raises(UnknownName):
        on_device("speed")


@pytest.mark.parametrize("marked", [True, False])
def test_a_measure_of_another_package_says_so_in_the_same_way(monkeypatch, marked):
    elsewhere = ModuleType("elsewhere")
    elsewhere.energy = FunctionType(measures["agreement"].__code__, {"__name__": "elsewhere"})
    elsewhere.ON_DEVICE = marked
    monkeypatch.setitem(sys.modules, "elsewhere", elsewhere)
    point = importlib.metadata.EntryPoint("energy", "elsewhere:energy", "autocomp.measures")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    monkeypatch.setattr("autocomp.measures.measures", Registry("measure", "autocomp.measures", "measure"))
    assert on_device("energy") is marked and not on_device("agreement")

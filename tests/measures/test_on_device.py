"""Which measures have to run on the device that their number holds for: each says so in its own file."""

import importlib.metadata

import pytest

from autocomp.errors import UnknownName
from autocomp.measures import measures, runs_on_device
from autocomp.measures._on_device import on_device
from autocomp.registry import Registry


def test_what_depends_on_the_machine_is_marked():
    assert {name for name in measures if runs_on_device(name)} == {"latency", "load_time", "resident_memory"}


def test_an_unknown_measure_is_refused():
    with pytest.raises(UnknownName):
        runs_on_device("speed")


def test_a_measure_of_another_package_can_be_marked(monkeypatch):
    @on_device
    def energy(subject):
        return subject

    other: Registry = Registry("measure", "autocomp.measures", "measure")
    point = importlib.metadata.EntryPoint("energy", "elsewhere:energy", "autocomp.measures")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: energy)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    monkeypatch.setattr("autocomp.measures.measures", other)
    assert runs_on_device("energy") and not runs_on_device("agreement")

"""Where may a job run? Names that the nodes of a cluster and the jobs that need them agree on."""

from __future__ import annotations

MEASURERS = 1
"""A measuring node has so many of its device's resource, and a measurement takes one: nothing is measured beside it."""


def device_resource(profile_name: str) -> str:
    """The custom resource of a node that is the device of a profile: `device:pi4`."""
    return f"device:{profile_name}"

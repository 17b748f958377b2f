"""Where is a device? The custom resource of a Ray node that has it."""

from __future__ import annotations


def device_resource(profile: str) -> str:
    """Name of the resource, of which a measuring node has 1: `device:cpu_1_thread`."""
    return f"device:{profile}"

"""A measure of another package, and a run whose records have it: no other file of autocomp knows of it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from autocomp.measurement import Measurement
from autocomp.measures import figures_of
from autocomp.testing.runs import Event, journal

SOURCE = """
    from autocomp.measurement import Measurement
    from autocomp.measures import Figure

    ON_DEVICE = True
    FIGURES = (
        Figure("energy_mj", "energy of a request", "mJ", spread="energy_spread_mj"),
        Figure("energy_peak_w", "peak power", "W", statistic="peak"),
    )

    def measure(subject):
        return Measurement(1.0, "mJ", details={"peak": 2.0})
    """
"""The module of the measure `energy`."""


def write_plug_in(site: Path, source: str = SOURCE) -> Path:
    """Write an installed distribution that adds the measure `energy` by an entry point; returns its folder."""
    info = site / "wattmeter-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wattmeter\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[autocomp.measures]\nenergy = wattmeter:measure\n")
    (site / "wattmeter.py").write_text(textwrap.dedent(source))
    return site


def events_with_energy() -> list[Event]:
    """A finished run's events in which candidates and members have the measure `energy`, as a study writes them."""
    made = journal()
    for event in made:
        record = event.get("record", {})
        if record.get("status") == "complete":
            record["measurements"]["energy"] = _energy(record["measurements"]["latency"]["value"]).to_json()
        for member in event["members"] if event["event"] == "front" else ():
            member |= figures_of({"energy": _energy(member["latency_ms"])})
    return made


def _energy(value: float) -> Measurement:
    return Measurement(value, "mJ", spread=0.1 * value, details={"peak": value / 2})

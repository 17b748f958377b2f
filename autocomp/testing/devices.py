"""A device that nobody probed, for tests of everything that reads a profile. No number in it was measured."""

from __future__ import annotations

from autocomp.devices.work import COUNTED
from autocomp.environment import processor
from autocomp.spec import DeviceProfile, FitError, LatencyTable, Recorded

AWAY = "a Cortex-A72"


def recorded_device(
    name: str = "pi4",
    cpu: str | None = AWAY,
    threads: int = 1,
    noise: float = 0.02,
    work: tuple[str, ...] = COUNTED,
    **costs_ms: float,
) -> DeviceProfile:
    """A profile with a recorded table: 1.5 ms a run, unless costs are given, and predictions that are off by 5 %.

    Args:
        cpu: of the machine; None is this one.
        costs_ms: of a unit of some kinds of work, `runs=0.5, int8_macs=1e-6`.
    """
    here = processor()
    costs = costs_ms or {"runs": 1.5}
    recorded = Recorded(
        at="2026-05-01",
        autocomp="0.1.0",
        cpu=cpu or here["cpu"],
        instruction_sets=() if cpu else tuple(here["instruction_sets"]),
        cores=4,
        memory_gb=8.0,
        versions={"onnxruntime": "1.32.0"},
        int8_macs_per_ms=2.5e8,
        fp32_macs_per_ms=1e7,
        noise_spread=noise,
        disturbed=noise > 0.2,
        noise_between_sessions=0.01,
        latency=LatencyTable(
            work=work,
            costs_ms=tuple(costs.get(kind, 0.0) for kind in work),
            error=FitError(median=0.05, low=-0.04, high=0.06, worst=0.3),
            files=("a file",),
            rows=((0, 8, 1.5, 0.1, *[1.0] * len(work)),),
        ),
    )
    return DeviceProfile(name=name, summary="a CPU.", threads=threads, recorded=recorded)

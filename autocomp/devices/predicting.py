"""How long would a file take on a device that is away? By the work it does and what work was seen to cost there.

How far off it is: `benchmarks/results/prediction.json`, a median of 6 to 8 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autocomp.environment import processor
from autocomp.errors import InputError
from autocomp.measurement import Measurement
from autocomp.measures.latency import latency

if TYPE_CHECKING:
    from autocomp.spec import DeviceProfile, LatencyTable

Texts = Sequence[Mapping[str, np.ndarray]]


def is_here(device: DeviceProfile) -> bool:
    """Whether this machine is the device: a profile of nothing recorded means whatever machine it is used on."""
    return device.recorded is None or _known(device) == processor()


def _known(device: DeviceProfile) -> dict[str, object]:
    assert device.recorded is not None
    return {"cpu": device.recorded.cpu, "instruction_sets": list(device.recorded.instruction_sets)}


def table_of(device: DeviceProfile) -> LatencyTable:
    """The recorded table of a device, if predictions from it hold.

    Raises:
        InputError: nothing was recorded there, for another runtime, or by an autocomp that counts other things.
    """
    from autocomp.devices.work import COUNTED

    probe = f"run `autocomp device probe --name {device.name}` on that machine"
    if device.recorded is None:
        raise InputError(f"{device.name}: a latency is predicted from a recorded table, and it has none; {probe}")
    if device.runtime != "onnxruntime":
        raise InputError(f"{device.name}: times are recorded with onnxruntime, but it is for {device.runtime}")
    if device.recorded.latency.work != COUNTED:
        by = f"autocomp {device.recorded.autocomp}, which counts other work"
        raise InputError(f"{device.name}: its table was recorded by {by}; {probe} again")
    return device.recorded.latency


def predicted_latency(model: Path, texts: Texts, device: DeviceProfile) -> Measurement:
    """Latency at batch 1 on a device, marked as predicted.

    As `measures.latency.latency` gives it, but the spread is that of the errors of such predictions: between their
    quartiles.

    Args:
        model: the ONNX file.
        texts: inputs of one text each.

    Raises:
        InputError: see `table_of`.
    """
    table = table_of(device)
    return as_latency(predicted_ms(model, texts, table), table, device.name)


def as_latency(ms: np.ndarray, table: LatencyTable, device: str) -> Measurement:
    """The same of times that are predicted already."""
    found = latency(ms[None], device)
    spread = found.value * (table.error.high - table.error.low)
    return replace(found, spread=spread, n=len(ms), predicted=True)


def predicted_ms(model: Path, texts: Texts, table: LatencyTable) -> np.ndarray:
    """Milliseconds of each text, alone.

    Args:
        texts: inputs of one text each. The file runs over them here once: which exits it takes is not predicted.
    """
    import onnx

    from autocomp.devices.work import work

    return np.asarray(work(onnx.load(model), texts) @ np.array(table.costs_ms), float)

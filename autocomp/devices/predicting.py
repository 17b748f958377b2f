"""How long would a file take on a device that is away? By the work it does and what work was seen to cost there.

What a unit of each kind of work costs follows from recorded times by non-negative least squares of relative errors. How
far off predictions are: `benchmarks/results/prediction.json`, a median of 6 to 8 %.
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
from autocomp.spec import FitError

if TYPE_CHECKING:
    from autocomp.spec import DeviceProfile, LatencyTable


def fit(work: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """Milliseconds of a unit of each kind of work.

    A cost is never negative. Relative errors are squared: a short time counts as much as a long one.

    Args:
        work: `[n, kinds]`.
        ms: `[n]`, positive.
    """
    from sklearn.linear_model import LinearRegression

    relative = work / ms[:, None]
    # Multiply-adds come in millions and runs in ones: the solver wants them alike.
    scale = np.maximum(np.linalg.norm(relative, axis=0), np.finfo(float).tiny)
    model = LinearRegression(fit_intercept=False, positive=True).fit(relative / scale, np.ones(len(ms)))
    return np.asarray(model.coef_ / scale, float)


def left_out_errors(work: np.ndarray, ms: np.ndarray, files: Sequence[int]) -> np.ndarray:
    """(predicted - measured) / measured of each time, by costs that were fitted without the file it belongs to."""
    errors = np.empty(len(ms))
    for file in set(files):
        out = np.array(files) == file
        errors[out] = work[out] @ fit(work[~out], ms[~out]) / ms[out] - 1
    return errors


def fit_error(errors: np.ndarray) -> FitError:
    """A summary of `left_out_errors`."""
    low, high = np.percentile(errors, [25, 75])
    return FitError(median=np.median(abs(errors)), low=low, high=high, worst=abs(errors).max())


Texts = Sequence[Mapping[str, np.ndarray]]


def is_this_machine(device: DeviceProfile) -> bool:
    """Whether this machine is the device: a profile of nothing recorded means whatever machine it is used on."""
    return device.recorded is None or _recorded_processor(device) == processor()


def _recorded_processor(device: DeviceProfile) -> dict[str, object]:
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
    """Latency from times that are predicted already."""
    measured = latency(ms[None], device)
    spread = measured.value * (table.error.high - table.error.low)
    return replace(measured, spread=spread, n=len(ms), predicted=True)


def predicted_ms(model: Path, texts: Texts, table: LatencyTable) -> np.ndarray:
    """Milliseconds of each text, alone.

    Args:
        texts: inputs of one text each. The file runs over them here once: which exits it takes is not predicted.
    """
    import onnx

    from autocomp.devices.work import work

    return np.asarray(work(onnx.load(model), texts) @ np.array(table.costs_ms), float)

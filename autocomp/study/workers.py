"""Who works for a study: workers of this machine or of a cluster, checked for what the study needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autocomp.devices.predicting import table_of
from autocomp.errors import GpuError, InputError
from autocomp.executors import NodeFunctions
from autocomp.executors.local import LocalPool, share_of_cores
from autocomp.measures import TIME, on_device
from autocomp.pipeline.evaluate import HERE, PREDICTED, place

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.spec import DeviceProfile, StudySpec
    from autocomp.study.validate import Checked

ON_NODES = NodeFunctions(
    mirror="autocomp.pipeline.job_io:mirror",
    card="autocomp.pipeline.job_io:card",
    usable_gpus="autocomp.training.accelerator:gpus",
)


def open_pool(checked: Checked, ray: str | None) -> WorkerPool:
    """The workers of a study.

    Raises:
        InputError: no such cluster, or one on which this study cannot run; or a device that is away, and of which
            nothing is recorded that could replace it.
    """
    pool = _pool(checked, ray)
    try:
        check_place(checked.device, [o.measure for o in checked.objectives], pool)
        _check_some_gpu(checked.spec, pool, ray)
    except BaseException:
        pool.close()
        raise
    return pool


def _pool(checked: Checked, ray: str | None) -> WorkerPool:
    spec = checked.spec
    if ray is None:
        return LocalPool(*share_of_cores(spec.workers), usable_gpus() if spec.wants_gpus else 0)
    from autocomp.executors.ray.pool import RayPool

    return RayPool(ray, spec.workers, checked.device.name, ON_NODES, spec.wants_gpus)


def _check_some_gpu(spec: StudySpec, pool: WorkerPool, ray: str | None) -> None:
    """A study that wants GPUs must have one."""
    if spec.wants_gpus and not pool.gpus:
        asks = f"gpu_share {spec.gpu_share:g}" if spec.gpu_share else f"budget {spec.budget!r}"
        cluster = f"no node of the cluster ({ray}) offers one beside a core"
        where = "PyTorch sees none on this machine" if ray is None else cluster
        raise GpuError(f"{asks} wants a GPU, but {where}; {GpuError.way_out}, or name a cluster that has some: --ray")


def usable_gpus() -> int:
    """How many GPUs of this machine PyTorch can use."""
    from autocomp.training.accelerator import gpus

    return gpus()


def check_place(device: DeviceProfile, wanted: Sequence[str], pool: WorkerPool) -> None:
    """Refuse what nobody can measure, before anything starts.

    Args:
        wanted: measures that objectives name.

    Raises:
        InputError: trials would be timed on several machines; or the device is away, and has no usable table or an
            objective is not on latency.
    """
    where = place(device, pool)
    if where == HERE and len(pool.machines) > 1:
        rule = (
            f"the workers are on several machines ({', '.join(pool.machines)}), and none of their nodes is the device"
        )
        way_out = "run `autocomp device join` on the device, or name a profile that `autocomp device probe` wrote there"
        raise InputError(f"{rule} {device.name}: latencies would not be of one machine; {way_out}")
    if where != PREDICTED:
        return
    table_of(device)
    for name in wanted:
        if on_device(name) and name != TIME:
            rule = f"{name} is measured on the device, and neither this machine nor a node that works for it is"
            way_out = "leave that objective out, or run `autocomp device join` on the device"
            raise InputError(f"{rule} {device.name}; only latency can be predicted: {way_out}")

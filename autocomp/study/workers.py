"""Who works for a study: workers of this machine or of a cluster, with what the study needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autocomp.errors import GpuError
from autocomp.executors import NodeFunctions
from autocomp.executors.local import LocalPool, share_of_cores
from autocomp.pipeline.measuring import check_place

if TYPE_CHECKING:
    from autocomp.executors import WorkerPool
    from autocomp.spec import StudySpec
    from autocomp.study.validate import Checked

ON_NODES = NodeFunctions(
    mirror="autocomp.pipeline.job_io:mirror",
    card="autocomp.pipeline.job_io:card",
    usable_gpus="autocomp.training.accelerator:gpus",
)


def open_crew(checked: Checked, ray: str | None) -> WorkerPool:
    """Who works for a study.

    Raises:
        InputError: no such cluster, or one on which this study cannot run; or a device that is away, and of which
            nothing is recorded that could replace it.
    """
    crew = _crew(checked, ray)
    try:
        check_place(checked.device, [o.measure for o in checked.objectives], crew)
        _check_some_gpu(checked.spec, crew, ray)
    except BaseException:
        crew.close()
        raise
    return crew


def _crew(checked: Checked, ray: str | None) -> WorkerPool:
    spec = checked.spec
    if ray is None:
        return LocalPool(*share_of_cores(spec.workers), usable_gpus() if spec.wants_gpus else 0)
    from autocomp.executors.ray.pool import RayPool

    return RayPool(ray, spec.workers, checked.device.name, ON_NODES, spec.wants_gpus)


def _check_some_gpu(spec: StudySpec, crew: WorkerPool, ray: str | None) -> None:
    """A study that wants GPUs must have one."""
    if spec.wants_gpus and not crew.gpus:
        asks = f"gpu_share {spec.gpu_share:g}" if spec.gpu_share else f"budget {spec.budget!r}"
        cluster = f"no node of the cluster ({ray}) offers one beside a core"
        where = "PyTorch sees none on this machine" if ray is None else cluster
        raise GpuError(f"{asks} wants a GPU, but {where}; {GpuError.way_out}, or name a cluster that has some: --ray")


def usable_gpus() -> int:
    """How many GPUs of this machine PyTorch can use."""
    from autocomp.training.accelerator import gpus

    return gpus()

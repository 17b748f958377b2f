"""What an attempt on a cluster died of, and whether any other job would fare better."""

import pytest
from ray import exceptions

from autocomp.errors import ClusterError
from autocomp.executors.ray.tasks import failure_of, is_of_the_machine, reason_of


def on_a_worker(error):
    """The error as the driver gets it."""
    return exceptions.RayTaskError("do", "Traceback …", error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (on_a_worker(OSError(28, "No space left on device")), True),
        (on_a_worker(ClusterError("install the same on every node")), True),
        (exceptions.OutOfDiskError("the local disk is full"), True),
        (on_a_worker(ValueError("its own")), False),
        (exceptions.WorkerCrashedError(), False),
        (exceptions.OutOfMemoryError("killed"), False),
        (None, False),
    ],
)
def test_what_is_around_a_job_is_told_from_the_job_itself(error, expected):
    assert is_of_the_machine(error) is expected


def test_reasons_name_what_happened_on_the_worker():
    assert reason_of(on_a_worker(ClusterError("other code\nmore"))) == "ClusterError: other code"
    assert failure_of({"failed": None, "is_environment": False}) is None
    found = failure_of({"failed": "OSError: full", "is_environment": True})
    assert (found.reason, found.is_environment) == ("OSError: full", True)

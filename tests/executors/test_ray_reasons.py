"""A node of a cluster that cannot or may not do a job: the reason, and whether any other job would fare better."""

import json
from dataclasses import replace

import pytest
from ray import exceptions

from autocomp.errors import ClusterError
from autocomp.executors import Failure
from autocomp.executors.ray.cache_server import ServedStudy
from autocomp.executors.ray.tasks import is_of_the_machine, reason_of
from autocomp.executors.ray.worker import NodeFolders, Outcome
from autocomp.result_cache import code_versions


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


@pytest.mark.parametrize("outcome", [Outcome({"n": 1}, None, 0.5), Outcome(None, Failure("OSError: full", True), 2.0)])
def test_an_outcome_travels_as_plain_data(outcome):
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_a_node_that_comes_later_with_other_code_is_refused(tmp_path):
    study = ServedStudy(code_versions(), str(tmp_path), str(tmp_path / "stages"), "", "", {})
    with pytest.raises(ClusterError, match="install the same on every node"):
        NodeFolders(replace(study, code={**code_versions(), "student": "other"}))
    with pytest.raises(ValueError, match="Empty module name"):  # the code is the same: it goes on to mirror the run
        NodeFolders(study)

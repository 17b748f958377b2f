"""A node of a cluster that has other code than the driver does nothing."""

import pytest

from autocomp.errors import ClusterError
from autocomp.executors.ray.worker import Place
from autocomp.result_cache import code_versions


def test_a_node_that_comes_later_with_other_code_is_refused(tmp_path):
    about = {"run": str(tmp_path), "store": str(tmp_path / "stages"), "store_id": "", "settle": "", "card": {}}
    with pytest.raises(ClusterError, match="install the same on every node"):
        Place({**about, "code": {**code_versions(), "student": "other"}})
    with pytest.raises(ValueError, match="Empty module name"):  # the code is the same: it goes on to mirror the run
        Place({**about, "code": code_versions()})

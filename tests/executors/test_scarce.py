"""What runs short on a cluster: the object store, and a node's memory. For real: `benchmarks/ray_cluster.py scarce`."""

from types import SimpleNamespace

import pytest
from ray import exceptions
from ray.air.execution._internal import actor_manager

from autocomp.executors.ray import cache_server
from autocomp.executors.ray._tune import all_deaths_are_of_trials, last_failure
from autocomp.result_cache import ResultCache


@pytest.fixture
def sender(tmp_path, monkeypatch):
    """A cache server with four stages of about 20 kB, and the packed stages that the object store holds."""
    store, held = ResultCache(tmp_path / "stages"), []

    def build(folder):
        (folder / "weights").write_bytes(bytes(20_000))

    keys = [store.make("data", {"n": n}, build).key for n in range(4)]
    monkeypatch.setattr(cache_server.ray, "put", lambda tar: held.append(len(tar)) or f"reference {len(held)}")
    return cache_server.CacheServer(str(tmp_path), str(store.root), "", ""), keys, held


def test_old_packed_make_room_and_are_packed_again(sender, monkeypatch):
    one, keys, held = sender
    one.fetch(keys[0])
    monkeypatch.setattr(cache_server, "KEPT_BYTES", held[0] * 2)
    assert one.fetch(keys[0]) == ["reference 1"]
    assert [one.fetch(key) for key in keys[1:3]] == [["reference 2"], ["reference 3"]]
    assert one.fetch(keys[1]) == ["reference 2"], "still there: only the oldest went"
    assert one.fetch(keys[0]) == ["reference 4"]
    assert one.counts()["sent"] == 4


def test_a_full_object_store_is_emptied_once(sender, monkeypatch):
    one, keys, _ = sender
    refused = iter([False, True, False, True, True])

    def put(tar):
        if next(refused):
            raise exceptions.ObjectStoreFullError("full")
        return tar

    monkeypatch.setattr(cache_server.ray, "put", put)
    one.fetch(keys[0])
    one.fetch(keys[1])
    assert list(one._packed) == [keys[1]]
    with pytest.raises(exceptions.ObjectStoreFullError):
        one.fetch(keys[2])


def test_a_worker_killed_for_memory_is_a_death_and_not_the_end_of_tune():
    seen, manager = [], actor_manager.RayActorManager.__new__(actor_manager.RayActorManager)
    manager._failed_actor_ids = set()
    actor = SimpleNamespace(actor_id=1, _on_error=lambda tracked, error: seen.append(error))
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda tracked, error: seen.append(error))
    manager._cleanup_actor = lambda tracked_actor: None
    killed = exceptions.OutOfMemoryError("low on memory")
    with all_deaths_are_of_trials():
        manager._actor_task_failed(task, killed)
    assert seen == [killed, killed]


def test_the_last_failure_is_read_from_what_tune_wrote(tmp_path):
    file = tmp_path / "error.txt"
    assert last_failure(file) == ""
    file.write_text("Failure # 1 (occurred at noon)\none\nFailure # 2 (occurred at one)\n\n two\nmore\n")
    assert last_failure(file) == "two"

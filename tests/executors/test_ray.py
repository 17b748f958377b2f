"""Jobs on a real Ray of three nodes: placed, tried again when workers and nodes die, stages sent by hash."""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from autocomp import _NO_TELEMETRY
from autocomp.errors import ClusterError, GpuError
from autocomp.executors import NodeFunctions, device_resource
from autocomp.executors.ray.cache_server import packed, unpack
from autocomp.executors.ray.cluster import _room, check_nodes
from autocomp.executors.ray.pool import RayPool
from autocomp.executors.ray.tasks import ATTEMPTS
from autocomp.result_cache import ResultCache

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # Ray's workers take over this process's path, and find `ray_works` by its name
import ray_works  # noqa: E402

PATIENCE_S = 90
FUNCTIONS = NodeFunctions("ray_works:mirror", "ray_works:card", "autocomp.training.accelerator:gpus")
GPUS = 64
"""That a node offers: more than any machine has."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head for the driver, a worker with a store of its own, and a device with another."""
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("cluster")
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    with pytest.MonkeyPatch.context() as patch:
        # Other machines' nodes are not started by us: what is switched off there, their workers have to do.
        for name in set(_NO_TELEMETRY) - {"RAY_USAGE_STATS_ENABLED"}:
            patch.delenv(name, raising=False)
        patch.setenv("AUTOCOMP_CACHE", str(folder / "driver"))
        patch.setenv("PYTHONPATH", path)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        env = {"AUTOCOMP_CACHE": str(folder / "far"), "PYTHONPATH": path}
        made.add_node(num_cpus=1, num_gpus=GPUS, env_vars=env)  # Ray believes it: nothing here computes on them
        device = {"AUTOCOMP_CACHE": str(folder / "device"), "PYTHONPATH": path}
        place = {"num_cpus": 0, "resources": {device_resource("there"): 1}, "env_vars": device}
        yield SimpleNamespace(made=made, folder=folder, device=made.add_node(**place), place=place)
        made.shutdown()


@pytest.fixture(scope="module")
def pool(cluster):
    """Connected once: each connection costs seconds."""
    with RayPool(cluster.made.address, workers=0, device="there", functions=FUNCTIONS) as found:
        run = cluster.folder / "run"
        run.mkdir()
        found.serve(run, cluster.folder / "driver" / "stages")
        yield found


@pytest.fixture
def job(cluster, tmp_path):
    """A job in the study's run directory."""
    return lambda name, **more: {"id": name, "run": str(cluster.folder / "run"), "marks": str(tmp_path), **more}


@pytest.fixture(scope="module")
def trials(pool):
    with pool.executor(ray_works.TRIALS) as executor:
        yield executor


def collect_all(executor):
    found, deadline = {}, time.time() + PATIENCE_S
    while executor.running:
        assert time.time() < deadline, "waited in vain"
        found |= {job["id"]: (result, failure and str(failure)) for job, result, failure in executor.collect(1)}
    return found


def wait_for(condition):
    deadline = time.time() + PATIENCE_S
    while not condition():
        assert time.time() < deadline, "waited in vain"
        time.sleep(0.1)


def add_node(cluster, **arguments):
    """Ray's own test cluster gives a raylet of a busy machine little time to start."""
    for _ in range(4):
        try:
            return cluster.made.add_node(**arguments)
        except Exception as error:
            reason = error
    raise reason


def lost(executor):
    return Counter((one.job["id"], one.attempt, one.again) for one in executor.lost())


@pytest.mark.slow
def test_one_job_gets_a_gpu_of_its_own_where_one_is(cluster, pool, job):
    """Before any trial, as in a study: trials hold on to their cores for the next one."""
    found = pool.at_gpu(ray_works.TRIALS, job("g0"))
    assert found["cache"] == str(cluster.folder / "far") and int(found["gpu"]) in range(GPUS)
    with pytest.raises(GpuError, match=r"g1 did not run on a GPU of .*no such thing"):
        pool.at_gpu(ray_works.TRIALS, job("g1", **{"raise": "no such thing"}))


@pytest.mark.slow
def test_what_trained_on_a_gpu_is_scored_without_one_and_measured_at_the_device(cluster, pool, job):
    """Three parts, of which the second dies once; the GPUs are of the far node, which has one core for them."""
    with pool.executor(ray_works.GPU_TRIALS, share=0.01) as executor:
        assert (executor.workers, executor.gpu_share) == (1, 0.01)
        executor.submit(job("k0", make="trained"))
        [(result, reason)] = collect_all(executor).values()
        parts, lost = executor.parts(), executor.lost()
    assert reason is None and result["cache"] == str(cluster.folder / "far") and result["gpu"]
    assert result["scored"]["read"] == ["trained"] and not result["scored"]["gpu"]
    seen = result["scored"]["measured"]
    assert seen["read"] == ["scored k0"] and seen["cache"] == str(cluster.folder / "device")
    assert [job["id"] for job, _ in parts] == ["k0", "k0"], "after training, and after scoring"
    assert [(one.attempt, one.again, one.gpu_share) for one in lost] == [(1, True, 0.0)]


def test_a_trial_runs_on_a_worker_and_is_measured_at_the_device(cluster, trials, job):
    assert trials.workers == trials.free == 2
    for number in range(4):
        trials.submit(job(f"a{number}", make=f"text {number}"))
    found = collect_all(trials)
    assert {reason for _, reason in found.values()} == {None}
    told = [r["tells"] for result, _ in found.values() for r in (result, result["measured"])]
    assert told == ["1"] * 8, "ONNX Runtime's telemetry is off before anything imports it"
    caches = {result["cache"] for result, _ in found.values()}
    assert caches <= {str(cluster.folder / "driver"), str(cluster.folder / "far")}
    assert {r["measured"]["cache"] for r, _ in found.values()} == {str(cluster.folder / "device")}
    assert {tuple(r["measured"]["read"]) for r, _ in found.values()} == {(f"text {n}",) for n in range(4)}
    store = ResultCache(cluster.folder / "driver" / "stages")
    assert all(store.find(result["made"]) for result, _ in found.values()), "what is made comes to the driver"


def test_a_worker_that_dies_is_tried_again_and_booked(trials, job):
    trials.submit(job("b0", die=1, alone=True))
    trials.submit(job("b1", alone=True, sleep=0.5))
    found = collect_all(trials)
    assert found["b0"][0]["id"] == "b0" and found["b1"][1] is None
    assert lost(trials) == {("b0", 1, True): 1}


@pytest.mark.slow
def test_a_job_that_always_dies_ends_after_a_few_attempts(trials, job):
    trials.submit(job("c0", die=99, alone=True))
    [(result, reason)] = collect_all(trials).values()
    assert result is None and reason
    assert lost(trials) == {("c0", n, n < ATTEMPTS): 1 for n in range(1, ATTEMPTS + 1)}
    trials.submit(job("c1", alone=True))
    assert collect_all(trials)["c1"][1] is None, "the next job is none the worse for it"


def test_an_error_of_the_job_itself_is_not_tried_again(trials, job):
    trials.submit(job("d0", **{"raise": "no such thing"}))
    [(result, reason)] = collect_all(trials).values()
    assert result is None and "no such thing" in reason
    assert lost(trials) == {("d0", 1, False): 1}


def test_a_device_that_cannot_measure_is_a_reason_and_not_the_end(trials, job):
    trials.submit(job("e0", make="measured"))
    [(result, reason)] = collect_all(trials).values()
    assert reason is None and result["measured"]["read"] == ["measured"]


def test_short_jobs_are_tasks_that_are_tried_again(pool, job):
    with pool.executor(ray_works.TASKS, most=2) as executor:
        executor.submit(job("f0", die=1))
        executor.submit(job("f1", **{"raise": "no"}))
        assert executor.free == 0
        found = collect_all(executor)
        assert found["f0"][0]["id"] == "f0" and "no" in found["f1"][1]
        assert lost(executor) == {("f0", 1, True): 1, ("f1", 1, False): 1}


def test_stages_travel_to_a_node_once(cluster, pool, job):
    store = ResultCache(cluster.folder / "driver" / "stages")
    key = store.make("data", {"text": "sent"}, lambda f: (f / "text").write_text("sent") and None).key
    import ray

    before = ray.get(pool._actor.counts.remote())
    for name in ("g0", "g1", "g2"):
        assert pool.at_device(ray_works.MEASURE, job(name, reads=[key]))["read"] == ["sent"]
    after = ray.get(pool._actor.counts.remote())
    assert after["sent"] - before["sent"] == 1
    assert (cluster.folder / "device" / "stages" / key / "text").read_text() == "sent"


def test_what_cannot_be_done_at_the_device_says_so(pool, job):
    with pytest.raises(ClusterError, match=r"there: h0 could not be measured .*no such device"):
        pool.at_device(ray_works.MEASURE, job("h0", **{"raise": "no such device"}))


@pytest.mark.slow
def test_a_node_that_goes_takes_nothing_with_it(cluster, pool, trials, job, tmp_path):
    trials.news()
    node, news = add_node(cluster, num_cpus=1), []
    wait_for(lambda: pool.workers == 3)
    for number in range(3):
        trials.submit(job(f"i{number}", mark=True, sleep=8, alone=True))
    wait_for(lambda: len(list(tmp_path.glob("i*-begun"))) == 3)
    cluster.made.remove_node(node, allow_graceful=False)
    found = collect_all(trials)
    assert {reason for _, reason in found.values()} == {None} and len(found) == 3
    assert sum(lost(trials).values()) == 1
    wait_for(lambda: pool.workers == 2)
    wait_for(lambda: news.extend(trials.news()) or [n.state for n in news] == ["joined", "lost"])


@pytest.mark.slow
def test_measurements_wait_for_a_device_that_died(cluster, pool, trials, job):
    cluster.made.remove_node(cluster.device, allow_graceful=False)
    trials.submit(job("j0", make="waits"))
    assert trials.collect(5) == [] and pool.has_device, "nothing is measured anywhere else"
    add_node(cluster, **cluster.place)
    [(result, reason)] = collect_all(trials).values()
    assert reason is None and result["measured"]["cache"] == str(cluster.folder / "device")


def test_there_is_room_for_as_many_jobs_as_cores_and_gpus_allow(pool):
    assert [pool.room(share) for share in (0.0, 0.5, 1.0)] == [2, 1, 1], "one core beside its GPUs"
    rooms = [_room({"CPU": 16, "GPU": 2}, 1, share) for share in (0.0, 0.125, 0.3, 0.4, 1.0)]
    assert rooms == [16, 16, 6, 4, 2], "a job has its share of one GPU"
    assert (_room({"CPU": 3, "GPU": 1}, 1, 0.1), _room({"CPU": 4}, 1, 0.5)) == (3, 0)


def test_gpus_that_pytorch_cannot_use_are_refused(cluster, pool):
    with pytest.raises(GpuError, match=r"offers 64 GPUs to Ray, but its PyTorch \(.+\) can use \d+; install a PyTorch"):
        check_nodes(FUNCTIONS.usable_gpus)
    assert {report.gpus for report in check_nodes()} == {None}


def test_the_list_of_nodes_is_kept(cluster, pool):
    file = cluster.folder / "run" / "work" / "nodes.json"
    wait_for(file.exists)
    nodes = json.loads(file.read_text())["nodes"]
    assert {n["device"] for n in nodes if n["device"]} == {"there"}
    assert pool.facts()["kind"] == "ray" and len(pool.facts()["nodes"]) == 3


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1", "127.0.0.1:99999x", "a b:1"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(ClusterError, match="HOST:PORT"):
        RayPool(address, 0, "there", FUNCTIONS)


def test_an_address_where_nobody_answers_is_refused():
    with pytest.raises(ClusterError, match=r"no Ray cluster answers at 127.0.0.1:9.*ray start --head"):
        RayPool("127.0.0.1:9", 0, "there", FUNCTIONS)


def test_a_packed_folder_comes_a_folder_whole_or_not_at_all(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(range(256)))
    unpack(packed(tmp_path / "a"), tmp_path / "x" / "y")
    assert (tmp_path / "x" / "y" / "b" / "c").read_bytes() == bytes(range(256))
    with pytest.raises(Exception, match=r"."):
        unpack(packed(tmp_path / "a")[:700], tmp_path / "x" / "z")
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["y"]


def test_a_device_has_a_resource_of_its_name():
    assert device_resource("pi4") == "device:pi4" != device_resource("pi5")

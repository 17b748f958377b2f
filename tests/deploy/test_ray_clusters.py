"""The cluster YAMLs are read by Ray's own launcher code; the RayJob by the part of Ray that reads it on Kubernetes.

KubeRay's custom resource definition comes in no package: what its objects must have, and that what a pod refers to is
there, is checked by hand.
"""

import re
import subprocess
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config

from autocomp.executors import device_resource

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CLUSTERS = ("ray-local.yaml", "ray-aws.yaml")
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
    and not line.startswith("#")
)  # fmt: skip
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
UNITS = {
    "m": Decimal("0.001"),
    "": 1,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
}


def read(name):
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def prepared(name):
    """A cluster's configuration as `ray up` completes and checks it."""
    config = prepare_config(read(name))
    validate_config(config)
    return config


@pytest.fixture(scope="module")
def kube():
    """The objects of kuberay.yaml by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def groups(kube):
    """Head group and worker groups by name."""
    cluster = kube["RayJob"]["spec"]["rayClusterSpec"]
    return {"head": cluster["headGroupSpec"], **{g["groupName"]: g for g in cluster["workerGroupSpecs"]}}


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_takes_the_cluster(name):
    config = prepared(name)
    workers = [t for n, t in config["available_node_types"].items() if n != config["head_node_type"]]
    if name == "ray-aws.yaml":
        assert sum(t["max_workers"] for t in workers) == config["max_workers"]
        assert all(t["min_workers"] == t["max_workers"] for t in workers), "a study asks for no more nodes"


@pytest.mark.parametrize("name", CLUSTERS)
@pytest.mark.parametrize("key", ["worker_start_ray_comands", "min_worker"])
def test_ray_refuses_a_key_that_is_none(name, key):
    with pytest.raises(jsonschema.ValidationError, match=key):
        validate_config({**prepared(name), key: []})


def every_command(config):
    own = [c for t in config["available_node_types"].values() for c in t.get("worker_setup_commands", ())]
    kinds = ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
    return [*own, *(command for kind in kinds for command in config[kind])]


@pytest.mark.parametrize("name", CLUSTERS)
def test_commands_are_shell_and_install_what_was_tested(name):
    config = prepared(name)
    for command in every_command(config):
        subprocess.run(["bash", "-n", "-c", command], check=True)
    installs = [c for c in every_command(config) if "autocomp-*.whl" in c]
    there = "~/autocomp"
    assert config["file_mounts"] == {there: "dist", "~/.ray": "~/.ray"}
    assert installs and all(f"-c {there}/constraints.txt {there}/autocomp-*.whl" in c for c in installs)


def test_measuring_nodes_are_set_up_as_the_others_and_told_what_they_are():
    config = prepared("ray-aws.yaml")
    measuring = config["available_node_types"]["measuring"]
    *common, told = measuring["worker_setup_commands"]
    assert common == config["setup_commands"], "a node type's own list stands instead of the common one"
    device = re.fullmatch(r"echo (\w+) > ~/\.autocomp-device", told)[1]
    assert measuring["resources"] == {"CPU": 0, device_resource(device): 1}
    for name in CLUSTERS:
        assert '--device "$(cat ~/.autocomp-device)"' in prepared(name)["worker_start_ray_commands"][-1]


def test_no_cluster_runs_the_code_of_whoever_reaches_it(kube):
    assert kube["RayJob"]["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for name in CLUSTERS:
        config = prepared(name)
        for kind in ("head_start_ray_commands", "worker_start_ray_commands"):
            assert config[kind][-1].startswith("export RAY_AUTH_MODE=token;")


def test_ray_reads_the_kubernetes_cluster(kube):
    cluster = {"metadata": {"name": "x", "namespace": "x"}, "spec": kube["RayJob"]["spec"]["rayClusterSpec"]}
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    assert (types["headgroup"]["resources"]["CPU"], types["workers"]["resources"]["CPU"]) == (0, 8)
    (device,) = re.findall(r"--device (\w+) ", kube["RayJob"]["spec"]["entrypoint"])
    measuring = types["measuring"]
    assert (measuring["resources"][device_resource(device)], measuring["resources"]["CPU"]) == (1, 0)
    assert (measuring["min_workers"], measuring["max_workers"]) == (1, 1)


def test_the_kubernetes_objects_have_what_is_required(kube, groups):
    assert {k: o["apiVersion"] for k, o in kube.items()} == {"PersistentVolumeClaim": "v1", "RayJob": "ray.io/v1"}
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", o["metadata"]["name"]) for o in kube.values())
    spec = kube["RayJob"]["spec"]
    assert {"entrypoint", "rayClusterSpec", "backoffLimit", "shutdownAfterJobFinishes"} <= set(spec)
    assert all(set(g) == GROUP for name, g in groups.items() if name != "head")
    assert all(g["minReplicas"] <= g["replicas"] <= g["maxReplicas"] for n, g in groups.items() if n != "head")
    params = [value for g in groups.values() for value in g["rayStartParams"].values()]
    assert params and all(isinstance(value, str) for value in params), "rayStartParams holds strings only"


def test_one_image_with_the_ray_that_was_tested(kube, groups):
    (image,) = {c["image"] for g in groups.values() for c in g["template"]["spec"]["containers"]}
    docker = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert f"-t {image} " in docker and "-c constraints.txt" in docker
    from autocomp.environment import __version__

    assert image == f"autocomp:{__version__}"
    assert kube["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"] == PINS["ray"]


@pytest.mark.parametrize("name", ["head", "workers", "measuring"])
def test_pods_hold_together(kube, groups, name):
    pod = groups[name]["template"]["spec"]
    volumes = {v["name"]: v for v in pod["volumes"]}
    (container,) = pod["containers"]
    mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    assert set(mounts.values()) == set(volumes)
    cache = {e["name"]: e["value"] for e in container["env"]}["AUTOCOMP_CACHE"]
    assert any(cache == path or cache.startswith(f"{path}/") for path in mounts), "the cache is on a volume"
    claims = {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v}
    assert claims <= {kube["PersistentVolumeClaim"]["metadata"]["name"]}
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert set(requests) == set(limits) == {"cpu", "memory"}
    assert all(0 < quantity(requests[k]) <= quantity(limits[k]) for k in requests)


def quantity(text):
    """A number of Kubernetes."""
    number, unit = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", str(text)).groups()
    return Decimal(number) * UNITS[unit]


def test_the_run_is_on_the_heads_volume(kube, groups):
    entry = kube["RayJob"]["spec"]["entrypoint"]
    subprocess.run(["bash", "-n", "-c", entry], check=True)
    (path,) = [m["mountPath"] for m in groups["head"]["template"]["spec"]["containers"][0]["volumeMounts"]]
    runs = {*re.findall(r"--out (\S+)", entry), *re.findall(r"resume (\S+)", entry), *re.findall(r"-e (\S+)/j", entry)}
    assert len(runs) == 1 and runs.pop().startswith(f"{path}/")

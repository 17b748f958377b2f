"""`autocomp device probe` and `join`; no Ray is started here."""

import importlib.metadata
import json
import os
import re
import socket
import sys

import pytest

from autocomp.cli.device import join, probe
from autocomp.spec import DeviceProfile, read_device, write_device
from autocomp.testing.studies import AWAY, recorded_device


@pytest.fixture
def probed(monkeypatch, tmp_path):
    """Stands in for the probe, which takes a minute: what it was asked for."""
    from autocomp.devices import probing

    asked = []

    def stand_in(name, threads, seconds, files, tell):
        asked.append((name, threads, seconds, files))
        for text, fraction in [("noise", 0.1), ("timing them, round 1", 0.4), ("timing them, round 2", 0.8)]:
            tell(text, fraction)
        return recorded_device(name, None, noise=0.3 if name == "busy" else 0.02)

    monkeypatch.setattr(probing, "probe", stand_in)
    monkeypatch.chdir(tmp_path)
    return asked


def test_probe_writes_a_profile_that_is_a_device(autocomp, probed, tmp_path):
    status, out, err = autocomp("device", "probe", "--name", "pi4", "--seconds", "9", "--files", "8", "--threads", "1")
    assert (status, probed) == (0, [("pi4", 1, 9.0, 8)])
    assert read_device("pi4.yaml") == recorded_device("pi4", None)
    assert out.startswith("pi4.yaml: pi4, a CPU.") and "250 billion multiply-adds a second int8" in out
    assert "spread by 2.0%, two sessions of it differ by 1.0%" in out and "off by 5.0% (median), 30% at worst" in out
    assert err.splitlines() == [" 10 % noise", " 40 % timing them"], "a step is told once"
    assert "something else runs here" not in out


def test_probe_is_listed_where_devices_are_looked_for(autocomp, probed, tmp_path):
    assert autocomp("device", "probe", "--name", "pi4", "--out", "mine/devices/pi4.yaml", "--quiet")[2] == ""
    found = json.loads(autocomp("list", "devices", "--include", "mine", "--json")[1])
    assert {"name": "pi4", "summary": "a CPU.", "source": "mine/devices/pi4.yaml"} in found


def test_probe_as_json(autocomp, probed, tmp_path):
    found = json.loads(autocomp("device", "probe", "--name", "pi4", "--json")[1])
    assert found.pop("file") == str(tmp_path / "pi4.yaml") and DeviceProfile(**found) == recorded_device("pi4", None)


def test_probe_takes_this_machines_name(autocomp, probed, monkeypatch):
    monkeypatch.setattr(probe.platform, "node", lambda: "lab pc#7.example.org")
    autocomp("device", "probe")
    monkeypatch.setattr(probe.platform, "node", lambda: "…")
    autocomp("device", "probe")
    assert [asked[0] for asked in probed] == ["lab-pc-7", "this-machine"]


def test_probe_on_a_busy_machine_says_so(autocomp, probed):
    assert "something else runs here; probe again" in autocomp("device", "probe", "--name", "busy")[1]


def test_probe_overwrites_only_when_told(autocomp, probed, tmp_path):
    (tmp_path / "pi4.yaml").write_text("mine: 1\n")
    status, _, err = autocomp("device", "probe", "--name", "pi4")
    assert (status, probed, (tmp_path / "pi4.yaml").read_text()) == (2, [], "mine: 1\n") and "--force" in err
    assert autocomp("device", "probe", "--name", "pi4", "--force")[0] == 0
    assert read_device("pi4.yaml").name == "pi4"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "my pi"], "--name must be letters, digits, _ . and -"),
        (["--name", ""], "--name must be letters"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--threads", "100000"], "at most this machine's"),
        (["--seconds", "-1"], "--seconds must be at least 0"),
        (["--seconds", "nan"], "--seconds must be at least 0"),
        (["--files", "5"], "--files must be at least 6"),
        (["--out", "pi4.json"], "must be a .yaml file"),
        (["--out", "/proc/no/pi4.yaml"], "cannot be written"),
    ],
)
def test_probe_refuses_what_is_wrong_before_it_measures(autocomp, probed, words, said):
    status, out, err = autocomp("device", "probe", *words)
    assert (status, out, probed) == (2, "", []) and said in err


@pytest.fixture
def started(monkeypatch):
    """What would be started, without starting it."""
    calls = []
    monkeypatch.setattr(join.os, "execve", lambda *given: calls.append(given) or sys.exit(0))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.60.0")
    return calls


@pytest.fixture
def head():
    """The address of something that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_join_starts_ray_in_its_place_with_one_of_the_device_and_no_cores(autocomp, started, head, capsys):
    with pytest.raises(SystemExit):
        autocomp("device", "join", head)
    [(program, command, environment)] = started
    assert (program, command[:4]) == (sys.executable, [sys.executable, "-m", "ray.scripts.scripts", "start"])
    assert f"--address={head}" in command and "--num-cpus=0" in command and "--num-gpus=0" in command
    assert '--resources={"device:cpu_1_thread": 1}' in command and command[-1] == "--block"
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0" and environment["PATH"] == os.environ["PATH"]
    assert f"joining {head} as device:cpu_1_thread: one measurement at a time" in capsys.readouterr().err


def test_join_with_a_probed_device_and_cores_for_others(autocomp, head, started, monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(
        join.subprocess, "run", lambda command, env: ran.append(command) or type("", (), {"returncode": 3})
    )
    write_device(recorded_device("pi4", None), tmp_path / "devices" / "pi4.yaml")
    for device in (["--device", tmp_path / "devices" / "pi4.yaml"], ["--device", "pi4", "--include", tmp_path]):
        status, _, err = autocomp("device", "join", head, *device, "--cores", "2", "--detach")
        assert status == 3, "Ray's own" and "`ray stop` leaves" in err and "2 cores run other jobs" in err
    for command in ran:
        assert '--resources={"device:pi4": 1}' in command and "--num-cpus=2" in command
        assert not {"--block", "--num-gpus=0"} & set(command)
    assert len(ran) == 2 and not started


def test_join_dry_run_prints_what_a_shell_would_take(autocomp, monkeypatch):
    import shlex

    status, out, err = autocomp("device", "join", "[::1]:6379", "--dry-run")
    assert (status, err) == (0, "")
    assert shlex.split(out) == join.ray_start("[::1]:6379", "device:cpu_1_thread", 0, block=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["localhost"], "ADDRESS must be HOST:PORT"),
        (["localhost:0"], "ADDRESS must be HOST:PORT"),
        (["localhost:65536"], "ADDRESS must be HOST:PORT"),
        (["a b:6379"], "ADDRESS must be HOST:PORT"),
        (["ray://localhost:10001"], "not the one of Ray's client"),
        (["localhost:6379", "--device", "cpu_1_thred"], "did you mean 'cpu_1_thread'"),
        (["localhost:6379", "--device", "none.yaml"], "no device 'none.yaml'"),
        (["localhost:6379", "--cores", "-1"], "--cores must be at least 0"),
    ],
)
def test_join_refuses_what_is_wrong(autocomp, started, words, said):
    for dry in ([], ["--dry-run"]):
        status, out, err = autocomp("device", "join", *words, *dry)
        assert (status, out, started) == (2, "", []) and said in err


def test_join_refuses_to_be_a_device_that_was_recorded_elsewhere(autocomp, started, head, tmp_path):
    write_device(recorded_device("pi4", AWAY), tmp_path / "pi4.yaml")
    status, _, err = autocomp("device", "join", head, "--device", tmp_path / "pi4.yaml")
    assert (status, started) == (2, []) and "recorded on a machine with 'a Cortex-A72'" in err


def test_join_refuses_when_nothing_answers(autocomp, started):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    status, _, err = autocomp("device", "join", address)
    assert (status, started) == (2, []) and re.search(rf"{address}: nothing answers there .*ray start --head", err)


def test_join_without_ray_says_what_to_install(autocomp, started, head, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    status, _, err = autocomp("device", "join", head)
    assert (status, started) == (2, []) and "pip install 'ray[tune]'" in err


def test_a_verb_of_verbs_needs_one(autocomp):
    status, _, err = autocomp("device")
    assert status == 2 and "VERB" in err
    assert autocomp("device", "prob")[0] == 2
    assert "join" in autocomp("device", "--help")[1] and "examples:" in autocomp("device", "probe", "--help")[1]

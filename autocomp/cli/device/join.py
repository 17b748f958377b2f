"""`autocomp device join ADDRESS`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import shlex
import socket
import subprocess
import sys

from autocomp.errors import ClusterError, InputError

SUMMARY = "make this machine a measuring node of a Ray cluster: latencies of a device are measured here, one at a time"
EXAMPLES = (
    "autocomp device join 10.0.0.1:6379 --device pi4.yaml",
    "autocomp device join 10.0.0.1:6379 --device pi4 --include my_folder --detach",
    "autocomp device join 10.0.0.1:6379 --dry-run",
)
TIMEOUT_S = 5.0
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from autocomp.spec import StudySpec

    default = StudySpec.model_fields["device"].default
    parser.add_argument(
        "address", metavar="ADDRESS", help="HOST:PORT of the cluster's head, as `ray start --head` says it"
    )
    parser.add_argument(
        "--device",
        default=default,
        metavar="NAME|FILE",
        help=f"what this machine is: a name of `autocomp list devices`, or a YAML file of `device probe` ({default})",
    )
    parser.add_argument("--include", action="append", default=[], metavar="DIR", help="a folder with your own YAML")
    parser.add_argument(
        "--cores",
        type=int,
        default=0,
        metavar="N",
        help="cores for other jobs; default 0: nothing runs beside measuring",
    )
    parser.add_argument("--detach", action="store_true", help="return at once; `ray stop` leaves the cluster")
    parser.add_argument("--dry-run", action="store_true", help="print the command and start nothing")


def run(args: argparse.Namespace) -> int:
    """Become a node of the cluster, in the foreground unless told otherwise; nothing starts when something is wrong."""
    from autocomp.cli._say import note
    from autocomp.executors import device_resource

    host, port = address_of(args.address)
    if args.cores < 0:
        raise InputError(f"--cores must be at least 0, got {args.cores}")
    resource = device_resource(_device(args))
    command = ray_start(args.address, resource, args.cores, block=not args.detach)
    if args.dry_run:
        print(shlex.join(command))
        return 0
    _check_ray()
    _check_reachable(host, port)
    beside = f"{args.cores} cores run other jobs beside it" if args.cores else "no other job runs here"
    ends = "`ray stop` leaves the cluster" if args.detach else "Ctrl-C leaves the cluster"
    note(f"joining {args.address} as {resource}: one measurement at a time, {beside}; {ends}")
    return _start(command, args.detach)


def address_of(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPv6]:PORT`.

    Raises:
        ClusterError: it is neither.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        hint = "the head's own port, not the one of Ray's client; " if text.startswith("ray://") else ""
        raise ClusterError(f"ADDRESS must be HOST:PORT ({hint}6379 unless the head was told another), got {text!r}")
    return found["host"].strip("[]"), int(found["port"])


def _device(args: argparse.Namespace) -> str:
    """The profile's name.

    Raises:
        UnknownName, SpecError: there is no such profile, or it is wrong.
        InputError: it was recorded on another machine, whose latencies cannot be measured here.
    """
    from autocomp.devices.predicting import is_this_machine
    from autocomp.environment import processor
    from autocomp.spec import read_device

    device = read_device(args.device, args.include)
    if not is_this_machine(device):
        was, here = device.recorded, processor()["cpu"]
        cpu = was.cpu if was else ""
        raise InputError(
            f"--device {args.device}: {device.name} was recorded on a machine with {cpu!r}, and this one has {here!r}, "
            "or other instruction sets; run `autocomp device probe` here under another name"
        )
    return device.name


def ray_start(address: str, resource: str, cores: int, block: bool) -> list[str]:
    """The command line of Ray that joins a cluster with one of a resource, and with no GPU where no job may run."""
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}", f"--num-cpus={cores}"),
        *([] if cores else ["--num-gpus=0"]),
        f"--resources={json.dumps({resource: 1})}",
        *(["--block"] if block else []),
    ]


def _check_ray() -> None:
    try:
        importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError as error:
        raise ClusterError("Ray is not installed, whose node this machine is to be: pip install 'ray[tune]'") from error


def _check_reachable(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"{host}:{port}: nothing answers there ({error}); start the head with `ray start --head --port={port}`, "
            "and see that no firewall stands between"
        ) from error


def _start(command: list[str], detach: bool) -> int:
    if not detach:
        sys.stdout.flush()
        # In our place, not below us: whoever stops this process, by whatever signal, stops the node.
        os.execve(command[0], command, dict(os.environ))
    return subprocess.run(command, env=dict(os.environ)).returncode

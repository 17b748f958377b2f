"""`autocomp device probe`."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.errors import InputError

if TYPE_CHECKING:
    from autocomp.spec import DeviceProfile, Recorded

SUMMARY = (
    "write a device profile of this machine: what it is, how fast, how steady, and a table to predict latencies from"
)
EXAMPLES = (
    "autocomp device probe",
    "autocomp device probe --name pi4 --seconds 300 --out my_folder/devices/pi4.yaml",
    "autocomp device probe --name server --threads 2 --json",
)
SECONDS, FILES, LEAST_FILES = 60.0, 30, 6
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
Tell = Callable[[str, float], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--name", help="of the device: letters, digits, _ . - (default: this machine's name)")
    parser.add_argument("--out", type=Path, metavar="FILE.yaml", help="the profile (default: NAME.yaml, here)")
    parser.add_argument("--force", action="store_true", help="replace FILE.yaml if it is there")
    parser.add_argument("--threads", type=int, default=1, help="of the engine (default 1)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"of timing random files; each five times at least ({SECONDS:g})"
    )
    parser.add_argument("--files", type=int, default=FILES, help=f"random files, at least {LEAST_FILES} ({FILES})")
    parser.add_argument("--json", action="store_true", help="also print the profile as JSON, its file as `file`")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(args: argparse.Namespace) -> int:
    """Probe and write; nothing is measured when the file could not be written."""
    name = args.name if args.name is not None else _machine_name()
    file = _checked(args, name)
    from autocomp.cli._say import print_json
    from autocomp.devices.probing import probe
    from autocomp.spec import write_device

    with _progress(args.quiet) as tell:
        profile = probe(name, args.threads, args.seconds, args.files, tell)
    write_device(profile, file)
    if args.json:
        print_json({**profile.model_dump(mode="json"), "file": str(file.resolve())})
    else:
        print("\n".join(describe(profile, file)))
    return 0


def _machine_name() -> str:
    return re.sub(r"[^\w.-]+", "-", platform.node().split(".")[0]).strip("-.") or "this-machine"


def _checked(args: argparse.Namespace, name: str) -> Path:
    """The file to write.

    Raises:
        InputError: a name, number or file that cannot be.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name must be letters, digits, _ . and -, beginning with one of the first two; got {name!r}"
        )
    least = {"threads": 1, "seconds": 0, "files": LEAST_FILES}
    for key, low in least.items():
        if not getattr(args, key) >= low:
            raise InputError(f"--{key} must be at least {low}, got {getattr(args, key)}")
    cores = os.cpu_count() or 1
    if args.threads > cores:
        raise InputError(f"--threads must be at most this machine's {cores} cores, got {args.threads}")
    file: Path = args.out or Path(f"{name}.yaml")
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"--out must be a .yaml file, which --device takes; got {file}")
    if file.exists() and not args.force:
        raise InputError(f"{file} exists already; give another --out, or --force to replace it")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}); give another --out") from error
    return file


@contextmanager
def _progress(quiet: bool) -> Iterator[Tell]:
    """A bar on a terminal, a line for each step elsewhere."""
    if quiet:
        yield lambda text, fraction: None
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda text, fraction: bar.update(task, description=text, completed=fraction)


class _Lines:
    """Says a step when it begins; what only counts on within it is no step."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, text: str, fraction: float) -> None:
        from autocomp.cli._say import note

        step = text.split(",")[0]
        if step != self._said:
            note(f"{100 * fraction:3.0f} % {step}")
        self._said = step


def describe(profile: DeviceProfile, file: Path) -> list[str]:
    """What was found, and what to do with it."""
    from autocomp.cli._say import command, short_path

    found = profile.recorded
    assert found is not None
    error, table = found.latency.error, found.latency
    return [
        f"{short_path(file)}: {profile.name}, {profile.summary}",
        *_machine(found),
        f"products of one thread: {_rate(found.int8_macs_per_ms)} int8, {_rate(found.fp32_macs_per_ms)} FP32",
        f"noise: times of one file spread by {found.noise_spread:.1%}, "
        f"two sessions of it differ by {found.noise_between_sessions:.1%}",
        *(["! disturbed: something else runs here; probe again when nothing does"] if found.disturbed else []),
        f"{len(table.rows)} times of {len(table.files)} files; predicted without it, a file is off by "
        f"{error.median:.1%} (median), {error.worst:.0%} at worst",
        f"predict a file's latency on it:  {command('inspect', 'DIR', '--device', short_path(file))}",
        f"measure on this machine in a cluster:  {command('device', 'join', 'ADDRESS', '--device', short_path(file))}",
    ]


def _machine(found: Recorded) -> list[str]:
    memory = "" if found.memory_gb is None else f", {found.memory_gb:g} GB"
    sets = " ".join(found.instruction_sets) or "none that we look for"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return [f"{found.cpu}, {found.cores} cores{memory}; instruction sets: {sets}", f"{found.system}; {versions}"]


def _rate(macs_per_ms: float) -> str:
    return f"{macs_per_ms / 1e6:.3g} billion multiply-adds a second"

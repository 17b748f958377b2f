"""An event as a line of a journal: the fields of a frozen dataclass are the keys of one JSON object, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from autocomp.strict_json import Json, JsonView

OPTIONAL = {"optional": True}
"""Of a field that is not written while it is None."""
OWN = {"own": True}
"""Of a field that is not a key of the line."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Event:
    """One line of a journal.

    Attributes:
        event: the name of its kind in the journal.
        at: when it happened, seconds since 1970; the journal sets it.
        more: keys of the line that this version does not know, as a newer one wrote them.
        keys: all keys of the line in their order, where it was read; none in an event that was made here.
    """

    event: ClassVar[str]
    at: float | None = None
    more: JsonView = field(default_factory=dict, metadata=OWN)
    keys: tuple[str, ...] = field(default=(), compare=False, repr=False, metadata=OWN)

    def __eq__(self, other: object) -> bool:
        """Events of one kind are equal where they say the same, with whatever keys they were read."""
        return type(self) is type(other) and vars(self) | {"keys": ()} == vars(other) | {"keys": ()}

    def __repr__(self) -> str:
        said = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if key != "keys")
        return f"{type(self).__name__}({said})"

    def to_json(self) -> Json:
        """The line's JSON object: an event that was read has the keys that it was read with."""
        written = _format(type(self))
        told = {key: getattr(self, key) for key in written.keys}
        told |= {key: write(told[key]) for key, write in written.writers.items()}
        line: Json = {"event": self.event, **told, **self.more}
        if self.keys:
            return {key: line[key] for key in self.keys}
        return {k: v for k, v in line.items() if v is not None or k not in written.optional}

    @classmethod
    def from_json(cls, line: JsonView) -> Self:
        """Inverse of `to_json`; keys that older versions did not write get their defaults.

        Raises:
            ValueError: a key is missing without which the event says nothing.
        """
        written = _format(cls)
        given: Json = {key: line[key] for key in written.keys if line.get(key) is not None}
        if not written.required <= given.keys():
            lacking = ", ".join(sorted(written.required - given.keys()))
            raise ValueError(f"its event {cls.event!r} lacks {lacking}")
        for key, read in written.readers.items():
            if key in given:
                given[key] = read(given[key])
        if line.keys() <= written.known:
            return cls(**given, keys=tuple(line))
        return cls(**given, keys=tuple(line), more={key: line[key] for key in line if key not in written.known})


@dataclass(frozen=True)
class _Format:
    """How a kind of event is written: its keys in order, how those that are types are read and written, and which keys
    are left out where they are None, or must be there.
    """

    keys: tuple[str, ...]
    known: frozenset[str]
    readers: Mapping[str, Callable[[Any], Any]]
    writers: Mapping[str, Callable[[Any], Any]]
    optional: frozenset[str]
    required: frozenset[str]


_FORMATS: dict[type[Event], _Format] = {}


def _format(kind: type[Event]) -> _Format:
    """The format of a kind of event, found out once."""
    known = _FORMATS.get(kind)
    if known is None:
        own = [f for f in fields(kind) if "own" not in f.metadata]
        readers, writers = ({f.name: f.metadata[way] for f in own if way in f.metadata} for way in ("read", "write"))
        optional = frozenset({"at", *(f.name for f in own if "optional" in f.metadata)})
        required = frozenset(f.name for f in own if f.default is MISSING and f.default_factory is MISSING)
        keys = tuple(f.name for f in own)
        known = _FORMATS[kind] = _Format(keys, frozenset({*keys, "event"}), readers, writers, optional, required)
    return known


E = TypeVar("E", bound=Event)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def event_kind(kind: type[E]) -> type[E]:
    """A frozen dataclass; how events are compared and shown stands in `Event` once, as each method that is made for
    every kind takes time whenever autocomp starts.
    """
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(kind)

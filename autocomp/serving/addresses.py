"""Where a dashboard listens, and under which names it may be asked for."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterable

from autocomp.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?")


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is a free one.

    Raises:
        InputError: the port is in use or needs rights, or this machine has no such address.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host}: this name has no address ({error}); try 127.0.0.1") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere it would share a port that is in use
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise InputError(
            f"cannot listen on {host} port {port}: {error.strerror}; leave --port out for a free one, or name another"
        ) from error
    return listening


def url_host(host: str) -> str:
    """How an address is written in a URL; the address of all networks as this machine's name."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"[{name}]" if ":" in name else name


def hosts(host: str, port: int, allowed: Iterable[str] = ()) -> frozenset[str]:
    """Every `Host` header that means this server, lower-case.

    Args:
        host: as given to `bind`.
        allowed: more names, `NAME` or `NAME:PORT`.

    Raises:
        InputError: one of them is no name.
    """
    names = {*LOOPBACK, url_host(host), *(() if is_loopback(host) else own_names())}
    found = {f"{name}:{port}".lower() for name in names}
    found |= {name.lower() for name in names} if port == 80 else set()
    return frozenset(found | {_named(name, port) for name in allowed})


def _named(text: str, port: int) -> str:
    match = _NAMED.fullmatch(text)
    if not match or int(match["port"] or 1) not in range(1, 65536):
        raise InputError(f"--allow-host takes NAME or NAME:PORT, such as lab-3 or localhost:9000; got {text!r}")
    return f"{match['name']}:{match['port'] or port}".lower()


def own_names() -> set[str]:
    """This machine's names and addresses, as far as it knows them."""
    name = socket.gethostname()
    found = {name, name.split(".")[0]}
    for lookup in (name, f"{name}.local"):
        try:
            told = socket.getaddrinfo(lookup, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            continue
        found |= {url_host(str(address[4][0]).split("%")[0]) for address in told}
    return found | _outward_addresses()


def _outward_addresses() -> set[str]:
    """The addresses that packets leave from; nothing is sent."""
    found = set()
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((elsewhere, 9))
                found.add(url_host(asking.getsockname()[0]))
        except OSError:
            continue
    return found

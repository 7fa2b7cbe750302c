"""Which addresses a client takes, and what gRPC calls them: as the C++ client has it."""

from __future__ import annotations

import os
import re
import socket
from urllib.parse import quote

_UNIX = "unix:"
# The path of a UNIX socket's address, without its terminating zero.
_MAX_UNIX_PATH = 107
# How gRPC's users write a name; ours is one without.
_DNS = "dns:///"


def target_of(address: str) -> str:
    """What gRPC calls an address. ValueError unless it is as Client says: one, or a list
    that gRPC can resolve. Resolves nothing."""
    if not isinstance(address, str):
        raise TypeError(f"address: {address!r}, expected a str, as in "
                        "'127.0.0.1:50051'")
    if "," not in address:
        return _target_of_one(address.removeprefix(_DNS))
    addresses = address.split(",")
    for one in addresses:
        _check(one)
    kinds = set(map(_kind_of, addresses))
    if len(kinds) > 1 or "name" in kinds:
        raise ValueError(
            f"address: {address!r}, expected a list of IPv4 addresses, of [IPv6 "
            "addresses] or of unix:paths; a name stands alone, for all servers it "
            "resolves to")
    kind, = kinds
    if kind == "unix":
        return _UNIX + ",".join(map(_escaped_path_of, addresses))
    # Brackets have no place in the path of a URI, nor has the sign before a zone.
    return f"{kind}:{quote(address, safe=':,')}"


def may_use_proxy(address: str) -> bool:
    """Whether a valid address is a single host that may be another machine's: a proxy is
    asked for one host, not for a list."""
    if "," in address or address.startswith(_UNIX):
        return False
    host = address.removeprefix(_DNS).rpartition(":")[0]
    return not re.fullmatch(r"localhost|\[::1\]|127\.[0-9.]*", host)


def _target_of_one(address: str) -> str:
    _check(address)
    kind = _kind_of(address)
    if kind == "unix":
        return _UNIX + _escaped_path_of(address)
    # A host that is called like a URI scheme of gRPC, as in dns:50051, stays a host.
    return address if kind == "ipv6" else _DNS + address


def _check(address: str) -> None:
    if address.startswith(_UNIX):
        length = len(os.fsencode(address)) - len(_UNIX)
        if not 1 <= length <= _MAX_UNIX_PATH:
            raise ValueError(f"address: {address!r}, a path of {length} bytes, expected "
                             f"1 to {_MAX_UNIX_PATH}")
        return
    host, colon, port = address.rpartition(":")
    # What would make a URI of it is not part of a host.
    if not colon or not re.fullmatch(r"\[[0-9a-fA-F:.%]+\]|[^\[:/\] \t\r\n]+", host):
        raise ValueError(f"address: {address!r}, expected host:port, "
                         "[IPv6 address]:port or unix:path")
    if not re.fullmatch("0*[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"address: {address!r}, port {port!r}, expected 1 to 65535")


def _kind_of(address: str) -> str:
    if address.startswith(_UNIX):
        return "unix"
    if address.startswith("["):
        return "ipv6"
    try:
        socket.inet_pton(socket.AF_INET, address.rpartition(":")[0])
    except OSError:
        return "name"
    return "ipv4"


def _escaped_path_of(address: str) -> str:
    """A UNIX socket's path in the URI that gRPC takes it from."""
    path = address.removeprefix(_UNIX)
    for character in "%?#":
        path = path.replace(character, f"%{ord(character):X}")
    return path

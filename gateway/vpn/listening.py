"""By which device each listening socket of this namespace can be reached, from the kernel.

sock_diag(7): the interface index that a socket is bound to stands with its ports, for every reader.
"""

import socket
import struct
from collections.abc import Iterator

# linux/netlink.h, linux/sock_diag.h, linux/tcp_states.h.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_TCP_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
# struct inet_diag_req_v2; struct inet_diag_msg begins alike, with another first word.
_QUERY = struct.Struct("=BBBxI48x")
# Of inet_diag_sockid: ports in network order, two addresses, the interface.
_SOCKET = struct.Struct("!H2x32x")
_INTERFACE = struct.Struct("=I")
_SOCKET_AT = 4
_MESSAGE_BYTES = 72
_BUFFER_BYTES = 65_536
_WAIT_S = 3.0


def devices(ports: frozenset[int]) -> dict[int, set[int]]:
    """Return of each of these TCP ports that is listened on the interface indexes; 0: any.

    Raises OSError when the kernel does not tell.
    """
    found: dict[int, set[int]] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        for port, index in _listening(family):
            if port in ports:
                found.setdefault(port, set()).add(index)
    return found


def _listening(family: int) -> Iterator[tuple[int, int]]:
    query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN)
    header = _HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as asking:
        asking.settimeout(_WAIT_S)
        asking.sendto(header + query, (0, 0))
        while True:
            said = asking.recv(_BUFFER_BYTES)
            at = 0
            while at + _HEADER.size <= len(said):
                length, kind, *_ = _HEADER.unpack_from(said, at)
                if kind == _DONE:
                    return
                if kind == _ERROR or length < _HEADER.size + _MESSAGE_BYTES:
                    raise OSError("the kernel does not tell who listens")
                yield _socket(said, at + _HEADER.size + _SOCKET_AT)
                at += (length + 3) & ~3


def _socket(said: bytes, at: int) -> tuple[int, int]:
    (port,) = _SOCKET.unpack_from(said, at)
    (index,) = _INTERFACE.unpack_from(said, at + _SOCKET.size)
    return port, index

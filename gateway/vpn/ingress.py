"""The interface that a connection came in by, from the kernel: no address says it, and none can.

The listener is bound to the tunnel's device (`SO_BINDTODEVICE`, socket(7)); for IPv4 the kernel
also keeps, with each accepted socket, the index of the interface that its handshake came in by
(`IP_PKTOPTIONS` with `IP_PKTINFO` set on the listener; identity.md section 5, case J). Where both
speak they must agree.
"""

import asyncio
import fcntl
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.settings import OriginSettings
from gateway.config.strict import SettingsError
from gateway.errors import Reason, refuse
from gateway.vpn.origin import Strength

# linux/in.h; the socket module has none of them before Python 3.14.
_IP_PKTINFO = 8
_IP_PKTOPTIONS = 9
_CONTROLS_BYTES = 64
# linux/sockios.h, linux/if_arp.h. Asked of the kernel, not of /sys: what is mounted there may show
# another namespace's devices.
_SIOCGIFHWADDR = 0x8927
LOOPBACK = 772
# No link layer: WireGuard, TUN (wireguard-go, strongSwan's libipsec, OpenVPN) and XFRM interfaces.
_TUNNEL = 65534
_IFNAMSIZ = 16
# How soon a device that was made anew is noticed.
LOOK_S = 1.0
# struct cmsghdr, and struct in_pktinfo behind it.
_HEADER = struct.Struct("@Nii")
_PKTINFO = struct.Struct("@iII")


@dataclass(frozen=True, slots=True)
class Way:
    """The only way in: the device that listeners are bound to ("": none), and how sure it is."""

    device: str
    strength: Strength


def require(origin: OriginSettings) -> Way:
    """Return the way in of these settings on this machine; raises SettingsError."""
    if origin.proves_nothing and not origin.device:
        return Way("", "weak")
    return judge(origin.device, devices(), allow_weak=origin.allow_weak_origin)


def judge(named: str, types: Mapping[str, int], *, allow_weak: bool) -> Way:
    """Return the way in, given each device's type (ARPHRD); raises SettingsError.

    A named device must be a tunnel. Without a name there must be one tunnel and loopback, nothing
    else. What falls short is weak, where that is allowed; a device that is not there never is.
    """
    if named:
        if named not in types:
            raise SettingsError(f"origin.device: there is no device {named} in this namespace")
        if types[named] == _TUNNEL:
            return Way(named, "proven")
        wrong = f"{named} is no tunnel device"
    else:
        others = [name for name, kind in types.items() if kind != LOOPBACK]
        if len(others) == 1 and types[others[0]] == _TUNNEL:
            return Way(others[0], "proven")
        wrong = "name the tunnel's device, or leave it alone with loopback in this namespace"
    if allow_weak:
        return Way(named, "weak")
    raise SettingsError(
        f"origin.device: {wrong}; or set origin.allow_weak_origin = true, and every leaf says so"
    )


def devices() -> dict[str, int]:
    """Return each network device of this namespace with its type (ARPHRD, linux/if_arp.h)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return {name: _type(asking, name) for _, name in socket.if_nameindex()}


def bind(listening: socket.socket, way: Way) -> None:
    """Tie a socket to the way in, before it listens; raises SettingsError when it cannot be."""
    if listening.family == socket.AF_INET:
        listening.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    if way.device:
        try:
            listening.setsockopt(
                socket.SOL_SOCKET, socket.SO_BINDTODEVICE, way.device.encode() + b"\0"
            )
        except OSError as error:
            raise SettingsError(
                f"origin.device: cannot listen on {way.device} alone: {error.strerror}"
            ) from None


async def stays(way: Way) -> None:
    """Watch for ever that the device is the one that was bound; raises SettingsError once not.

    A device that is made anew has the old name and another index: the listener is deaf to it.
    """
    index = _index(way.device)
    while not way.device or _index(way.device) == index:  # noqa: ASYNC110  no event tells of it
        await asyncio.sleep(LOOK_S)
    raise SettingsError(f"origin.device: {way.device} is gone, or was made anew")


def interface(sock: socket.socket) -> str | None:
    """Return the device that an accepted socket came in by; None where the kernel says nothing.

    Raises ORIGIN_NOT_TUNNEL when the kernel says two things, or names a device that is gone.
    """
    bound = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _IFNAMSIZ)
    names = {bound.rstrip(b"\0").decode("ascii", "replace")} - {""}
    if sock.family == socket.AF_INET:
        controls = sock.getsockopt(socket.IPPROTO_IP, _IP_PKTOPTIONS, _CONTROLS_BYTES)
        index = index_of(controls)
        if index:
            names.add(_name(index))
    if len(names) > 1:
        raise refuse(Reason.ORIGIN_NOT_TUNNEL)
    return next(iter(names), None)


def index_of(controls: bytes) -> int | None:
    """Return the interface index in a list of control messages (cmsg(3)), None without one."""
    at = 0
    while at + _HEADER.size <= len(controls):
        length, level, kind = _HEADER.unpack_from(controls, at)
        if length < _HEADER.size or at + length > len(controls):
            return None
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            if length < _HEADER.size + _PKTINFO.size:
                return None
            index: int = _PKTINFO.unpack_from(controls, at + _HEADER.size)[0]
            return index
        # Each begins at a multiple of the word (CMSG_ALIGN).
        word = struct.calcsize("@N")
        at += (length + word - 1) // word * word
    return None


def _index(name: str) -> int:
    """Return a device's index, 0 for one that is not there."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        raise refuse(Reason.ORIGIN_NOT_TUNNEL) from None


def _type(asking: socket.socket, name: str) -> int:
    request = struct.pack(f"{_IFNAMSIZ}sH14x8x", name.encode(), 0)
    answer = fcntl.ioctl(asking, _SIOCGIFHWADDR, request)
    kind: int = struct.unpack_from(f"{_IFNAMSIZ}sH", answer)[1]
    return kind

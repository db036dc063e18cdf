"""The front's window onto the VPN: which peers there are, without a key and without a hand in.

WireGuard's own socket gives whoever may open it the device's private key and power over its peers;
wireguard-go ends when that socket changes its owner or mode (Debian's 0.0.20220316); the kernel's
WireGuard answers to CAP_NET_ADMIN alone (wg(8)). Who may speak vici commands charon, up to scripts
that it runs as root (updown). So where processes have users of their own, the supervisor asks as
root, and tells the front who the peers are, in the VPN's own words ("get=1", list-sas).
"""

import asyncio
import base64
import shutil
from collections.abc import Iterable
from dataclasses import replace

from gateway import log
from gateway.clock import US_PER_S
from gateway.config import users
from gateway.config.confinement import users_separate
from gateway.config.home import Home
from gateway.config.settings import OriginSettings
from gateway.config.strict import SettingsError
from gateway.vpn import ingress, strongswan, vici, wireguard
from gateway.vpn.table import ANSWER_S, MalformedAnswerError, Peer

_QUESTION = b"get=1\n\n"
_MODE = 0o660
# What is told as it is; of what follows only that it is there. All else is left out.
_TOLD = frozenset(
    {
        "listen_port",
        "fwmark",
        "public_key",
        "protocol_version",
        "endpoint",
        "last_handshake_time_sec",
        "last_handshake_time_nsec",
        "tx_bytes",
        "rx_bytes",
        "persistent_keepalive_interval",
        "allowed_ip",
        "errno",
    }
)
_SECRET = frozenset({"private_key", "preshared_key"})
# "A zero key" means: none (www.wireguard.com/xplatform).
_NO_KEY = "00" * 32
_LOG = log.get("vpn")


def needed(home: Home, origin: OriginSettings) -> bool:
    """Return whether the front asks through the window.

    Not where all processes are one user, nor where the settings name WireGuard's socket: that one
    is the front's to open.
    """
    own = origin.provider == wireguard.KIND and not origin.wireguard.socket
    return (own or origin.provider == strongswan.KIND) and users_separate(home)


def through(home: Home, origin: OriginSettings) -> OriginSettings:
    """Return the settings by which the front asks."""
    if not needed(home, origin):
        return origin
    path = str(home.tunnels_socket)
    return replace(
        origin,
        wireguard=replace(origin.wireguard, socket=path),
        strongswan=replace(origin.strongswan, socket=path),
    )


async def keep(home: Home, origin: OriginSettings) -> None:
    """Keep the window open until cancelled; raises OSError when it cannot be made."""
    path = home.tunnels_socket

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                if origin.provider == strongswan.KIND:
                    await _show_charon(origin.strongswan.socket, reader, writer)
                elif await _asks(reader, _QUESTION):
                    writer.write(await _answer(origin))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, MalformedAnswerError, SettingsError) as error:
            # The front sees an answer without an end, and refuses: ORIGIN_AWAY.
            _LOG.warning("vpn gives no answer", error=type(error).__name__)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(look, path=str(path))
    async with server:
        if users.separate():
            shutil.chown(path, "root", users.user_name("front"))
        path.chmod(_MODE)
        try:
            await server.serve_forever()
        finally:
            path.unlink(missing_ok=True)


async def _asks(reader: asyncio.StreamReader, question: bytes) -> bool:
    """Return whether this is asked: whoever asks anything else, or orders, gets no answer."""
    return await reader.readexactly(len(question)) == question


async def _show_charon(
    path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    # The tree of an SA holds no key (vici's README.md, "list-sa").
    if await _asks(reader, vici.WATCH):
        writer.write(vici.packet(vici.CONFIRM))
        if await _asks(reader, vici.LIST):
            writer.write(vici.answer(await vici.told(path)))


async def _answer(origin: OriginSettings) -> bytes:
    # Asked each time: the device may have been made anew under another name.
    device = origin.device or ingress.require(origin).device
    try:
        said = await wireguard.ask_socket(f"{wireguard.SOCKETS}/{device}.sock")
    except FileNotFoundError:
        said = await wireguard.ask_tool(origin.wireguard.tool, device)
        return written(wireguard.parse_dump(said))
    return without_keys(said)


def without_keys(said: bytes) -> bytes:
    """Return a device's answer with its secret keys blank and without what nobody knows."""
    told = []
    for line in said.decode("ascii", "replace").split("\n"):
        key, equals, _ = line.partition("=")
        if key in _SECRET:
            told.append(f"{key}={_NO_KEY}")
        elif not line or (equals and key in _TOLD):
            told.append(line)
    return "\n".join(told).encode("ascii", "replace")


def written(peers: Iterable[Peer]) -> bytes:
    """Return peers as a device's socket would tell them."""
    lines: list[str] = []
    for peer in peers:
        handshake_us = peer.handshake_us or 0
        lines += [
            f"public_key={base64.b64decode(peer.name).hex()}",
            *([f"endpoint={peer.endpoint}"] if peer.endpoint else []),
            f"last_handshake_time_sec={handshake_us // US_PER_S}",
            f"last_handshake_time_nsec={handshake_us % US_PER_S * 1000}",
            *(f"allowed_ip={network}" for network in peer.networks),
        ]
    return "".join(f"{line}\n" for line in [*lines, "errno=0", ""]).encode("ascii")

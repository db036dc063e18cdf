"""Origin by WireGuard: which peer's key owns the address, asked of the device itself.

Userspace implementations answer on a unix socket (www.wireguard.com/xplatform, "get=1"); the
kernel's own has none and is asked through `wg show DEVICE dump` (wg(8)). Both answers hold the
device's private key: it is stepped over and never kept.
"""

import asyncio
import re
import socket
from collections.abc import Iterator

from gateway.clock import US_PER_S, Clock
from gateway.config.policies import TunnelRules
from gateway.config.settings import OriginSettings
from gateway.errors import Reason, refuse
from gateway.vpn import tool
from gateway.vpn.ingress import Way
from gateway.vpn.origin import Sighting, Strength
from gateway.vpn.table import (
    ANSWER_BYTES,
    Asked,
    MalformedAnswerError,
    Network,
    Peer,
    Table,
    network_of,
)
from gateway.vpn.uapi import Answers, ascii_text, distinct, number
from gateway.vpn.uapi import endpoint as outside

KIND = "wireguard"
SOCKETS = "/var/run/wireguard"
# 32 bytes in base64, one text for one key: the last digit has two bits that say nothing.
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", re.ASCII)
# wg(8): the device's line has four columns, a peer's eight.
_DUMP_DEVICE_COLUMNS = 4
_DUMP_PEER_COLUMNS = 8
_CHUNK_BYTES = 1 << 18
_NONE = "(none)"


class WireguardTunnels:
    """The peers of one WireGuard device."""

    kind = KIND

    def __init__(
        self, settings: OriginSettings, way: Way, rules: TunnelRules, clock: Clock
    ) -> None:
        """Ask the device that connections come in by."""
        self.strength: Strength = way.strength
        self._device = way.device
        self._tool = settings.wireguard.tool
        self._named = settings.wireguard.socket
        self._answers = Answers()
        # What was told last: who may use which address is seldom told otherwise.
        self._last: Table | None = None
        self._asked = Asked(self._ask, rules.cache_s, clock, f"{KIND}:{way.device}")

    async def whois(self, address: str, listener: str, interface: str | None) -> Sighting:  # noqa: ARG002  the protocol's
        """Return the peer whose allowed address this is, if it came in by the device.

        Raises ORIGIN_NOT_TUNNEL, ORIGIN_AMBIGUOUS, ORIGIN_AWAY.
        """
        if interface != self._device:
            raise refuse(Reason.ORIGIN_NOT_TUNNEL)
        peer = (await self._asked.table()).owner(address)
        return Sighting(
            peer.name, KIND, self.strength, self._device, peer.handshake_us, peer.endpoint
        )

    async def names(self) -> frozenset[str]:
        """Return all peers; raises ORIGIN_AWAY."""
        return (await self._asked.table()).names

    async def _ask(self) -> Table:
        try:
            said = await ask_socket(self._named or f"{SOCKETS}/{self._device}.sock")
        except FileNotFoundError:
            if self._named:
                raise
            peers = parse_dump(await ask_tool(self._tool, self._device))
        else:
            peers = self._answers.read(said)
        self._last = Table(peers, self._last)
        return self._last


async def ask_socket(path: str) -> bytes:
    """Return the socket's answer up to its empty line; raises OSError, MalformedAnswerError."""
    loop, said = asyncio.get_running_loop(), bytearray()
    # Not a StreamReader: for an answer of this size it takes half as long again.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
        talk.setblocking(False)
        await loop.sock_connect(talk, path)
        await loop.sock_sendall(talk, b"get=1\n\n")
        while not said.endswith(b"\n\n"):
            more = await loop.sock_recv(talk, _CHUNK_BYTES)
            said += more
            if not more or len(said) > ANSWER_BYTES:
                raise MalformedAnswerError("the answer has no end")
    return bytes(said)


async def ask_tool(path: str, device: str) -> bytes:
    """Return what `wg` prints; raises OSError, MalformedAnswerError."""
    status, said = await tool.run(path, "show", device, "dump")
    if status:
        raise MalformedAnswerError("the tool failed")
    return said


def parse_dump(answer: bytes) -> list[Peer]:
    """Return the peers of `wg show DEVICE dump`; raises MalformedAnswerError."""
    *lines, end = ascii_text(answer).split("\n")
    if end or not lines:
        raise MalformedAnswerError("the answer is cut short")
    if len(lines[0].split("\t")) != _DUMP_DEVICE_COLUMNS:
        raise MalformedAnswerError("the first line is not the device's")
    return distinct(list(_dumped(lines[1:])))


def _dumped(lines: list[str]) -> Iterator[Peer]:
    for line in lines:
        columns = line.split("\t")
        if len(columns) != _DUMP_PEER_COLUMNS:
            raise MalformedAnswerError("a line is not a peer's")
        name, _, endpoint, allowed, handshake_s, *_ = columns
        networks: list[Network] = []
        if allowed != _NONE:
            networks = [network_of(one) for one in allowed.split(",")]
        yield Peer(
            _named(name),
            tuple(networks),
            (number(handshake_s) * US_PER_S) or None,
            "" if endpoint == _NONE else outside(endpoint),
        )


def _named(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise MalformedAnswerError("a key is not base64, or has another length")
    return text

"""Origin by WireGuard: which peer's key owns the address, asked of the device itself.

Userspace implementations answer on a unix socket (www.wireguard.com/xplatform, "get=1"); the
kernel's own has none and is asked through `wg show DEVICE dump` (wg(8)). Both answers hold the
device's private key: it is stepped over and never kept.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Iterator

from gateway.clock import US_PER_S, Clock
from gateway.config.policies import TunnelRules
from gateway.config.settings import OriginSettings
from gateway.errors import Reason, refuse
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

KIND = "wireguard"
SOCKETS = "/var/run/wireguard"
_KEY_BYTES = 32
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
# An address with port, as both answers write it; it is compared and told, never connected to.
_ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.%\w]{2,64}\]|[0-9.]{7,15}):[0-9]{1,5}", re.ASCII)
_OF_DEVICE = frozenset({"private_key", "listen_port", "fwmark"})
_OF_PEER = frozenset(
    {
        "preshared_key",
        "protocol_version",
        "endpoint",
        "last_handshake_time_sec",
        "last_handshake_time_nsec",
        "tx_bytes",
        "rx_bytes",
        "persistent_keepalive_interval",
        "allowed_ip",
    }
)
# wg(8): the device's line has four columns, a peer's eight.
_DUMP_DEVICE_COLUMNS = 4
_DUMP_PEER_COLUMNS = 8
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

    async def _ask(self) -> Table:
        try:
            said = await _uapi(self._named or f"{SOCKETS}/{self._device}.sock")
        except FileNotFoundError:
            if self._named:
                raise
            return Table(parse_dump(await _dump(self._tool, self._device)))
        return Table(parse_uapi(said))


async def _uapi(path: str) -> bytes:
    """Return the socket's answer up to its empty line; raises OSError, MalformedAnswerError."""
    reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_BYTES)
    try:
        writer.write(b"get=1\n\n")
        return await reader.readuntil(b"\n\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise MalformedAnswerError("the answer has no end") from None
    finally:
        writer.close()


async def _dump(tool: str, device: str) -> bytes:
    """Return what `wg` prints; raises OSError, MalformedAnswerError."""
    process = await asyncio.create_subprocess_exec(
        tool,
        "show",
        device,
        "dump",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        if process.stdout is None:
            raise MalformedAnswerError("the tool has no output")
        try:
            await process.stdout.readexactly(ANSWER_BYTES)
        except asyncio.IncompleteReadError as end:
            said = end.partial
        else:
            raise MalformedAnswerError("the answer has no end")
        if await process.wait():
            raise MalformedAnswerError("the tool failed")
        return said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def parse_uapi(answer: bytes) -> list[Peer]:
    """Return the peers of an answer to "get=1"; raises MalformedAnswerError."""
    lines = _text(answer).removesuffix("\n\n").split("\n")
    if lines.pop() != "errno=0":
        raise MalformedAnswerError("the device says an error, or no result")
    sections: list[tuple[str, list[tuple[str, str]]]] = []
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals:
            raise MalformedAnswerError("a line without a value")
        if key == "public_key":
            sections.append((_of_hex(value), []))
        elif key not in (_OF_PEER if sections else _OF_DEVICE):
            raise MalformedAnswerError("an unknown key")
        elif sections:
            sections[-1][1].append((key, value))
    return _distinct([_peer(name, pairs) for name, pairs in sections])


def parse_dump(answer: bytes) -> list[Peer]:
    """Return the peers of `wg show DEVICE dump`; raises MalformedAnswerError."""
    *lines, end = _text(answer).split("\n")
    if end or not lines:
        raise MalformedAnswerError("the answer is cut short")
    if len(lines[0].split("\t")) != _DUMP_DEVICE_COLUMNS:
        raise MalformedAnswerError("the first line is not the device's")
    return _distinct(list(_dumped(lines[1:])))


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
            _of_base64(name),
            tuple(networks),
            (_number(handshake_s) * US_PER_S) or None,
            "" if endpoint == _NONE else _endpoint(endpoint),
        )


def _peer(name: str, pairs: list[tuple[str, str]]) -> Peer:
    once = dict(pairs)
    networks = tuple(network_of(value) for key, value in pairs if key == "allowed_ip")
    if len(once) + max(0, len(networks) - 1) != len(pairs):
        raise MalformedAnswerError("a peer says one thing twice")
    seconds = _number(once.get("last_handshake_time_sec", "0"))
    nanoseconds = _number(once.get("last_handshake_time_nsec", "0"))
    handshake_us = seconds * US_PER_S + nanoseconds // 1000
    endpoint = _endpoint(once["endpoint"]) if "endpoint" in once else ""
    return Peer(name, networks, handshake_us or None, endpoint)


def _distinct(peers: list[Peer]) -> list[Peer]:
    if len({peer.name for peer in peers}) != len(peers):
        raise MalformedAnswerError("a peer is named twice")
    return peers


def _text(answer: bytes) -> str:
    try:
        return answer.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedAnswerError("not ASCII") from None


def _of_hex(text: str) -> str:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise MalformedAnswerError("a key is not hex") from None
    if len(key) != _KEY_BYTES:
        raise MalformedAnswerError("a key has another length")
    return base64.b64encode(key).decode()


def _of_base64(text: str) -> str:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedAnswerError("a key is not base64") from None
    if len(key) != _KEY_BYTES:
        raise MalformedAnswerError("a key has another length")
    return base64.b64encode(key).decode()


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise MalformedAnswerError("not a number")
    return int(text)


def _endpoint(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise MalformedAnswerError("not an endpoint")
    return text

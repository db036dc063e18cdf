"""Origin by strongSwan: which IKE identity owns the address, asked of charon over vici.

An IKE SA may live for hours; what proves that it is alive is the last of its making, its child's
making, and the last packet that came in through it.
"""

from collections.abc import Iterator

from gateway.clock import US_PER_S, Clock
from gateway.config.policies import TunnelRules
from gateway.config.settings import OriginSettings
from gateway.errors import Reason, Refusal, refuse
from gateway.vpn import vici
from gateway.vpn.ingress import Way
from gateway.vpn.origin import Sighting, Strength
from gateway.vpn.table import Asked, MalformedAnswerError, Peer, Table, network_of
from gateway.vpn.vici import Section

KIND = "strongswan"
# Seconds in an unsigned number of 64 bits would pass; an SA of a hundred years is nonsense.
_AGE_DIGITS = 10
# While charon negotiates what follows, the SA before it carries on, for minutes where the peer does
# not answer (tests/vpn/charon.json). One that was told to end waits for that answer too, and ends.
_STANDING = frozenset({"ESTABLISHED", "REKEYING"})
_CARRYING = frozenset({"INSTALLED", "REKEYING"})
_ENDING = "IKE_DELETE"
# Where they differ, what was proven by EAP or XAuth; the identity of IKE is then only claimed.
_IDENTITIES = ("remote-eap-id", "remote-xauth-id", "remote-id")


class StrongswanTunnels:
    """The peers of one charon, whose tunnels end at one device."""

    kind = KIND

    def __init__(
        self, settings: OriginSettings, way: Way, rules: TunnelRules, clock: Clock
    ) -> None:
        """Ask the charon of these settings."""
        self.strength: Strength = way.strength
        self._device = way.device
        self._socket = settings.strongswan.socket
        self._clock = clock
        self._handshake_us = round(rules.handshake_s * US_PER_S)
        self._asked = Asked(self._ask, rules.cache_s, clock, KIND)

    async def whois(self, address: str, listener: str, interface: str | None) -> Sighting:  # noqa: ARG002  the protocol's
        """Return the identity whose virtual address or remote network this is.

        Raises ORIGIN_NOT_TUNNEL, ORIGIN_AMBIGUOUS, ORIGIN_AWAY.
        """
        if interface != self._device:
            raise refuse(Reason.ORIGIN_NOT_TUNNEL)
        peer = self._proven(await self._asked.table(), address)
        if peer is None:
            # An SA that was silent is proven again by the packet that asks to come in, and one that
            # was just made by its making: what was told before may be older than both.
            peer = (await self._asked.anew()).owner(address)
        return Sighting(
            peer.name, KIND, self.strength, self._device, peer.handshake_us, peer.endpoint
        )

    async def names(self) -> frozenset[str]:
        """Return all peers; raises ORIGIN_AWAY."""
        return (await self._asked.table()).names

    def _proven(self, table: Table, address: str) -> Peer | None:
        """Return the owner, if there is one who proves by this table that he is alive."""
        try:
            peer = table.owner(address)
        except Refusal:
            return None
        seen_us = peer.handshake_us
        alive = seen_us is not None and self._clock.now_us() - seen_us <= self._handshake_us
        return peer if alive else None

    async def _ask(self) -> Table:
        return Table(peers(await vici.list_sas(self._socket), self._clock.now_us()))


def peers(listed: list[Section], now_us: int) -> list[Peer]:
    """Return the peers whose tunnels stand, as `list-sas` told; raises MalformedAnswerError.

    One identity may have two SAs, while they are made anew: the younger proof counts.
    """
    found: dict[str, Peer] = {}
    for one in sorted(_standing(listed, now_us), key=lambda peer: peer.handshake_us or 0):
        before = found.get(one.name)
        networks = one.networks if before is None else (*before.networks, *one.networks)
        found[one.name] = Peer(one.name, networks, one.handshake_us, one.endpoint)
    return list(found.values())


def _standing(listed: list[Section], now_us: int) -> Iterator[Peer]:
    for event in listed:
        for sa in event.values():
            if not isinstance(sa, dict):
                raise MalformedAnswerError("an SA is no section")
            if sa.get("state") not in _STANDING or _ENDING in _texts(sa, "tasks-queued"):
                continue
            children = [one for one in _sections(sa) if one.get("state") in _CARRYING]
            told = [network for child in children for network in _texts(child, "remote-ts")]
            # A port or protocol behind a network ("10.0.0.1/32[tcp/443]") narrows what may pass,
            # not whose the address is.
            networks = tuple(network_of(one.split("[")[0]) for one in told)
            identity = next((key for key in _IDENTITIES if key in sa), "remote-id")
            peer = Peer(
                _text(sa, identity),
                networks,
                _proven_us(sa, children, now_us),
                f"{_text(sa, 'remote-host')}:{_text(sa, 'remote-port')}",
            )
            # A second host with the same key gets no network, and must not speak for the first.
            if networks:
                yield peer


def _proven_us(sa: Section, children: list[Section], now_us: int) -> int | None:
    ages = [_age(sa, "established")]
    ages += [_age(one, key) for one in children for key in ("install-time", "use-in")]
    known = [age for age in ages if age is not None]
    return now_us - min(known) * US_PER_S if known else None


def _sections(sa: Section) -> list[Section]:
    children = sa.get("child-sas", {})
    if not isinstance(children, dict):
        raise MalformedAnswerError("the children are no section")
    return [child for child in children.values() if isinstance(child, dict)]


def _text(section: Section, key: str) -> str:
    value = section.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedAnswerError(f"no {key}")
    return value


def _texts(section: Section, key: str) -> list[str]:
    value = section.get(key, [])
    if not isinstance(value, list):
        raise MalformedAnswerError(f"{key} is no list")
    return value


def _age(section: Section, key: str) -> int | None:
    value = section.get(key)
    if value is None:
        return None
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        raise MalformedAnswerError(f"{key} is no number")
    if len(value) > _AGE_DIGITS:
        raise MalformedAnswerError(f"{key} is out of range")
    return int(value)

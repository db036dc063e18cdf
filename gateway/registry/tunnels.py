"""Tunnels: which peer of which VPN stands for which organisation (decision 0012).

A row is never deleted. Several peers of one organisation overlap while a key is rotated; no address
of one organisation's is another's, also while its peer is locked.
"""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.errors import Reason, refuse
from gateway.names import TUNNEL_PEER
from gateway.registry import organisations
from gateway.registry.fields import Wrong
from gateway.store.database import Transaction

WIREGUARD = "wireguard"
STRONGSWAN = "strongswan"
KINDS = (WIREGUARD, STRONGSWAN)
ACTIVE = 1
LOCKED = 2
REMOVED = 3
ADDRESSES_MAX = 16
# A Curve25519 public key.
KEY_BYTES = 32
# Where the list begins: (organisation, kind, peer).
FIRST = ("", "", "")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_COLUMNS = (
    "SELECT t.kind, t.peer, t.organisation, t.addresses, t.state, t.created_us, t.changed_us,"
    " t.last_seen_us, t.follows, t.first_seen_us, t.unused_told_us, n.peer, n.first_seen_us,"
    " coalesce(o.state = 1, false)"
    " FROM gateway.tunnel AS t"
    " LEFT JOIN gateway.tunnel AS o ON o.kind = t.kind AND o.peer = t.follows"
    # Of several that follow, the one that was at work first, else that was registered first.
    " LEFT JOIN LATERAL ("
    "SELECT peer, first_seen_us FROM gateway.tunnel"
    " WHERE kind = t.kind AND follows = t.peer AND state = 1"
    " ORDER BY first_seen_us NULLS LAST, created_us, peer LIMIT 1"
    ") AS n ON true"
)
_READ = f"{_COLUMNS} WHERE t.kind = %s AND t.peer = %s"
_PAGE = (
    f"{_COLUMNS} WHERE (t.organisation, t.kind, t.peer) > (%s, %s, %s)"
    " AND (%s = '' OR t.organisation = %s) ORDER BY t.organisation, t.kind, t.peer LIMIT %s"
)
_ATTENDED = (
    f"{_COLUMNS} WHERE t.state = 1 AND (n.first_seen_us IS NOT NULL OR t.unused_told_us IS NULL"
    " AND greatest(coalesce(t.last_seen_us, 0), t.changed_us) <= %s)"
    " ORDER BY t.organisation, t.kind, t.peer"
)
_OTHERS = "SELECT addresses FROM gateway.tunnel WHERE organisation <> %s AND state <> %s"
# Two that register at once see each other's addresses; until the end of the transaction.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('gateway.tunnel', 0))"
_INSERT = (
    "INSERT INTO gateway.tunnel"
    " (kind, peer, organisation, addresses, state, created_us, changed_us, follows)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (kind, peer) DO NOTHING"
)
_TELL_UNUSED = (
    "UPDATE gateway.tunnel SET unused_told_us = %s"
    " WHERE kind = %s AND peer = %s AND state = 1 AND unused_told_us IS NULL"
)
_SET_STATE = (
    "UPDATE gateway.tunnel SET state = %s, changed_us = %s"
    " WHERE kind = %s AND peer = %s AND state <> %s"
)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A peer: "wireguard" with its public key (base64) or "strongswan" with its IKE identity.

    `addresses` are networks inside the tunnel, state 1 active, 2 locked, 3 removed; times are
    microseconds, None for never; `follows` is the peer of the same kind whose key it replaces, and
    `overlaps` says that this one is still active. `followed_by` is the active peer that replaces it
    in turn, `followed_us` when that was first seen.
    """

    kind: str
    peer: str
    organisation: str
    addresses: tuple[str, ...]
    state: int = ACTIVE
    created_us: int = 0
    changed_us: int = 0
    last_seen_us: int | None = None
    follows: str | None = None
    first_seen_us: int | None = None
    unused_told_us: int | None = None
    followed_by: str | None = None
    followed_us: int | None = None
    overlaps: bool = False


async def read(tx: Transaction, kind: str, peer: str) -> Tunnel | None:
    """Return the tunnel, or None."""
    row = await tx.fetch_one(_READ, (kind, peer))
    return None if row is None else _tunnel(row)


async def page(
    tx: Transaction, organisation: str, after: tuple[str, str, str], limit: int
) -> list[Tunnel]:
    """Return the next tunnels of an organisation ("": of all), by organisation, kind and peer."""
    rows = await tx.fetch(_PAGE, (*after, organisation, organisation, limit))
    return [_tunnel(row) for row in rows]


async def add(tx: Transaction, wanted: Tunnel, now_us: int) -> Tunnel:
    """Register a tunnel, as active.

    The same one again changes nothing and is returned as it is. Raises FIELD_INVALID with
    violations; ALREADY_EXISTS when the peer is registered otherwise.
    """
    networks = await _check(tx, wanted)
    addresses = tuple(dict.fromkeys(map(str, networks)))
    made = replace(wanted, addresses=addresses, state=ACTIVE, created_us=now_us, changed_us=now_us)
    row = (made.kind, made.peer, made.organisation, list(addresses), ACTIVE, now_us, now_us)
    await tx.execute(_INSERT, (*row, made.follows))
    found = await read(tx, made.kind, made.peer)
    if found is None or _said(found) != _said(made):
        raise refuse(Reason.ALREADY_EXISTS)
    return found


async def set_state(tx: Transaction, wanted: Tunnel, now_us: int) -> Tunnel:
    """Lock a tunnel of this organisation, unlock or remove it, as `wanted.state` says.

    Removed is for ever. Raises NOT_FOUND, FIELD_INVALID.
    """
    wrong = Wrong()
    wrong.unless(wanted.state in (ACTIVE, LOCKED, REMOVED), "state", "tunnel-state")
    wrong.refuse_if_any()
    found = await read(tx, wanted.kind, wanted.peer)
    if found is None or found.organisation != wanted.organisation:
        raise refuse(Reason.NOT_FOUND)
    wrong.unless(found.state != REMOVED or wanted.state == REMOVED, "state", "tunnel-removed")
    wrong.refuse_if_any()
    key = (wanted.kind, wanted.peer)
    if not await tx.execute(_SET_STATE, (wanted.state, now_us, *key, wanted.state)):
        return found
    return replace(found, state=wanted.state, changed_us=now_us)


async def attended(tx: Transaction, unused_before_us: int) -> list[Tunnel]:
    """Return the active tunnels that something may be due of.

    Whose successor is at work, and of which it was not told yet that nobody has used them since
    `unused_before_us`.
    """
    return [_tunnel(row) for row in await tx.fetch(_ATTENDED, (unused_before_us,))]


async def tell_unused(tx: Transaction, tunnel: Tunnel, now_us: int) -> bool:
    """Note that it is told now that nobody uses an active tunnel; False when it was already."""
    return bool(await tx.execute(_TELL_UNUSED, (now_us, tunnel.kind, tunnel.peer)))


async def _check(tx: Transaction, wanted: Tunnel) -> list[Network]:
    """Return the networks of a tunnel that may be registered."""
    wrong = Wrong()
    wrong.unless(wanted.kind in KINDS, "tunnel.kind", "tunnel-kind")
    wrong.unless(_is_peer(wanted.kind, wanted.peer), "tunnel.peer", "tunnel-peer")
    known = await organisations.read(tx, wanted.organisation)
    wrong.unless(known, "tunnel.organisation_code", "organisation-unknown")
    networks = [_network(text) for text in wanted.addresses]
    count_fits = 1 <= len(networks) <= ADDRESSES_MAX
    wrong.unless(count_fits and None not in networks, "tunnel.addresses", "tunnel-addresses")
    found = [network for network in networks if network is not None]
    if wanted.follows is not None:
        before = await read(tx, wanted.kind, wanted.follows)
        fits = before is not None and before.organisation == wanted.organisation
        wrong.unless(
            fits and wanted.follows != wanted.peer, "tunnel.followed_peer", "tunnel-follows"
        )
    wrong.refuse_if_any()
    await tx.fetch_one(_ALONE)
    taken = await tx.fetch(_OTHERS, (wanted.organisation, REMOVED))
    others = [ipaddress.ip_network(text) for (addresses,) in taken for text in addresses]
    wrong.unless(not _overlap(found, others), "tunnel.addresses", "tunnel-overlap")
    wrong.refuse_if_any()
    return found


def _is_peer(kind: str, peer: str) -> bool:
    if kind != WIREGUARD:
        return TUNNEL_PEER.fullmatch(peer) is not None
    try:
        key = base64.b64decode(peer.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return False
    # One text for one key: another spelling of the last bits would be another peer.
    return len(key) == KEY_BYTES and base64.b64encode(key).decode() == peer


def _network(text: str) -> Network | None:
    """Return a network, None when it is none or is every address."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return None
    return network if network.prefixlen else None


def _overlap(ours: Sequence[Network], theirs: Sequence[Network]) -> bool:
    return any(
        one.version == other.version and one.overlaps(other) for one in ours for other in theirs
    )


def _said(tunnel: Tunnel) -> tuple[object, ...]:
    """Return what an administrator says of a tunnel: not its state and times."""
    return (tunnel.organisation, set(tunnel.addresses), tunnel.follows)


def _tunnel(row: Sequence[object]) -> Tunnel:
    kind, peer, organisation, addresses, *rest = row
    return Tunnel(kind, peer, organisation, tuple(addresses), *rest)  # type: ignore[arg-type]  # the table's columns

"""The front's leaves: what is told of a connection, of a certificate it showed, of a late list."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.audit.event import Event
from gateway.config.home import Listener
from gateway.errors import Reason, Refusal
from gateway.front.handshake import Presented
from gateway.link.connection import Connection
from gateway.names import TUNNEL_PEER
from gateway.pki.verify import Verified
from gateway.vpn.origin import Origin, Sighting

# One source for the counting of floods: whom an address's neighbours usually belong to.
PREFIX_V4 = 24
PREFIX_V6 = 64
# Below TLS; from then on it is a handshake that is refused.
CONNECTION_REFUSED = "connection.refused"
TLS_REFUSED = "tls.refused"
CONNECTION_CUT = "connection.cut"
# At the enrolment listener: who asks for the root's certificate, answered or not.
ROOT = "enrolment.root"
# A certificate came in for the first time; a superseded one came again.
USED = "certificate.used"
CLONE = "certificate.clone"
CRL_LATE = "crl.late"
# Each says that somebody is where nobody should be, or that the VPN cannot be believed.
ALARMING = frozenset(
    {
        Reason.ORIGIN_MISMATCH,
        Reason.ORIGIN_UNREGISTERED,
        Reason.ORIGIN_AMBIGUOUS,
        Reason.ORIGIN_MOVED,
        Reason.ORIGIN_AWAY,
    }
)


@dataclass(slots=True)
class Visit:
    """A connection on its way in, and what is known of it so far.

    `address` and `host` are IP addresses, the peer's and ours; each filled field was established
    by the step that fills it.
    """

    door: Listener
    address: str
    port: int
    host: str
    host_port: int
    presented: Presented = field(default_factory=Presented)
    begun: bool = False
    sighting: Sighting | None = None
    origin: Origin | None = None
    verified: Verified | None = None
    asks_root: bool = False

    @property
    def peer(self) -> str:
        """The peer's address and port."""
        return _joined(self.address, self.port)

    @property
    def listener(self) -> str:
        """Our address and port."""
        return _joined(self.host, self.host_port)

    @property
    def place(self) -> str:
        """Whom limits count this for: the source at one of our addresses."""
        return f"{self.address}>{self.host}"

    @property
    def source(self) -> str:
        """The network that floods are counted by."""
        address = ipaddress.ip_address(self.address)
        length = PREFIX_V4 if address.version == ipaddress.IPV4LENGTH // 8 else PREFIX_V6
        return str(ipaddress.ip_network((address, length), strict=False))

    def refused(self, refusal: Refusal) -> Event:
        """Return the one leaf of this connection's refusal."""
        kind = TLS_REFUSED if self.begun else CONNECTION_REFUSED
        return self.told(
            ROOT if self.asks_root else kind,
            decision="error" if refusal.reason is Reason.INTERNAL else "deny",
            reason=refusal.reason,
            detail={**_detail(refusal), **alarm(refusal.reason, self.origin)},
        )

    def told(self, kind: str, **fields: Any) -> Event:  # noqa: ANN401  as Event.with_
        """Return a leaf of this kind with what is known of the connection, and these fields."""
        # What the VPN said is told also where the register does not agree, if a leaf may hold it.
        origin = self.origin or self.sighting
        tunnel = None
        if origin is not None:
            tunnel = origin.peer if isinstance(origin, Sighting) else origin.tunnel
            if self.origin is None and TUNNEL_PEER.fullmatch(tunnel) is None:
                tunnel = None
        return Event(
            kind=kind,
            door=self.door,
            peer=self.peer,
            listener=self.listener,
            # Only what is proven: the certificate's organisation after step 4.
            organisation=self.verified.subject.organisation if self.verified else None,
            ingress=origin.ingress if origin else None,
            tunnel=tunnel,
            strength=origin.strength if origin else None,
        ).with_(**self.presented.fields(), **fields)


def cut(connection: Connection, reason: Reason) -> Event:
    """Return the leaf of a connection that stood and was cut."""
    return Event(
        kind=CONNECTION_CUT,
        decision="deny",
        reason=reason,
        door=connection.door,
        organisation=connection.organisation,
        subject=connection.subject or None,
        certificate=connection.certificate_sha256 or None,
        serial=connection.serial or None,
        connection=connection.name,
        peer=connection.peer,
        listener=connection.listener,
        ingress=connection.origin.ingress,
        tunnel=connection.origin.tunnel,
        strength=connection.origin.strength,
        detail=alarm(reason, connection.origin),
    )


def alarm(reason: Reason, origin: Origin | None) -> Mapping[str, str]:
    """Return what alarms of a reason, and whom besides the certificate's organisation.

    Officers of the tunnel's organisation find a mismatch too.
    """
    if reason not in ALARMING:
        return {}
    told = {"alert": reason.lower().replace("_", "-")}
    if reason is Reason.ORIGIN_MISMATCH and origin is not None:
        told["target_organisation"] = origin.organisation
    return told


def clone(visit: Visit) -> Event:
    """Return the leaf of a superseded certificate that was presented again, and of the lock."""
    return visit.told(
        CLONE,
        decision="deny",
        reason=Reason.LINEAGE_LOCKED,
        detail={"alert": "lineage-locked"},
    )


def late(issuer_sha256: bytes) -> Event:
    """Return the leaf of an authority's revocation list that should have been signed anew."""
    detail = {"alert": "crl-late", "issuer_sha256": issuer_sha256.hex()}
    return Event(kind=CRL_LATE, decision="error", door="front", detail=detail)


def _detail(refusal: Refusal) -> Mapping[str, str | int]:
    """Return what the refusal's metadata tells, in the words that the log has."""
    detail: dict[str, str | int] = {}
    said = refusal.metadata
    if "limit" in said:
        detail["limit"] = int(said["limit"])
    cause = said.get("cause", said.get("rule"))
    if cause:
        detail["cause"] = cause
    return detail


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

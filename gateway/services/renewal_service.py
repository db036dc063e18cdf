"""The part of IdentityService that renews certificates; the rules are `pki.succession`'s."""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

import hashlib

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit.event import Event
from gateway.clock import from_datetime
from gateway.identity import login
from gateway.identity.login import Desk, Grant
from gateway.pki import succession
from gateway.pki.issuer import Issuer
from gateway.pki.register import Issued
from gateway.services import certificates
from gateway.services.call import Call, told
from gateway.services.times import timestamp
from gateway.store.database import Transaction
from gateway.v1 import identity_service_pb2 as pb


class RenewalService:
    """Serves RenewCertificate of gateway.v1.IdentityService."""

    def __init__(self, issuer: Issuer, desk: Desk) -> None:
        """Issue by this issuer; tokens come from the desk."""
        self._issuer = issuer
        self._desk = desk

    async def RenewCertificate(
        self, call: Call, request: pb.RenewCertificateRequest
    ) -> pb.RenewCertificateResponse:
        """Issue the certificate that follows the connection's, and exchange the token if one came.

        Raises what `succession.succeed` raises, SESSION_UNKNOWN for a token whose session is over.
        """
        who = call.principal

        async def work(tx: Transaction) -> tuple[Issued, Grant | None]:
            shown = (call.link.serial, call.link.subject)
            made = await succession.succeed(self._issuer, tx, *shown, request.csr)
            if who is None:
                return made, None
            return made, await login.exchange(self._desk, tx, who, _sha256(made))

        made, grant = await call.effect(work, _told)
        response = pb.RenewCertificateResponse(
            certificate=certificates.issued(made, window_of(self._issuer, made))
        )
        if grant is not None:
            response.access_token = grant.token
            response.token_expire_time.CopyFrom(timestamp(grant.expires_us))
        return response


def window_of(issuer: Issuer, made: Issued) -> tuple[int, int]:
    """Return the renewal window of a certificate just handed out, in microseconds."""
    certificate = made.certificate
    return issuer.window(
        from_datetime(certificate.not_valid_before_utc),
        from_datetime(certificate.not_valid_after_utc),
        made.issuer_sha256,
    )


def _sha256(made: Issued) -> bytes:
    return hashlib.sha256(made.certificate.public_bytes(Encoding.DER)).digest()


def _told(result: tuple[Issued, Grant | None], event: Event) -> Event:
    made, grant = result
    words: dict[str, str | int] = {
        "target_serial": made.serial,
        "target_certificate": _sha256(made).hex(),
        "generation": made.generation,
    }
    if grant is not None:
        words["target_session"] = grant.session.hex()
    return told(event, detail=words)

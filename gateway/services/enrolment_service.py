"""The enrolment listener's service: the first certificate, for a code; the work is `pki.enrol`."""
# ruff: noqa: N802 -- methods have the names of the contract's rpcs

from dataclasses import dataclass

from gateway.audit.event import Event
from gateway.config.home import Home
from gateway.config.settings import Settings
from gateway.errors import Reason
from gateway.identity import accounts
from gateway.pki import enrol, keys
from gateway.pki.enrol import Denied, Enrolled
from gateway.pki.issuer import Issuer
from gateway.services import certificates, requests
from gateway.services.call import Call, told
from gateway.services.limits import Buckets
from gateway.services.renewal_service import window_of
from gateway.store.database import Transaction
from gateway.v1 import certificate_pb2
from gateway.v1 import enrolment_service_pb2 as pb

_HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class _Done:
    """A certificate and the account of its bearer, "" where that is not one."""

    enrolled: Enrolled
    account: str


class EnrolmentService:
    """Serves gateway.v1.EnrolmentService."""

    def __init__(self, issuer: Issuer, home: Home, settings: Settings) -> None:
        """Issue by this issuer; the rest is what a client must know of this gateway."""
        self._issuer = issuer
        self._home = home
        self._settings = settings
        hourly = issuer.rules.enrolment.unknown_codes_per_hour
        # In this process alone, which is the only one that serves this: after a restart all begins
        # anew. A code has 130 bits; what this stops is noise, and who makes it is on the log.
        self._unknown = Buckets(hourly / _HOUR_S, hourly, issuer.clock)

    async def Enrol(self, call: Call, request: pb.EnrolRequest) -> pb.EnrolResponse:
        """Issue the certificate that a code promises to the tunnel's organisation.

        Raises CODE_INVALID, CODE_BURNT, APPROVAL_PENDING, FIELD_INVALID for the request,
        RATE_LIMITED after too many codes that do not exist.
        """
        organisation = call.link.organisation
        self._unknown.require(organisation)
        asked = enrol.Request(request.code, organisation, request.csr)

        async def work(tx: Transaction) -> _Done | Denied:
            found = await enrol.enrol(self._issuer, tx, asked)
            if isinstance(found, Denied):
                return found
            bearer = found.invitation.bearer
            name = await accounts.only_of(tx, bearer.organisation, bearer.kind, bearer.name)
            return _Done(found, name)

        done = await call.effect(work, _told)
        if isinstance(done, Denied):
            if done.refusal.reason is Reason.CODE_INVALID:
                self._unknown.spend(organisation)
            raise done.refusal
        return self._response(done)

    def _response(self, done: _Done) -> pb.EnrolResponse:
        found, ports = done.enrolled.invitation, self._settings.ports
        issued = done.enrolled.issued
        return pb.EnrolResponse(
            certificate=certificates.issued(issued, window_of(self._issuer, issued)),
            purpose=certificate_pb2.CertificatePurpose.ValueType(found.purpose),
            spiffe_id=str(self._issuer.subject(found.bearer)),
            organisation_code=found.bearer.organisation,
            account_name=done.account,
            trust_domain=self._settings.trust_domain,
            server_name=self._settings.trust_domain,
            log_key=self._home.log_key.read_text(encoding="utf-8").strip(),
            identity_port=ports.identity,
            intake_port=ports.intake,
            disclosure_port=ports.disclosure,
            administration_port=ports.administration,
        )


def _told(result: _Done | Denied, event: Event) -> Event:
    """Return the leaf of what came of it: a refusal's effects are committed with it."""
    if isinstance(result, Denied):
        refused = event.with_(decision="deny", reason=result.refusal.reason.value)
        words = _which(result)
        if result.alert:
            words["alert"] = result.alert
        shown = result.refusal.metadata.get("spkiSha256")
        if shown:
            words["spki_sha256"] = shown
        return told(refused, detail=words) if words else refused
    found, issued = result.enrolled.invitation, result.enrolled.issued
    return told(
        event,
        detail={
            "invitation": found.id,
            **certificates.target(found.bearer),
            "purpose": certificates.PURPOSE_WORDS[found.purpose],
            "target_serial": issued.serial,
            "spki_sha256": keys.spki_sha256(issued.certificate.public_key()).hex(),
        },
    )


def _which(denied: Denied) -> dict[str, str]:
    """Return what a leaf tells of the invitation; of one written by hand nothing but its id."""
    found = denied.invitation
    if found is None:
        return {}
    if denied.alert == enrol.ALERT_TAMPERED:
        return {"invitation": found.id} if requests.is_id(found.id) else {}
    return {"invitation": found.id, **certificates.target(found.bearer)}

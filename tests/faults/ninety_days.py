"""The stage of test_ninety_days: the front's judgement by a turned clock, systems that live by it, and thieves.

Doors, database, signer, log, authorities and revocation lists are the real ones. Only TLS is left out, for OpenSSL's
handshake goes by the machine's clock: what the front does with a certificate (admission, steps 4, 5, 6 and 9) is called
as the front calls it.
"""

import contextlib
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.audit.recorder import Recorder
from gateway.audit.signing import SignerLink
from gateway.config import policies
from gateway.front import standing
from gateway.front.context import CurrentTerms
from gateway.front.handshake import observe
from gateway.front.leaves import Visit
from gateway.front.lineages import Lineages
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.pki import authorities, ceremony, issue, offline, register, rollover
from gateway.pki.authorities import Anchor
from gateway.pki.publish import Keeper
from gateway.registry import systems
from gateway.registry.systems import System
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import enrolment_service_pb2 as enrolment
from gateway.v1 import identity_service_pb2 as identity
from gateway.v1.certificate_pb2 import CERTIFICATE_PURPOSE_TLS, IssuedCertificate, RenewalWindow
from gateway.vpn.origin import Origin
from tests.people import Person
from tests.world import CALL_TIMEOUT_S, OPTIONS, PROVINCE, RefusedError, World, door_of

_RENEW = "/gateway.v1.IdentityService/RenewCertificate"
_DIAGNOSE = "/gateway.v1.IdentityService/Diagnose"
_ENROL = "/gateway.v1.EnrolmentService/Enrol"
_INVITE = "/gateway.v1.AdminService/InviteCertificate"


class Province:
    """A world with the front's judgement beside it; made by `open`."""

    def __init__(self, world: World, database: Database, recorder: Recorder) -> None:
        """Prepare; `open` is how to make one."""
        self.world, self.clock = world, world.clock
        rules = policies.load_policies(world.home.policies).certificates
        self._database = database
        self._terms = CurrentTerms(world.home, world.settings, world.clock, observe)
        self._lineages = Lineages(database, recorder, world.clock, rules.renewal.grace_s)
        self._keeper = Keeper(world.home, database, world.clock)
        # The issuing authority's name, once there is a second one.
        self.issuer: x509.Name | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, world: World) -> AsyncIterator["Province"]:
        """Give the province of a world."""
        conninfo = roles.conninfo(world.home, world.settings, "front")
        database = await Database.open(conninfo, application="front")
        link = SignerLink(world.home.signer_socket)
        recorder = await Recorder.open(database, link, door="front", clock=world.clock)
        try:
            yield cls(world, database, recorder)
        finally:
            await recorder.close()
            await database.close()

    async def keep(self) -> None:
        """Do what supervisor and front do all the time: renew the lists, take new files into use."""
        await self._keeper.look()
        self._terms.refresh()

    async def present(self, person: Person) -> str:
        """Show a certificate at the front; return the defect that it comes in with, "" for a good one."""
        der = person.certificate.public_bytes(Encoding.DER)
        verified = self._terms.current.verifier.judge((der,))
        found = await standing.find(
            self._database, verified.subject, verified.serial, verified.sha256
        )
        visit = Visit("identity", "127.0.0.1", 40_000, "127.0.0.1", 8446)
        visit.origin = Origin(person.organisation, "listen/127.0.0.1", "static", "weak", "here")
        visit.verified, visit.begun = verified, True
        return str(await self._lineages.admit(visit, verified, found) or "")

    async def call(self, person: Person, method: str, request: Any, **how: Any) -> bytes:
        """Make one call over a connection of its own; raises RefusedError."""
        door = door_of(method)
        port = await self.world.entrance.listen(person, door, how.pop("found", {}))
        token = how.pop("token", "")
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
                rpc = channel.unary_unary(method)
                raw = request.SerializeToString()
                return bytes(await rpc(raw, timeout=CALL_TIMEOUT_S, metadata=metadata))
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from None
        finally:
            self.world.entrance._listeners.pop().close()

    async def register(self, subjects: list[Subject]) -> None:
        """Register the systems, as an administrator would."""
        owner = roles.conninfo(self.world.home, self.world.settings, "owner")
        database = await Database.open(owner, application="register", size=1)
        async with database.transaction() as tx:
            for one in subjects:
                wanted = System(one.organisation, one.kind, one.name)
                await systems.create(tx, wanted, self.clock.now_us())
        await database.close()

    async def invite(self, subject: Subject) -> str:
        """Return the code of a fresh invitation, from an officer whose certificate is fresh too."""
        officer = await self._officer()
        token = await self.world.login(officer)
        request = admin.InviteCertificateRequest(
            request_id=str(uuid.uuid4()),
            organisation_code=subject.organisation,
            system_name=subject.name,
            purpose=CERTIFICATE_PURPOSE_TLS,
        )
        reply = await self.call(officer, _INVITE, request, token=token)
        return admin.InviteCertificateResponse.FromString(reply).code

    async def enrol(self, subject: Subject, code: str) -> tuple[Person, RenewalWindow]:
        """Enrol with a code, as `gateway enrol` does."""
        key = ec.generate_private_key(ec.SECP256R1())
        # Nobody shows a certificate at that listener: of the person only the organisation counts.
        nobody = Person(subject, subject.name, (), key, self.world.province_admin.certificate)
        request = enrolment.EnrolRequest(request_id=str(uuid.uuid4()), code=code, csr=csr(key))
        reply = await self.call(nobody, _ENROL, request)
        made = enrolment.EnrolResponse.FromString(reply).certificate
        return holder(subject, key, made), made.renewal_window

    async def renew(
        self, person: Person, key: ec.EllipticCurvePrivateKey, defect: str = ""
    ) -> tuple[Person, RenewalWindow]:
        """Renew to this key over a connection with the certificate in force; raises RefusedError."""
        request = identity.RenewCertificateRequest(request_id=str(uuid.uuid4()), csr=csr(key))
        reply = await self.call(person, _RENEW, request, found={"defect": defect})
        made = identity.RenewCertificateResponse.FromString(reply).certificate
        return holder(person.subject, key, made), made.renewal_window

    async def window(self, person: Person) -> RenewalWindow:
        """Ask when to renew."""
        reply = await self.call(person, _DIAGNOSE, identity.DiagnoseRequest())
        return identity.DiagnoseResponse.FromString(reply).renewal_window

    def is_rolled_over(self, person: Person) -> bool:
        """Whether another authority issues now than the one of this certificate."""
        return self.issuer is not None and person.certificate.issuer != self.issuer

    def roll_over(self) -> Anchor:
        """Put a new issuing authority in front, by the ceremony; return the one before."""
        home, now_us = self.world.home, self.clock.now_us()
        before = authorities.load(home)[0]
        request = rollover.request(home, "client-authority").public_bytes(Encoding.DER)
        root = ceremony._load(home.root_certificate, home.offline / "root.key")
        signed = offline.sign(offline.read(request, "client-authority"), root, now_us)
        following = rollover.judge(home, signed, DEFAULT_TRUST_DOMAIN, now_us)
        rollover.put(home, following, now_us)
        self.issuer = following.certificate.subject
        return before

    def retire(self, anchor: Anchor) -> None:
        """Trust an authority no more; nobody may still need it."""
        in_force = (
            "SELECT count(*) FROM gateway.certificate WHERE issuer_sha256 = %s AND state = 1"
            " AND not_after_us > %s"
        )
        [(left,)] = self.world.sql(in_force, anchor.spki_sha256, self.clock.now_us())
        assert left == 0
        rollover.retire(self.world.home, anchor, self.world.size())

    async def _officer(self) -> Person:
        """Return the provincial administrator with a certificate of this day, issued on the host."""
        known = self.world.people[PROVINCE, "admin"]
        authority = authorities.issuing(authorities.load(self.world.home))
        key = ec.generate_private_key(ec.SECP256R1())
        made = issue.client_certificate(
            authority, known.subject, key.public_key(), self.clock.now_us()
        )
        owner = roles.conninfo(self.world.home, self.world.settings, "owner")
        database = await Database.open(owner, application="host", size=1)
        async with database.transaction() as tx:
            await register.insert(tx, made, known.subject)
        await database.close()
        officer = replace(known, key=key, certificate=made)
        # The world keeps a channel by subject: each officer's first look is at the front.
        assert await self.present(officer) == ""
        self.world._channels.clear()
        return officer


@dataclass
class Life:
    """One system: what it holds, when it means to renew, and the key whose answer it waits for."""

    subject: Subject
    person: Person
    moment_us: int
    waiting: ec.EllipticCurvePrivateKey | None = None
    robbed: bool = False

    def pick(self, window: RenewalWindow, now_us: int, dice: random.Random) -> None:
        """Pick a moment in the gateway's window."""
        start = max(window.start_time.ToMicroseconds(), now_us)
        self.moment_us = dice.randint(start, max(window.end_time.ToMicroseconds(), start))


def holder(subject: Subject, key: ec.EllipticCurvePrivateKey, made: IssuedCertificate) -> Person:
    """Return who holds a certificate that was just issued."""
    certificate = x509.load_der_x509_certificate(made.certificate)
    assert certificate.public_key() == key.public_key()
    return Person(subject, subject.name, (), key, certificate)


def csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate request of a key, DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return built.public_bytes(Encoding.DER)

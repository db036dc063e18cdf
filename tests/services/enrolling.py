"""What tests of enrolment and renewal ask of a world, over the contract."""

from typing import Any

from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import certificate_pb2 as certificate
from gateway.v1 import enrolment_service_pb2 as enrolment
from gateway.v1 import identity_service_pb2 as identity
from tests.coverage.rpcs import new_id
from tests.papers import new_key, request_for
from tests.services.test_register_service import ask
from tests.world import COUNTY, Person, World

ENROL = "/gateway.v1.EnrolmentService/Enrol"
RENEW = "/gateway.v1.IdentityService/RenewCertificate"


def invitation(name: str = "uploader", organisation: str = COUNTY, **fields: Any) -> Any:
    """A request for an invitation."""
    wanted = {"purpose": certificate.CERTIFICATE_PURPOSE_TLS, "request_id": new_id(), **fields}
    return admin.InviteCertificateRequest(
        organisation_code=organisation, system_name=name, **wanted
    )


async def invite(world: World, *names: str, **fields: Any) -> admin.InviteCertificateResponse:
    """The province's administrator invites."""
    request = invitation(*names, **fields)
    answer: admin.InviteCertificateResponse = await ask(
        world, world.province_admin, "InviteCertificate", request, admin.InviteCertificateResponse
    )
    return answer


async def enrol(
    world: World, code: str, key: Any = None, person: Person | None = None
) -> enrolment.EnrolResponse:
    """Enrol from a person's tunnel, by default the county's, with a key or the bytes of a request."""
    csr = key if isinstance(key, bytes) else request_for(key or new_key())
    request = enrolment.EnrolRequest(request_id=new_id(), code=code, csr=csr)
    reply = await world.call(person or world.county, ENROL, request)
    return enrolment.EnrolResponse.FromString(reply)


async def renew(
    world: World, person: Person, key: Any = None, token: str = "", **found: Any
) -> identity.RenewCertificateResponse:
    """Renew over a person's connection."""
    csr = key if isinstance(key, bytes) else request_for(key or new_key())
    request = identity.RenewCertificateRequest(request_id=new_id(), csr=csr)
    reply = await world.call(person, RENEW, request, token=token, **found)
    return identity.RenewCertificateResponse.FromString(reply)

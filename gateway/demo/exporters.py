"""The demo's people of exports: who asks, signs, takes and stops, each enrolled by invitation.

A second officer confirms each key: root on the host the first one's, who then confirms the others.
"""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path

from gateway.client import profile as profiles
from gateway.client.client import Client
from gateway.client.enrol import Enrolment
from gateway.client.invitation import Invitation
from gateway.client.profile import Profile
from gateway.client.secret import Secret
from gateway.demo.province import (
    CITIES,
    FIRST_OCTET,
    PROVINCE,
    PROVINCE_OCTET,
    SECOND_WAY,
    Member,
    Province,
    change_password,
)
from gateway.errors import Reason, Refusal
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import certificate_pb2 as certificates
from gateway.v1 import options_pb2 as options

CITY = CITIES[0]
# By name: the organisation and the role. Two ask, so that neither waits for another count.
_EVERYBODY = {
    "lian": (CITY, options.ROLE_REQUESTER),
    "chen": (CITY, options.ROLE_REQUESTER),
    "wang": (CITY, options.ROLE_RECIPIENT),
    "zhao": (PROVINCE, options.ROLE_APPROVER),
    "qian": (PROVINCE, options.ROLE_APPROVER),
}
# The security officer, who confirms everybody else's key.
_SECOND = "song"
_TLS = certificates.CERTIFICATE_PURPOSE_TLS
_ENCRYPTION = certificates.CERTIFICATE_PURPOSE_ENCRYPTION


async def enlist(there: Province) -> dict[str, Member]:
    """Return everybody by name; raises Refusal.

    "zhao.two" is zhao's second account, "wang.other" wang with a second certificate to connect
    with, "wang.elsewhere" wang with his own one through his city's second way in.
    """
    async with Client(there.admin.profile, password=lambda: there.admin.password) as admin:
        song = await _Clerk(there, admin).person(_SECOND, PROVINCE, options.ROLE_SECURITY_OFFICER)
        async with Client(song.profile, password=lambda: song.password) as second:
            people = await _enlisted(_Clerk(there, admin, second))
    wang = people["wang"]
    elsewhere = copy(wang.profile, "elsewhere", host=there.host.address(SECOND_WAY[0]))
    return {**people, _SECOND: song, "wang.elsewhere": replace(wang, profile=elsewhere)}


async def _enlisted(clerk: "_Clerk") -> dict[str, Member]:
    """Return whom the security officer confirms, by name."""
    found = await asyncio.gather(
        *(clerk.person(name, code, role) for name, (code, role) in _EVERYBODY.items())
    )
    people = dict(zip(_EVERYBODY, found, strict=True))
    zhao, wang = people["zhao"], people["wang"]
    one_time = await clerk.account("zhao.two", PROVINCE, options.ROLE_APPROVER, "zhao")
    twice = copy(zhao.profile, "two", account="zhao.two")
    password = await change_password(twice, one_time)
    people["zhao.two"] = replace(zhao, profile=twice, password=password)
    await clerk.enrol(wang.profile.folder, CITY, "wang", _ENCRYPTION)
    other = await clerk.enrol(_beside(wang.profile, "other"), CITY, "wang", _TLS)
    people["wang.other"] = replace(wang, profile=other)
    return people


def copy(profile: Profile, name: str, *, account: str = "", host: str = "") -> Profile:
    """Return a copy of a profile beside it, of another account or another way in."""
    remote = profile.remote
    return profiles.write(
        _beside(profile, name),
        replace(remote, account=account or remote.account, host=host or remote.host),
        key=profile.key.read_bytes(),
        certificate=profile.certificate.read_bytes(),
        root=profile.root.read_bytes(),
    )


def _beside(profile: Profile, name: str) -> Path:
    return profile.folder.with_name(f"{profile.folder.name}-{name}")


class _Clerk:
    """Registers people as the admin whose client this is, with a second officer or without one."""

    def __init__(self, there: Province, admin: Client, second: Client | None = None) -> None:
        """Work in this province; without a second officer root on its host confirms keys."""
        self._there, self._admin, self._second = there, admin, second

    async def person(self, name: str, code: str, role: options.Role.ValueType) -> Member:
        """Give somebody a name, an account, a certificate and a password."""
        request = v1.CreateSystemRequest(
            request_id=_id(), organisation_code=code, system_name=name, officer=True
        )
        await self._admin.call(self._admin.admin.CreateSystem, request)
        one_time = await self.account(name, code, role, name)
        folder = self._there.host.home.root / "profiles" / f"{code}-{name}"
        profile = await self.enrol(folder, code, name, _TLS)
        return Member(code, name, profile, await change_password(profile, one_time))

    async def account(
        self, account: str, code: str, role: options.Role.ValueType, person: str
    ) -> Secret:
        """Open an account for somebody; return its one-time password."""
        request = v1.CreateAccountRequest(
            request_id=_id(),
            organisation_code=code,
            account_name=account,
            roles=[role],
            system_name=person,
        )
        answer = await self._admin.call(self._admin.admin.CreateAccount, request)
        return Secret(answer.one_time_password)

    async def enrol(
        self, folder: Path, code: str, name: str, purpose: certificates.CertificatePurpose.ValueType
    ) -> Profile:
        """Invite somebody, and take up the invitation into a folder, by the organisation's way."""
        host = self._there.host
        request = v1.InviteCertificateRequest(
            request_id=_id(),
            organisation_code=code,
            system_name=name,
            officer=True,
            purpose=purpose,
        )
        answer = await self._admin.call(self._admin.admin.InviteCertificate, request)
        octet = PROVINCE_OCTET if code == PROVINCE else FIRST_OCTET
        invited = Invitation(
            host.address(octet),
            host.ports.enrolment,
            self._there.admin.profile.remote.trust_domain,
            Secret(answer.code),
            answer.root_sha256,
        )
        enrolment = Enrolment(folder, invited, account=name)
        try:
            await enrolment.run()
        except Refusal as refusal:
            if refusal.reason is not Reason.APPROVAL_PENDING:
                raise
        await self._confirm(answer.invitation_id, enrolment.fingerprint)
        await enrolment.run()
        return profiles.load(folder)

    async def _confirm(self, number: str, fingerprint: str) -> None:
        """Confirm the key, its holder having told its fingerprint."""
        if self._second is None:
            host = self._there.host
            words = ("certificate", "confirm", str(host.home.root), number, fingerprint)
            await asyncio.to_thread(host.run, *words)
            return
        request = v1.ApproveEnrolmentRequest(
            request_id=_id(), invitation_id=number, spki_sha256=fingerprint
        )
        await self._second.call(self._second.admin.ApproveEnrolment, request)


def _id() -> str:
    return str(uuid.uuid4())

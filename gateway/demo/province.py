"""The demo's province: two cities, three counties and an auditor, registered as an admin would."""

import asyncio
import json
import secrets
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.client import profile as profiles
from gateway.client.channel import Channels
from gateway.client.profile import Profile, Remote
from gateway.client.secret import Secret
from gateway.client.session import Session
from gateway.config.policies import shipped
from gateway.config.settings import PortSettings
from gateway.demo.host import Host, HostError
from gateway.sample import tables as sample_tables
from gateway.sample.units import city_centre, county_units
from gateway.v1 import admin_service_pb2 as v1
from gateway.v1 import options_pb2 as options
from gateway.v1 import types_pb2 as types
from gateway.v1.admin_service_pb2_grpc import AdminServiceStub

PROVINCE, CITIES, COUNTIES = "140000", ("140100", "140200"), ("140105", "140106", "140212")
# Last octets of the listening addresses.
PROVINCE_OCTET, NOBODY_OCTET, FIRST_OCTET = 1, 99, 11
# The first city has a second way in, which no ticket names.
SECOND_WAY = (31, CITIES[0])
# Two minutes lie between two approvals where policies ship; the demo has not so long.
SHIPPED_APART_S, APART_S = 120, 2
CLINICS_PER_COUNTY = 6
_SYMBOLS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_PASSWORD_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation that takes part: its system's or officer's profile, its password."""

    code: str
    name: str
    profile: Profile
    password: Secret
    units: tuple[types.Unit, ...] = field(default=())

    def channels(self) -> Channels:
        """Return fresh channels; to be closed."""
        return Channels(self.profile, own_connection=True)

    def session(self, channels: Channels) -> Session:
        """Return the account's session, logging in by itself."""
        return Session(channels, password=lambda: self.password)


@dataclass(frozen=True, slots=True)
class Province:
    """A served gateway with its members by organisation code; the auditor is the province's."""

    host: Host
    admin: Member
    auditor: Member
    members: dict[str, Member]


def owners() -> list[tuple[int, str]]:
    """Return (last octet, organisation code) of every address that belongs to somebody."""
    return [(PROVINCE_OCTET, PROVINCE), *enumerate((*CITIES, *COUNTIES), FIRST_OCTET)]


def policies(folder: Path, places: Sequence[Path] = ()) -> Path:
    """Write the demo province's policies: those that ship, with less time between two approvals.

    Everybody in it is new: what asks for a third approval of a first request is left out. `places`
    are where backups go, none or two.
    """
    shutil.copytree(shipped("policies"), folder)
    for name, before, after in (
        ("cedar/exports.toml", f"apart_s = {SHIPPED_APART_S}", f"apart_s = {APART_S}"),
        ("cedar/exports.toml", "first_is_new = true", "first_is_new = false"),
        ("cedar/05-exports-floor.cedar", f">= {SHIPPED_APART_S}", f">= {APART_S}"),
        ("backups.toml", "folders = []", f"folders = {json.dumps([*map(str, places)])}"),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        if before not in text:
            raise HostError(f"{name}: no {before}")
        (folder / name).write_text(text.replace(before, after), encoding="utf-8")
    return folder


async def found(host: Host) -> Province:
    """Register everybody at a fresh gateway that serves; raises Refusal, HostError."""
    admin = await _first_admin(host)
    tables = sample_tables.load(host.home.policies)
    channels = admin.channels()
    try:
        clerk = _Clerk(host, channels, admin.session(channels))
        members = {}
        for octet, code in owners()[1:]:
            division = tables.division(code)
            county = code in COUNTIES
            units = (
                county_units(tables, code, clinics=CLINICS_PER_COUNTY)
                if county
                else (city_centre(tables, code),)
            )
            kind = v1.Organisation.KIND_COUNTY if county else v1.Organisation.KIND_CITY
            parent = division.parent if county else PROVINCE
            await clerk.organisation(code, division.name, kind, parent)
            await clerk.units(units)
            members[code] = await clerk.member(code, division.name, host.address(octet), units)
        auditor = await clerk.auditor(host.address(PROVINCE_OCTET))
    finally:
        await channels.close()
    return Province(host, admin, auditor, members)


def new_password() -> Secret:
    """Return a random password that the profile mlps3 takes."""
    body = "".join(secrets.choice(_SYMBOLS) for _ in range(_PASSWORD_CHARACTERS))
    return Secret(f"{body}-7Qz")


async def _first_admin(host: Host) -> Member:
    found = profiles.load(host.home.admin_profile)
    one_time = Secret(found.password.read_text().strip())
    password = await change_password(found, one_time)
    return Member(PROVINCE, "province", found, password)


async def change_password(profile: Profile, one_time: Secret) -> Secret:
    """Log in with a one-time password and change it, as `gateway passwd` does."""
    channels = Channels(profile, own_connection=True)
    try:
        session = Session(channels)
        await session.login(one_time)
        password = new_password()
        await session.change_password(one_time, password)
    finally:
        await channels.close()
    return password


class _Clerk:
    """Registers people through AdminService, and on the host gives them certificates."""

    def __init__(self, host: Host, channels: Channels, session: Session) -> None:
        """Work as the admin whose session this is."""
        self._host, self._channels, self._session = host, channels, session
        self._stub = AdminServiceStub(channels.to("administration"))

    async def organisation(
        self, code: str, name: str, kind: v1.Organisation.Kind.ValueType, parent: str
    ) -> None:
        """Register an organisation."""
        wanted = v1.Organisation(
            organisation_code=code, name=name, kind=kind, parent_organisation_code=parent
        )
        request = v1.CreateOrganisationRequest(request_id=_id(), organisation=wanted)
        await self._channels.call(self._stub.CreateOrganisation, request, await self._token())

    async def units(self, units: Sequence[types.Unit]) -> None:
        """Register units."""
        request = v1.RegisterUnitsRequest(request_id=_id(), units=units)
        await self._channels.call(self._stub.RegisterUnits, request, await self._token())

    async def member(
        self, code: str, name: str, address: str, units: tuple[types.Unit, ...]
    ) -> Member:
        """Give an organisation its uploading system, certificate and account."""
        profile = await self._enlist(code, "uploader", options.ROLE_UPLOADER, address)
        one_time = Secret(profile.password.read_text().strip())
        return Member(code, name, profile, await change_password(profile, one_time), units)

    async def auditor(self, address: str) -> Member:
        """Give the province a security officer who reads the audit log."""
        profile = await self._enlist(PROVINCE, "auditor", options.ROLE_AUDITOR, address)
        one_time = Secret(profile.password.read_text().strip())
        return Member(PROVINCE, "auditor", profile, await change_password(profile, one_time))

    async def _enlist(
        self, code: str, name: str, role: options.Role.ValueType, address: str
    ) -> Profile:
        officer = role != options.ROLE_UPLOADER
        system = v1.CreateSystemRequest(
            request_id=_id(), organisation_code=code, system_name=name, officer=officer
        )
        await self._channels.call(self._stub.CreateSystem, system, await self._token())
        account = v1.CreateAccountRequest(
            request_id=_id(),
            organisation_code=code,
            account_name=name,
            roles=[role],
            system_name=name,
        )
        answer = await self._channels.call(self._stub.CreateAccount, account, await self._token())
        folder = await asyncio.to_thread(
            certificate, self._host, code, name, "--officer" if officer else "--system"
        )
        return profiles.write(
            self._host.home.root / "profiles" / f"{code}-{name}",
            remote(self._host, address, code, name),
            key=(folder / "key.pem").read_bytes(),
            certificate=(folder / "certificate.pem").read_bytes(),
            root=self._host.home.root_certificate.read_bytes(),
            password=answer.one_time_password,
        )

    async def _token(self) -> Secret:
        return (await self._session.token()).secret


def certificate(host: Host, code: str, name: str, option: str, *more: str) -> Path:
    """Issue a certificate on the host and return the folder of key.pem and certificate.pem."""
    folder = host.home.root / "issued" / f"{code}-{name}-{secrets.token_hex(3)}"
    arguments = ("--organisation", code, option, name, "--out", str(folder), *more)
    host.run("certificate", "issue", str(host.home.root), *arguments)
    return folder


def remote(host: Host, address: str, code: str, account: str) -> Remote:
    """Return what a profile says of this gateway, reached at `address`."""
    admin = profiles.load(host.home.admin_profile).remote
    ports: PortSettings = host.ports
    return Remote(
        host=address,
        server_name=admin.server_name,
        trust_domain=admin.trust_domain,
        organisation=code,
        account=account,
        log_key=admin.log_key,
        ports=ports,
    )


def _id() -> str:
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))

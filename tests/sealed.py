"""Hands for break-glass in a province of tests: officers, a sealing, codes, an opening, a session."""

from dataclasses import dataclass, field
from typing import Any

from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.store import roles
from gateway.v1 import break_glass_service_pb2 as pb
from tests.coverage.rpcs import kept_token, new_id
from tests.people import newcomer
from tests.world import PROVINCE, Person, World

SERVICE = "/gateway.v1.BreakGlassService/"
# Three keep codes; `opener` opens, and is none of them.
OFFICERS = ("officer-a", "officer-b", "officer-c")
OPENER = "opener"


async def officer(world: World, name: str, role: str = "security_officer") -> Person:
    """An officer of the province of this name, with a certificate and PASSWORD; made where there is none."""
    if (PROVINCE, name) in world.people:
        return world.people[PROVINCE, name]
    world.sql(
        "INSERT INTO gateway.system (organisation, kind, name, state, created_us)"
        " VALUES (%s, 'officer', %s, 1, 1)",
        *(PROVINCE, name),
    )
    world.sql(
        "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name,"
        " password_hash, password_set_us, password_expires_us, must_change, history, created_us)"
        " SELECT organisation, %s, %s, subject_kind, %s, password_hash, password_set_us,"
        " password_expires_us, must_change, history, created_us FROM gateway.account"
        " WHERE organisation = %s AND name = 'admin'",
        *(name, [role], name, PROVINCE),
    )
    subject = Subject(DEFAULT_TRUST_DOMAIN, PROVINCE, "officer", name)
    owner = roles.conninfo(world.home, world.settings, "owner")
    made = await newcomer(owner, world.authority, subject)
    world.people[PROVINCE, name] = made
    return made


async def ask(world: World, person: Person, name: str, request: Any, token: str = "") -> Any:
    """Call an rpc of the service and return its answer."""
    reply = await world.call(person, SERVICE + name, request, token=token)
    return getattr(pb, f"{name}Response").FromString(reply)


@dataclass
class Sealed:
    """What lies in the envelopes and what the officers know."""

    world: World
    opener: Person
    texts: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> list[str]:
        """All of it, to be found nowhere."""
        return [*self.texts, *self.codes.values()]

    async def open(
        self, envelope: int = 1, *, drill: bool = False, by: Person | None = None
    ) -> str:
        """Open an envelope; the id of the opening."""
        found = await ask(
            self.world, by or self.opener, "OpenBreakGlass", self.asking(envelope, drill=drill)
        )
        return str(found.opening_id)

    def asking(self, envelope: int = 1, **more: Any) -> pb.OpenBreakGlassRequest:
        """The request that opens an envelope."""
        return pb.OpenBreakGlassRequest(
            request_id=new_id(),
            sealed_credential=self.texts[envelope - 1],
            reason="both administrators are locked out",
            ticket="OPS-17",
            **more,
        )

    def confirming(self, opening: str, name: str) -> pb.ConfirmBreakGlassRequest:
        """The request by which an officer confirms."""
        return pb.ConfirmBreakGlassRequest(
            request_id=new_id(), opening_id=opening, secret_code=self.codes[name]
        )

    async def confirm(self, opening: str, name: str) -> pb.ConfirmBreakGlassResponse:
        """An officer confirms with his code over his own connection."""
        person = self.world.people[PROVINCE, name]
        answer: pb.ConfirmBreakGlassResponse = await ask(
            self.world, person, "ConfirmBreakGlass", self.confirming(opening, name)
        )
        return answer

    async def enter(self, opening: str, by: Person | None = None) -> str:
        """The token of the session."""
        request = pb.EnterBreakGlassRequest(request_id=new_id(), opening_id=opening)
        answer = await ask(self.world, by or self.opener, "EnterBreakGlass", request)
        return str(answer.access_token)

    async def entered(self, envelope: int = 1, *, drill: bool = False) -> tuple[str, str]:
        """Open, confirm twice, enter: the opening's id and the token."""
        opening = await self.open(envelope, drill=drill)
        for name in OFFICERS[:2]:
            await self.confirm(opening, name)
        return opening, await self.enter(opening)

    async def close(self, opening: str, token: str, by: Person | None = None) -> bool:
        """End it; whether everything must be sealed anew."""
        request = pb.CloseBreakGlassRequest(request_id=new_id(), opening_id=opening)
        answer = await ask(self.world, by or self.opener, "CloseBreakGlass", request, token)
        return bool(answer.sealing_void)


async def seal(world: World, *, codes: tuple[str, ...] = OFFICERS, opener: str = OPENER) -> Sealed:
    """Seal, and let these officers make their codes."""
    for name in OFFICERS:
        await officer(world, name)
    found = Sealed(world, await officer(world, opener, "requester"))
    admin = world.province_admin
    request = pb.SealBreakGlassRequest(request_id=new_id(), officer_names=OFFICERS)
    token = await kept_token(world, admin)
    found.texts = list((await ask(world, admin, "SealBreakGlass", request, token)).sealed_texts)
    for name in codes:
        person = world.people[PROVINCE, name]
        again = pb.RegisterBreakGlassCodeRequest(request_id=new_id())
        token = await kept_token(world, person)
        answer = await ask(world, person, "RegisterBreakGlassCode", again, token)
        found.codes[name] = answer.code
    return found

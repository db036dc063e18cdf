"""The people of exports in a world: requesters, recipients with their two certificates, approvers, officers.

lian, wang    of the city: asks · takes           zhao, qian, suny  approve, of the province
liang, wuhe   the same again                      song              secures, of the province
chen, yang    of a county of it: asks · takes     zhao.other        zhao's second account
hang          approves, of the city
"""

import secrets
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from google.rpc import error_details_pb2

from gateway.audit.event import Event
from gateway.clock import SYSTEM, US_PER_S
from gateway.errors import Refusal
from gateway.exports import approval, facts, ticket_rows
from gateway.exports.moving import Mover
from gateway.exports.plan import Plan, parse
from gateway.exports.ticket import Ticket
from gateway.identity.passwords import Passwords
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.pki import issue, register
from gateway.pki.verify import verified
from gateway.policy import cases
from gateway.policy.engine import Decision
from gateway.policy.request import Actor, Calling, Context, Request, Resource
from gateway.services.export_tickets import Tickets
from gateway.store import roles
from gateway.store.database import Database
from gateway.v1 import export_service_pb2 as pb
from gateway.v1.types_pb2 import Date
from gateway.vpn.origin import Origin
from tests.people import _enter, issued
from tests.world import CITY, COUNTY, PASSWORD, PROVINCE, Person, RefusedError, World

EVERYBODY = (
    (CITY, "lian", "requester"),
    (CITY, "wang", "recipient"),
    (CITY, "liang", "requester"),
    (CITY, "wuhe", "recipient"),
    (COUNTY, "chen", "requester"),
    (COUNTY, "yang", "recipient"),
    (PROVINCE, "zhao", "approver"),
    (PROVINCE, "qian", "approver"),
    (PROVINCE, "suny", "approver"),
    (PROVINCE, "song", "security_officer"),
    (CITY, "hang", "approver"),
)
SERVICE = "/gateway.v1.ExportService"
# Nobody waits with more than a policy's worth of drafts.
_FORGET_DRAFTS = (
    "DELETE FROM gateway.ticket WHERE state = 'draft' AND ticket_id NOT IN"
    " (SELECT ticket_id FROM gateway.ticket WHERE state = 'draft' ORDER BY ticket_id DESC LIMIT 9)"
)
MINUTE = 60
# Under the token's life and the five minutes of a confirmation.
TOKEN_KEPT_S = 120


@dataclass(slots=True)
class Cast:
    """Who is there; `open` makes it. `encryption`: the recipients' second certificate and its key."""

    world: World
    encryption: dict[str, Person]
    tokens: dict[str, tuple[str, int]]

    @classmethod
    async def open(cls, world: World) -> "Cast":
        """Enter everybody into the world, each with an account of PASSWORD of his own name."""
        owner = roles.conninfo(world.home, world.settings, "owner")
        database = await Database.open(owner, application="cast", size=1)
        cast, hashed = cls(world, {}, {}), await Passwords().hash(PASSWORD)
        try:
            async with database.transaction() as tx:
                for organisation, name, role in EVERYBODY:
                    subject = Subject(DEFAULT_TRUST_DOMAIN, organisation, "officer", name)
                    person = issued(world.authority, subject, role)
                    await _enter(tx, person, hashed)
                    world.people[organisation, name] = person
                    if role == "recipient":
                        second = encrypting(world, subject)
                        await register.insert(
                            tx, second.certificate, subject, purpose=register.ENCRYPTION
                        )
                        cast.encryption[name] = second
        finally:
            await database.close()
        cast.second_account("zhao", "zhao.other")
        # Past what the doors remember of the register.
        world.clock.turn(seconds=0.3)
        return cast

    def __getitem__(self, name: str) -> Person:
        """Somebody by name; "zhao.other" is zhao under his second account."""
        found = next(p for (_, n), p in self.world.people.items() if n == name.partition(".")[0])
        return replace(found, account=name)

    def second_account(self, name: str, account: str) -> None:
        """Open a second account for the same person, with the same roles and PASSWORD."""
        self.world.sql(
            "INSERT INTO gateway.account (organisation, name, roles, subject_kind, subject_name,"
            " password_hash, password_set_us, password_expires_us, must_change, history, created_us)"
            " SELECT organisation, %s, roles, subject_kind, subject_name, password_hash,"
            " password_set_us, password_expires_us, must_change, history, created_us"
            " FROM gateway.account WHERE name = %s",
            *(account, name),
        )

    def origin(self, organisation: str) -> Origin:
        """The way in by an organisation's own tunnel, as the real front names it."""
        address = self.world.address_of(organisation)
        return Origin(organisation, f"listen/{address}", "static", "weak", address)

    async def token(self, person: Person) -> str:
        """A token of an account whose password was shown lately."""
        now_us = self.world.clock.now_us()
        kept, made_us = self.tokens.get(person.account, ("", 0))
        if not kept or not 0 <= now_us - made_us < TOKEN_KEPT_S * US_PER_S:
            kept = await self.world.login(person)
            self.tokens[person.account] = (kept, now_us)
        return kept

    async def ask(self, person: Person, rpc: str, request: Any, **found: Any) -> Any:
        """Call an rpc of the service and return its answer; raises RefusedError."""
        token = await self.token(person)
        found = {"origin": self.origin(person.organisation), **found}
        raw = await self.world.call(person, f"{SERVICE}/{rpc}", request, token=token, **found)
        return getattr(pb, f"{rpc}Response").FromString(raw)

    # --- a ticket's way ------------------------------------------------------------------------

    def plan(self, **changes: Any) -> pb.DraftExportRequest:
        """A request for doses in the city, by lian for wang, with these changes."""
        now = datetime.fromtimestamp(self.world.clock.now_us() // US_PER_S, UTC)
        destroy = now.date() + timedelta(days=60)
        request = pb.DraftExportRequest(
            request_id=new_id(),
            dataset=pb.EXPORT_DATASET_VACCINATIONS,
            division_codes=[COUNTY],
            columns=["child_token", "lot.vaccine_code", "vaccinated_date"],
            purpose="survey",
            legal_basis="vaccine-law-art-49",
            recipient_organisation_code=CITY,
            recipient_account_name="wang",
            connection_certificate_sha256=digest(self["wang"]),
            encryption_certificate_sha256=digest(self.encryption["wang"]),
            tunnel_name=self.origin(CITY).tunnel,
            row_cap_count=1_000,
            child_cap_count=500,
            destroy_by_date=Date(year=destroy.year, month=destroy.month, day=destroy.day),
            format=pb.EXPORT_FORMAT_CSV,
        )
        request.not_before_time.FromDatetime(now)
        request.not_after_time.FromDatetime(now + timedelta(days=5))
        for name, value in changes.items():
            if isinstance(value, list):
                del getattr(request, name)[:]
                getattr(request, name).extend(value)
            elif hasattr(value, "DESCRIPTOR"):
                getattr(request, name).CopyFrom(value)
            else:
                setattr(request, name, value)
        return request

    async def draft(self, by: str = "lian", **changes: Any) -> pb.ExportTicket:
        """A fresh draft; those of tests before leave room for the next."""
        made = (await self.ask(self[by], "DraftExport", self.plan(**changes))).ticket
        self.forget_drafts()
        return made

    def forget_drafts(self) -> None:
        """Take away all drafts but the newest."""
        self.world.sql(_FORGET_DRAFTS)

    async def submit(self, ticket: pb.ExportTicket, by: str = "lian") -> pb.ExportTicket:
        """Submit a draft, the last count of its requester being long ago."""
        self.world.sql("DELETE FROM gateway.export_count")
        request = pb.SubmitExportRequest(
            request_id=new_id(), ticket_id=ticket.ticket_id, plan_sha256=ticket.plan_sha256
        )
        return (await self.ask(self[by], "SubmitExport", request)).ticket

    def signed(
        self, ticket: pb.ExportTicket, by: Person, **changes: Any
    ) -> pb.ApproveExportRequest:
        """What an approver sends: the plan read out of the bytes, and signed."""
        plan: Plan = parse(ticket.plan)
        told = approval.statement(ticket.ticket_id, plan.sha256)
        signature = by.key.sign(told, ec.ECDSA(SHA256()))
        fields = {
            "request_id": new_id(),
            "ticket_id": ticket.ticket_id,
            "plan_sha256": plan.sha256,
            "signature": signature,
            **changes,
        }
        return pb.ApproveExportRequest(**fields)

    async def approve(self, ticket: pb.ExportTicket, by: str) -> pb.ExportTicket:
        """Approve a ticket; two minutes pass before."""
        self.world.clock.turn(seconds=2 * MINUTE)
        person = self[by]
        return (await self.ask(person, "ApproveExport", self.signed(ticket, person))).ticket

    async def submitted(self, **changes: Any) -> pb.ExportTicket:
        """A ticket that waits for approvals."""
        return await self.submit(await self.draft(**changes))

    async def submitted_of_county(self) -> pb.ExportTicket:
        """As `submitted`, by chen for yang: of whom nothing was released yet."""
        self.world.sql("DELETE FROM gateway.export_count")
        draft = await self.ask(self["chen"], "DraftExport", self.plan_of_county())
        return await self.submit(draft.ticket, by="chen")

    async def once_approved(self, **changes: Any) -> pb.ExportTicket:
        """A ticket that zhao approved."""
        return await self.approve(await self.submitted(**changes), "zhao")

    async def approved(self, **changes: Any) -> pb.ExportTicket:
        """A ticket that zhao and qian approved, and suny where it takes three."""
        ticket = await self.approve(await self.once_approved(**changes), "qian")
        short = ticket.state == pb.EXPORT_STATE_ONCE_APPROVED
        return await self.approve(ticket, "suny") if short else ticket

    # --- what tests ask behind the doors ---------------------------------------------------------

    async def register(self, person: Person) -> None:
        """Enter an encryption certificate into the register."""
        owner = roles.conninfo(self.world.home, self.world.settings, "owner")
        database = await Database.open(owner, application="cast", size=1)
        try:
            async with database.transaction() as tx:
                await register.insert(
                    tx, person.certificate, person.subject, purpose=register.ENCRYPTION
                )
        finally:
            await database.close()

    def taken_by(self, name: str) -> dict[str, Any]:
        """What a plan for this recipient names."""
        organisation = self[name].organisation
        return {
            "recipient_organisation_code": organisation,
            "recipient_account_name": name,
            "connection_certificate_sha256": digest(self[name]),
            "encryption_certificate_sha256": digest(self.encryption[name]),
            "tunnel_name": self.origin(organisation).tunnel,
        }

    def plan_of_county(self, **changes: Any) -> pb.DraftExportRequest:
        """As `plan`, by whomever for yang of the county."""
        return self.plan(**{**self.taken_by("yang"), **changes})

    @property
    def tickets(self) -> Tickets:
        """What the disclosure door judges tickets by."""
        method = self.world.guard("disclosure")._methods[f"{SERVICE}/GetExport"][1]
        found: Tickets = method.__self__._tickets
        return found

    def mover(self) -> Mover:
        """The disclosure door's own hand."""
        tickets = self.tickets
        recorder = self.world.doors["disclosure"].recorder
        return Mover(
            *(tickets.database, recorder, lambda: tickets.rules.approvals),
            *(tickets.clock, tickets.ground.seal),
        )

    def base(self) -> Event:
        """What the door's own leaves begin with."""
        return Event(door="disclosure", request_id=new_id())

    async def value(self, ticket: pb.ExportTicket) -> Ticket:
        """A ticket as its row has it."""
        async with self.tickets.database.transaction() as tx:
            found = await ticket_rows.read(tx, ticket.ticket_id)
        assert found is not None
        return found

    async def judged(self, ticket: pb.ExportTicket, action: str) -> Decision:
        """What the policy says now of an act of the gateway's own on a ticket."""
        tickets = self.tickets
        await tickets._current.renew()
        value = await self.value(ticket)
        async with tickets.database.transaction() as tx:
            around = await tickets.around(tx)
            known = await facts.of(tx, value, around)
        chain = around.registry.chain(value.plan.requester.organisation)
        province = facts.province(around.registry)
        actor = Actor(province, (province,), frozenset({"builder"}), "proven")
        calling = Calling("", "", "", confirmed=False, now_us=around.now_us)
        context = Context(password_current=True, weak_origin_allowed=True, calling=calling)
        asked = Request(action, actor, Resource("ExportTicket", chain, ticket=known), context)
        return cases.trusted(self.world.home.policies / "cedar").judge(asked)

    @staticmethod
    async def refusal(work: Any) -> Refusal:
        """What an awaitable of the gateway's own is refused with."""
        try:
            done = await work
        except Refusal as refusal:
            return refusal
        raise AssertionError(f"was done: {done!r}")

    @staticmethod
    def rules(error: RefusedError) -> set[str]:
        """The rules that a FIELD_INVALID names."""
        bad = error.detail(error_details_pb2.BadRequest)
        return {one.reason for one in bad.field_violations}

    def state(self, ticket: pb.ExportTicket) -> str:
        """The state of a ticket's row."""
        sql = "SELECT state FROM gateway.ticket WHERE ticket_id = %s"
        return str(self.world.sql(sql, ticket.ticket_id)[0][0])


def new_id() -> str:
    """A request id."""
    return str(uuid.uuid4())


def encrypting(world: World, subject: Subject) -> Person:
    """A fresh encryption certificate with its key, not registered yet."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue.client_certificate(
        world.authority, subject, key.public_key(), SYSTEM.now_us(), kind="encryption"
    )
    return Person(subject, subject.name, ("recipient",), key, certificate)


def digest(person: Person) -> str:
    """SHA-256 of somebody's certificate, lower hex."""
    return verified(person.certificate, person.subject).sha256.hex()


def about(kind: Any, ticket: pb.ExportTicket, **more: Any) -> Any:
    """A request of this kind about a ticket, with a reason where it takes one."""
    fields = {"request_id": new_id(), "ticket_id": ticket.ticket_id, **more}
    if "reason" in kind.DESCRIPTOR.fields_by_name:
        fields.setdefault("reason", f"because {secrets.token_hex(4)}")
    return kind(**fields)

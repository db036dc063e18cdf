"""Hands for policies in tests: changed files, a proposal in a world, an officer's signature."""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.audit.event import Event
from gateway.config.activation import ActivationRules
from gateway.config.policies import shipped
from gateway.names import DEFAULT_TRUST_DOMAIN, Subject
from gateway.policy import activation, bundle, evidence, proposing
from gateway.policy.proposing import Change, Proposal, Signature
from gateway.policy.trust import Trust
from gateway.store import roles
from gateway.store.database import Database, Transaction
from gateway.v1 import admin_service_pb2 as admin
from tests.coverage.rpcs import kept_token, new_id
from tests.world import PROVINCE, Person, World

RULES = ActivationRules(apart_s=120, loosening_hours=24)
_APPEND = "SELECT first FROM gateway.audit_append(%s, (SELECT size FROM gateway.audit_head))"
SERVICE = "/gateway.v1.AdminService/"
CEDAR = shipped("policies") / "cedar"
SHIPPED = bundle.files(CEDAR)
# Nobody uploads any more: a tightening. And everybody lists organisations: a loosening.
TIGHTER = '\n@id("F90-quiet") @says("x") @says_zh("y") forbid (principal, action == Action::"WhoAmI", resource);\n'
LOOSER = '\n@id("P90-open") @says("x") @says_zh("y") permit (principal, action == Action::"ListOrganisations", resource);\n'


def changed(addition: str = TIGHTER) -> dict[str, str]:
    """The shipped files with something added to the floor."""
    return {**SHIPPED, "01-floor.cedar": SHIPPED["01-floor.cedar"] + addition}


async def tell(tx: Transaction, event: Event, at_us: int) -> int:
    """Append a leaf of some moment, as the database role of this transaction; its index."""
    row = await tx.fetch_one(_APPEND, ([event.to_leaf(at_us)],))
    assert row is not None
    return int(row[0])


def proposal_leaf(one: Proposal) -> Event:
    """What the host's command tells of a proposal."""
    detail = evidence.proposed(one.number, one.bundle.sha256, one.wait(RULES))
    return Event(kind=evidence.PROPOSE, door="host", detail=detail)


def signature_leaf(
    number: int, sha256: str, mine: Signature, *roles_: str, active: bool, place: str = PROVINCE
) -> Event:
    """What the door tells of a signature."""
    given = roles_ or ("security_officer",)
    told = evidence.signature(number, given, active=active)
    return Event(
        kind=evidence.SIGN,
        door="administration",
        organisation=place,
        subject=str(Subject(DEFAULT_TRUST_DOMAIN, place, "officer", mine.person)),
        account=mine.account,
        certificate=mine.certificate_sha256.hex(),
        detail={"target_bundle": sha256, **told},
    )


async def propose(
    tx: Transaction, trust: Trust, files: Mapping[str, str], change: Change, now_us: int
) -> Proposal:
    """Propose, with its leaf."""
    found = await proposing.propose(tx, trust, files, change, now_us)
    await tell(tx, proposal_leaf(found), now_us)
    return found


async def sign(
    tx: Transaction, trust: Trust, sha256: str, mine: Signature, rules: ActivationRules
) -> bool:
    """Sign, with its leaf; return whether it is in force."""
    done = await proposing.sign(tx, trust, sha256, mine, rules)
    told = signature_leaf(done.number, sha256, mine, active=done.active)
    await tell(tx, told, mine.signed_us)
    return done.active


async def proposed(
    world: World, files: Mapping[str, str], change: Change | None = None
) -> Proposal:
    """Propose files as the host's command does, past its checks."""
    conninfo = roles.conninfo(world.home, world.settings, "administration")
    trust = Trust.of(world.home, world.settings)
    database = await Database.open(conninfo, application="propose", size=1)
    try:
        async with database.transaction() as tx:
            told = (files, change or Change(), world.clock.now_us())
            return await propose(tx, trust, *told)
    finally:
        await database.close()


def signature(person: Person, number: int, sha256: str) -> bytes:
    """Sign as an officer's client does."""
    return person.key.sign(activation.statement(number, sha256), ec.ECDSA(SHA256()))


async def approve(
    world: World, person: Person, proposal: Proposal, signed: bytes | None = None, **given: Any
) -> bool:
    """Approve as this officer; return whether it is in force."""
    sha256 = proposal.bundle.sha256
    request = admin.ApprovePoliciesRequest(
        request_id=given.get("request_id") or new_id(),
        sha256=given.get("sha256", sha256),
        signature=signature(person, proposal.number, sha256) if signed is None else signed,
    )
    token = await kept_token(world, person)
    reply = await world.call(person, SERVICE + "ApprovePolicies", request, token=token)
    return admin.ApprovePoliciesResponse.FromString(reply).active


async def in_force(
    world: World, first: Person, second: Person, files: Mapping[str, str]
) -> Proposal:
    """Put files in force by two officers' signatures."""
    found = await proposed(world, files)
    await approve(world, first, found)
    world.clock.turn(seconds=121)
    assert await approve(world, second, found)
    return found

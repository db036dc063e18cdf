"""Attacks on the policies: on the engine (66-76 of the exports' list), by roles that somebody gave himself (85, 86)."""

import ast
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.exports import plan as plans
from gateway.policy import bundle, facts, ticket_cases
from gateway.policy import engine as engine_module
from gateway.policy.engine import DEFAULT_DENY, ERROR, Decision, Engine
from gateway.policy.request import Actor, Context, Request, Resource
from gateway.policy.ticket_cases import Person, TicketCase
from gateway.v1 import admin_service_pb2 as admin
from gateway.v1 import audit_service_pb2 as audit
from gateway.v1 import upload_service_pb2 as upload
from tests.coverage.rpcs import Watch, kept_token, refused
from tests.exports.cast import Cast
from tests.exports.fetching import DOOR, WIDE, chore
from tests.exports.planted import plant
from tests.policies import SERVICE as ADMIN
from tests.policies import SHIPPED, changed, in_force
from tests.sealed import officer
from tests.world import held

ENGINE = Engine(bundle.of_files(SHIPPED))
CHAIN = ("140105", "140100", "140000")
PARENTS = {"140000": "", "140100": "140000", "140105": "140100"}


def asked(action: str, role: str, case: TicketCase) -> Request:
    ticket = ticket_cases.ticket(case, "140000", PARENTS)
    return Request(
        action,
        Actor("140105", CHAIN, frozenset({role}), "proven"),
        Resource("ExportTicket", CHAIN, ticket=ticket),
        Context(True, False, calling=ticket_cases.calling(case)),
    )


RELEASE = asked("ReleaseExport", "recipient", TicketCase(state="received"))
SUBMIT = asked("SubmitExport", "requester", TicketCase(state="draft", caller="140105/li"))


@contextmanager
def told(change: Callable[[dict[str, Any], list[dict[str, Any]]], None]) -> Iterator[None]:
    """Let `facts` say something else: as if the gateway had established it wrongly."""
    real = facts.of

    def changed_facts(request: Request) -> facts.Facts:
        found = real(request)
        context, entities = json.loads(str(found.request["context"])), json.loads(found.entities)
        change(context, entities)
        asked = {**found.request, "context": json.dumps(context)}
        return facts.Facts(asked, json.dumps(entities))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module.facts, "of", changed_facts)
        yield


def decided(
    change: Callable[[dict[str, Any], list[dict[str, Any]]], None], request: Request = RELEASE
) -> Decision:
    assert ENGINE.judge(request).allowed
    with told(change):
        found = ENGINE.judge(request)
    assert ENGINE.judge(request).allowed, "the next good one is allowed"
    return found


def ticket_in(entities: list[dict[str, Any]]) -> dict[str, Any]:
    [found] = [one["attrs"] for one in entities if one["uid"]["type"] == "ExportTicket"]
    return found


CONTEXT = sorted(json.loads(str(facts.of(RELEASE).request["context"])))
TICKET = sorted(ticket_in(json.loads(facts.of(RELEASE).entities)))
# Facts that this decision does not ask for: of another moment of the ticket's life.
UNASKED = {"planned", "sinceApprovalSeconds"}


@pytest.mark.parametrize("name", CONTEXT)
def test_attack_66_a_fact_of_the_call_missing_null_of_another_type(name: str) -> None:
    def change(value: object) -> Callable[..., None]:
        return lambda context, _: context.update({name: value})

    wrong: list[Callable[..., None]] = [change(None), change({"x": 1}), change([1])]
    if name not in UNASKED:
        wrong.append(lambda context, _: context.pop(name))
    for each in wrong:
        found = decided(each)
        assert not found.allowed
        assert found.policies == ((ERROR,) if found.error else ("F40-budget",))


def test_attack_66_a_fact_that_nobody_declared() -> None:
    assert decided(lambda context, _: context.update(trusted=True)).policies == (ERROR,)
    assert decided(lambda _, entities: ticket_in(entities).update(trusted=True)).policies == (
        ERROR,
    )


@pytest.mark.parametrize("name", TICKET)
def test_attack_66_a_fact_of_the_ticket_missing(name: str) -> None:
    request = SUBMIT if name in UNASKED else RELEASE
    found = decided(lambda _, entities: ticket_in(entities).pop(name), request)
    assert not found.allowed, name


@pytest.mark.parametrize("kind", ["Principal", "ExportTicket"])
def test_attack_67_an_entity_that_is_not_supplied(kind: str) -> None:
    def drop(_: object, entities: list[dict[str, Any]]) -> None:
        entities[:] = [one for one in entities if one["uid"]["type"] != kind]

    found = decided(drop)
    assert not found.allowed
    assert {ERROR, DEFAULT_DENY} & set(found.policies)


@pytest.mark.parametrize(
    "text",
    [
        '140105/wang" || true || "',
        "140105/wang\n",
        'Principal::"140105"',
        "140105/wang\x00",
        "",
        "140105/WANG",
    ],
)
def test_attack_72_a_name_that_would_break_out_of_the_text(text: str) -> None:
    case = TicketCase(state="received", recipient=Person(text, ("recipient",)))
    found = ENGINE.judge(asked("ReleaseExport", "recipient", case))
    assert not found.allowed
    assert DEFAULT_DENY in found.policies or found.policies[0].startswith("F")
    # And nobody else's name lets its bearer in.
    calling = replace(RELEASE.context.calling, person=text)
    context = replace(RELEASE.context, calling=calling)
    assert ENGINE.judge(replace(RELEASE, context=context)).policies == (DEFAULT_DENY,)


def test_attack_75_no_partial_decision_decides() -> None:
    """`is_authorized_partial` must not decide, says its docstring; nobody calls it, nobody else asks Cedar."""
    for path in Path(gateway.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {one.attr for one in ast.walk(tree) if isinstance(one, ast.Attribute)}
        assert "is_authorized_partial" not in names, path
        assert "is_authorized_batch" not in names, path
        assert ("is_authorized" in names) == (path == Path(engine_module.__file__)), path


def test_attack_38_numbers_at_the_end_of_their_range() -> None:
    for name in ("row_cap", "child_cap", "not_after_us"):
        for value in (2**63 - 1, 2**63, 2**64, -(2**63)):
            ticket = replace(RELEASE.resource.ticket, **{name: value})
            resource = replace(RELEASE.resource, ticket=ticket)
            assert not ENGINE.judge(replace(RELEASE, resource=resource)).allowed, (name, value)


# By roles.


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


def granted(world, person, *roles):
    """Give roles past every check, as who owns the database could; sessions of before end."""
    world.sql(
        "UPDATE gateway.account SET roles = %s, role_epoch = role_epoch + 1"
        " WHERE organisation = %s AND name = %s",
        *(list(roles), person.organisation, person.account),
    )


async def denied(world, person, method, request, policy):
    await kept_token(world, person)
    watch = Watch(world)
    error = await refused(
        world.call(person, method, request, token=await kept_token(world, person))
    )
    leaf = await watch.only_leaf()
    assert (error.reason, leaf["decision"], leaf["reason"]) == (
        "POLICY_DENIED",
        "deny",
        "POLICY_DENIED",
    )
    assert leaf["policies"] == [policy]
    assert leaf["bundle"] == bundle.of_files(SHIPPED).sha256


def test_attack_85_an_administrator_gives_himself_a_data_role(province):
    """Nobody may (tests/identity/test_roles.py); and were it in the database, it would be of no use."""

    async def work(world):
        person = await officer(world, "grantor", "admin")
        granted(world, person, "admin", "uploader")
        receipt = upload.GetReceiptRequest(request_id="0" * 8 + "-0000-4000-8000-" + "0" * 12)
        method = "/gateway.v1.UploadService/GetReceipt"
        await denied(world, person, method, receipt, "f04-admin")
        token = await kept_token(world, person)
        listed = await world.call(
            person, ADMIN + "ListAccounts", admin.ListAccountsRequest(), token=token
        )
        assert admin.ListAccountsResponse.FromString(listed).accounts

    province.run(work(province.world))


def test_attack_86_administrator_and_auditor_in_one_account(province):
    """Each of the two takes away what the other may do."""

    async def work(world):
        person = await officer(world, "both", "admin")
        granted(world, person, "admin", "auditor")
        search = audit.SearchLeavesRequest()
        await denied(world, person, "/gateway.v1.AuditService/SearchLeaves", search, "f04-admin")
        accounts = admin.ListAccountsRequest()
        await denied(world, person, ADMIN + "ListAccounts", accounts, "f03-auditor")
        granted(world, person, "auditor")
        token = await world.login(person)
        await world.call(person, "/gateway.v1.AuditService/SearchLeaves", search, token=token)

    province.run(work(province.world))


CLOSED = """
@id("F92-outbreak-over") @says("x") @says_zh("y")
forbid (principal, action in Action::"Leave", resource) when { resource.purpose == "%s" };
"""


def test_attack_74_a_tightening_takes_along_what_was_approved_before_it(cluster):
    """A ticket that two persons signed under the policies of before is no right of its own."""

    async def work(world):
        cast = await Cast.open(world)
        first, second = await officer(world, "officer-a"), await officer(world, "officer-b")
        tickets = [plant(cast, steps, **WIDE) for steps in (3, 5, 6, 7)]
        keeper = chore(cast, "Keeper")
        assert await keeper.look(DOOR) == 0
        text = CLOSED % plans.parse(tickets[0].plan).purpose
        bundled = (await in_force(world, first, second, changed(text))).bundle.sha256
        world.clock.turn(seconds=1)
        watch = Watch(world)
        assert await keeper.look(DOOR) == len(tickets)
        leaves = [one for one in await watch.leaves() if one["kind"] == "export.stop"]
        assert [one["bundle"] for one in leaves] == [bundled] * len(tickets)
        assert {tuple(one["policies"]) for one in leaves} == {("f92-outbreak-over",)}
        assert {cast.state(one) for one in tickets} == {"revoked"}
        # And back again: what was revoked stays so, the next ticket stands.
        await in_force(world, first, second, SHIPPED)
        again = plant(cast, 5, **WIDE)
        world.clock.turn(seconds=1)
        assert await keeper.look(DOOR) == 0
        assert cast.state(again) != "revoked"

    with held(cluster) as stands:
        stands.run(work(stands.world))

"""What the policy is told of a ticket is as registered now; what is not found is told as not good."""

import asyncio
from dataclasses import replace
from pathlib import Path

from gateway.config.home import Home
from gateway.exports import facts, ticket_rows
from gateway.exports.facts import Around
from gateway.exports.plan import Party
from gateway.pki.issuers import Issuers
from gateway.registry.organisations import Organisation
from gateway.registry.relations import USES_TUNNEL_OF, Relation
from gateway.registry.snapshot import Registry
from gateway.store.database import Database
from tests.exports.test_ticket_rows import tell
from tests.exports.tickets import PLAN, SEAL, START_US, WAY, S, along, draft, step

REGISTRY = Registry.of(
    [
        Organisation("140000", "province", 1, None),
        Organisation("140100", "city", 2, "140000"),
        Organisation("140105", "county", 3, "140100"),
        Organisation("140200", "other city", 2, "140000"),
        Organisation("14010501", "a hospital", 4, "140105"),
    ],
    relations=[Relation("140105", "140100", USES_TUNNEL_OF)],
)
DIVISIONS = frozenset({"140105", "140106", "140212"})
# Nobody is registered here, so no authority is asked.
NOBODY = Issuers(Home(Path("nowhere")), "sx.example")
STATIC = {PLAN.tunnel: "140100"}
AROUND = Around(REGISTRY, DIVISIONS, "sx.example", STATIC, NOBODY, NOBODY, SEAL, START_US)
WIDE = replace(PLAN, divisions=("140105", "140106", "140212"))


def test_a_territory_is_what_the_code_says() -> None:
    assert facts.covers("140000", WIDE, AROUND) == DIVISIONS
    assert facts.covers("140100", WIDE, AROUND) == {"140105", "140106"}
    assert facts.covers("140105", WIDE, AROUND) == {"140105"}
    assert facts.covers("140200", WIDE, AROUND) == {"140212"}
    assert facts.covers("14010501", WIDE, AROUND) == frozenset()
    assert facts.covers("140300", WIDE, AROUND) == frozenset()


def test_025_a_division_that_was_merged_since_is_in_nobodys_territory() -> None:
    merged = replace(AROUND, divisions=DIVISIONS - {"140105"})
    assert facts.covers("140100", WIDE, merged) == {"140106"}


def test_the_province_and_a_person_are_named_as_the_policy_names_them() -> None:
    assert facts.province(REGISTRY) == "140000"
    assert facts.province(Registry.of([])) == ""
    assert facts.person(PLAN.requester, "sx.example") == "spiffe://sx.example/org/140100/officer/li"


def test_what_the_register_does_not_have_is_not_good(conninfo) -> None:
    """Nobody is registered: no certificate, no account, no signature stands; the tunnel is the settings' alone."""

    async def work() -> None:
        database = await Database.open(conninfo("disclosure"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                found = await facts.of(tx, along(3), AROUND, planned=(7, 5))
                assert not found.certificates_good
                assert await facts.bad_certificates(tx, PLAN, AROUND) == [
                    *("connection_certificate_sha256", "encryption_certificate_sha256")
                ]
                assert found.tunnel_active
                elsewhere = replace(PLAN, tunnel="listen/127.0.0.99")
                assert not await facts.tunnel_active(tx, elsewhere, AROUND)
                theirs = replace(PLAN, recipient=Party("140200", "wu", "wu.export"))
                assert not await facts.tunnel_active(tx, theirs, AROUND)
                county = replace(PLAN, recipient=Party("140105", "wu", "wu.export"))
                assert await facts.tunnel_active(tx, county, AROUND)
        finally:
            await database.close()
        for party in (found.requester, found.recipient, *(one.by for one in found.approvals)):
            assert not party.active
            assert party.roles == frozenset()
        assert [one.plan_sha256 for one in found.approvals] == ["", ""]
        assert (found.planned, found.built, found.approvals_needed) == ((7, 5), None, 2)
        assert (found.state, found.individual, found.overdue) == ("approved", True, False)
        assert found.classes == {"HEALTH"}

    asyncio.run(work())


def test_who_owes_a_destruction_gets_nothing_new(conninfo) -> None:
    async def work() -> None:
        database = await Database.open(conninfo("disclosure"), application="test", size=1)
        try:
            async with database.transaction() as tx:
                ticket = await ticket_rows.create(tx, PLAN, START_US)
                await tell(tx, ticket)
            for number, (act, by) in enumerate(WAY[:8], 1):
                async with database.transaction() as tx:
                    after = step(ticket, act, by, START_US + number * 120 * S)
                    ticket = await ticket_rows.move(tx, ticket, after)
                    await tell(tx, ticket)
            async with database.transaction() as tx:
                late = replace(AROUND, now_us=START_US + 90 * 86_400 * S)
                other = replace(draft(), ticket_id="EX-00000009")
                assert (await facts.of(tx, other, late)).overdue
                assert not (await facts.of(tx, other, AROUND)).overdue
                assert not (await facts.of(tx, ticket, late)).overdue
                theirs = replace(other, plan=replace(PLAN, recipient=Party("140200", "wu", "wu.x")))
                assert not (await facts.of(tx, theirs, late)).overdue
        finally:
            await database.close()

    asyncio.run(work())

"""identity.md section 7, attacks 71 to 76: a code used twice, by many at once, too late, through another tunnel, or guessed.

Promise: a code gives one certificate to one key through one organisation's tunnel, within its time. Each attack is
refused with its reason and one leaf, the code stands in no log, and the next good call is served.
"""

import asyncio

import pytest

from gateway.pki import invitation
from gateway.store.database import Transaction
from tests.coverage.rpcs import Watch, refused
from tests.papers import new_key, system
from tests.services.enrolling import enrol, invite
from tests.world import COUNTY, RefusedError, held


@pytest.fixture(scope="module")
def province(cluster):
    with held(cluster) as stands:
        yield stands


@pytest.fixture(autouse=True)
def calm(province):
    """What one test used up of the tunnels' unknown codes is there again for the next."""
    _service(province.world)._unknown._levels.clear()


def _service(world):
    _, method = world.guard("enrolment")._methods["/gateway.v1.EnrolmentService/Enrol"]
    return method.__self__


async def attacked(world, call, code, reason):
    """The call is refused as it must be, with one leaf; the code is not on the log."""
    watch = Watch(world)
    error = await refused(call)
    leaf = await watch.only_leaf()
    assert error.reason == leaf["reason"] == reason
    assert leaf["decision"] == "deny"
    assert code not in str(leaf)
    assert code not in str(error.status)
    return leaf


async def served(world):
    """The next good call works."""
    answer = await enrol(world, (await invite(world)).code)
    assert answer.certificate.generation == 1


def quiet(capsys, *codes):
    said = "".join(capsys.readouterr())
    assert not [code for code in codes if code in said or code.lower() in said]


def test_71_a_code_used_again_with_another_key_is_burnt_and_told(province, capsys):
    async def work(world):
        code, key = (await invite(world)).code, new_key()
        first = await enrol(world, code, key)
        leaf = await attacked(world, enrol(world, code), code, "CODE_BURNT")
        assert leaf["detail"]["alert"] == "code-burnt"
        # From now on nobody gets anything for it, not even who came first: the alert is told once.
        leaf = await attacked(world, enrol(world, code, key), code, "CODE_BURNT")
        assert "alert" not in leaf["detail"]
        [(state,)] = world.sql(
            "SELECT state FROM gateway.certificate WHERE serial = %s", first.certificate.serial
        )
        assert state == 1
        await served(world)
        return code

    quiet(capsys, province.run(work(province.world)))


def test_72_fifty_with_one_code_get_one_certificate(province):
    async def work(world):
        code, watch = (await invite(world)).code, None
        await world.channel(world.county, "enrolment")
        watch = Watch(world)
        done = await asyncio.gather(
            *(enrol(world, code, new_key()) for _ in range(50)), return_exceptions=True
        )
        won = [one for one in done if not isinstance(one, RefusedError)]
        lost = [one for one in done if isinstance(one, RefusedError)]
        assert len(won) == 1
        assert {one.reason for one in lost} == {"CODE_BURNT"}
        leaves = await watch.leaves()
        assert sorted(leaf.get("reason", "") for leaf in leaves) == [""] + ["CODE_BURNT"] * 49
        assert sum("alert" in leaf["detail"] for leaf in leaves) == 1
        await served(world)

    province.run(work(province.world))


def test_73_a_lost_answer_is_answered_with_the_same_certificate(province, capsys):
    async def work(world):
        code, key = (await invite(world)).code, new_key()
        watch = Watch(world)
        done = await asyncio.gather(*(enrol(world, code, key) for _ in range(10)))
        assert len({one.certificate.serial for one in done}) == 1
        assert await enrol(world, code.lower(), key) == done[0]
        leaves = await watch.leaves()
        told = [(leaf["decision"], leaf["detail"]["target_serial"]) for leaf in leaves]
        assert told == [("allow", done[0].certificate.serial)] * 11
        assert code not in str(leaves)
        await served(world)
        return code

    quiet(capsys, province.run(work(province.world)))


def test_73_what_was_revoked_meanwhile_is_not_handed_out_again(province, capsys):
    """Who revokes a certificate within its code's life need not fear that the code brings it back."""

    async def work(world):
        made, key = await invite(world), new_key()
        first = await enrol(world, made.code, key)
        world.sql(
            "UPDATE gateway.certificate SET state = 2, revoked_us = 1 WHERE serial = %s",
            first.certificate.serial,
        )
        leaf = await attacked(world, enrol(world, made.code, key), made.code, "CERT_REVOKED")
        assert leaf["detail"]["invitation"] == made.invitation_id
        assert "alert" not in leaf["detail"]
        await served(world)
        return made.code

    quiet(capsys, province.run(work(province.world)))


@pytest.mark.parametrize("wrong", ["expired", "cancelled", "other tunnel", "unknown", "no code"])
def test_74_75_a_code_too_late_or_through_another_tunnel(province, capsys, wrong):
    async def work(world):
        made = await invite(world)
        code, person = made.code, world.county
        if wrong == "expired":
            world.sql(
                "UPDATE gateway.invitation SET expires_us = 1 WHERE id = %s", made.invitation_id
            )
        elif wrong == "cancelled":
            world.sql("UPDATE gateway.invitation SET state = 6 WHERE id = %s", made.invitation_id)
        elif wrong == "other tunnel":
            person = world.other_county
        else:
            code = invitation.new_code() if wrong == "unknown" else "none"
        call = enrol(world, code, new_key(), person)
        leaf = await attacked(world, call, made.code, "CODE_INVALID")
        # One answer and one leaf for all of them: nobody learns whether there is such a code.
        assert "detail" not in leaf
        if wrong in ("other tunnel", "unknown", "no code"):
            assert (await enrol(world, made.code)).certificate.generation == 1
        await served(world)
        return made.code

    quiet(capsys, province.run(work(province.world)))


def test_75_unknown_and_another_organisations_are_one_to_the_database(province, monkeypatch):
    """The very same statements run for both: neither answer nor time tells them apart."""

    async def work(world):
        made = await invite(world)
        ran = {}
        for code in (made.code, invitation.new_code()):
            said = ran.setdefault(code, [])
            with monkeypatch.context() as patched:
                for name in ("execute", "fetch", "fetch_one"):
                    patched.setattr(Transaction, name, noting(name, said))
                await refused(enrol(world, code, None, world.other_county))
        first, second = ran.values()
        asked = [
            [line for line in said if "gateway.invitation" in line] for said in (first, second)
        ]
        assert asked[0] == asked[1] != []

    province.run(work(province.world))


def noting(name, said):
    """A method of Transaction that notes each statement."""
    genuine = getattr(Transaction, name)

    async def run(self, statement, parameters=()):
        said.append(statement)
        return await genuine(self, statement, parameters)

    return run


def test_76_guessing_ends_after_twenty(province):
    async def work(world):
        for _ in range(20):
            call = enrol(world, invitation.new_code())
            assert (await refused(call)).reason == "CODE_INVALID"
        made = await invite(world)
        watch = Watch(world)
        error = await refused(enrol(world, made.code))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert (await watch.only_leaf())["reason"] == "RATE_LIMITED"
        # Another organisation's tunnel is not stopped by it.
        system(world, "140212", "uploader")
        other = await invite(world, "uploader", "140212")
        assert (await enrol(world, other.code, None, world.other_county)).organisation_code
        # Nor is this one for ever: one more every three minutes.
        world.clock.turn(seconds=181)
        assert (await enrol(world, made.code)).organisation_code == COUNTY

    province.run(work(province.world))


def test_76_a_code_bears_five_wrong_requests(province):
    async def work(world):
        made = await invite(world)
        for attempt in range(1, 6):
            leaf = await attacked(world, enrol(world, made.code, b"x"), made.code, "FIELD_INVALID")
            assert ("alert" in leaf["detail"]) == (attempt == 5)
        await attacked(world, enrol(world, made.code), made.code, "CODE_BURNT")
        await served(world)

    province.run(work(province.world))

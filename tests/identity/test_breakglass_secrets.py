import re
from dataclasses import replace
from uuid import uuid4

import pytest

from gateway.errors import Reason, Refusal
from gateway.identity import breakglass_secrets as kept
from tests.identity import office as stage
from tests.identity.glass import over, sealed, sealed_anew


def at_the_glass(conninfo, scene):
    async def run(office):
        await scene(office, await sealed(office))

    stage.at_the_office(conninfo, run)


async def refused(awaitable):
    with pytest.raises(Refusal) as raised:
        await awaitable
    return raised.value.reason


def test_a_credential_has_160_bits_and_shows_itself_to_nobody(conninfo):
    async def scene(office, glass):
        found = await kept.credentials(office.desk)
        assert len({*found.texts, *glass.texts}) == 4
        for text in found.texts:
            assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){7}", text)
            assert len(text.replace("-", "")) * 5 == 160
            assert text not in repr(found)

    at_the_glass(conninfo, scene)


def test_a_credential_tells_its_envelope(conninfo):
    async def scene(office, glass):
        for number, text in enumerate(glass.texts, 1):
            shown = await kept.show(office.desk, over("wang"), text)
            assert (shown.envelope, shown.sealing) == (number, glass.sealing)
        for wrong in ("", glass.texts[0][:-1], glass.texts[0].upper(), glass.codes["li"]):
            reason = await refused(kept.show(office.desk, over("wang"), wrong))
            assert reason is Reason.BREAK_GLASS_FAILED
        for stranger in (stage.connection(), stage.connection("officer/wang", "140100", "w")):
            reason = await refused(kept.show(office.desk, stranger, glass.texts[0]))
            assert reason is Reason.ROLE_NOT_ALLOWED

    at_the_glass(conninfo, scene)


def test_a_code_is_its_officers_own(conninfo):
    async def scene(office, glass):
        opening = await glass.ask()
        proven = await kept.prove_code(office.desk, over("li"), opening.id, glass.codes["li"])
        assert proven.id == opening.id
        for name, code, id_ in (
            ("li", glass.codes["sun"], opening.id),
            ("wang", glass.codes["li"], opening.id),
            ("li", glass.codes["li"], str(uuid4())),
        ):
            reason = await refused(kept.prove_code(office.desk, over(name), id_, code))
            assert reason is Reason.BREAK_GLASS_FAILED

    at_the_glass(conninfo, scene)


def test_failures_block_their_own_subject_until_the_policys_time(conninfo):
    async def scene(office, glass):
        opening = await glass.ask()

        def guess(name):
            return kept.prove_code(office.desk, over(name), opening.id, "wrong")

        for _ in range(office.desk.rules.throttle.failures):
            assert await refused(guess("li")) is Reason.BREAK_GLASS_FAILED
        right = glass.codes["li"]
        blocked = kept.prove_code(office.desk, over("li"), opening.id, right)
        assert await refused(blocked) is Reason.LOGIN_THROTTLED
        assert await refused(guess("sun")) is Reason.BREAK_GLASS_FAILED
        office.clock.turn(seconds=60)
        await kept.prove_code(office.desk, over("li"), opening.id, right)

    at_the_glass(conninfo, scene)


def test_so_many_failures_lock_until_it_is_sealed_anew(conninfo):
    async def scene(office, glass):
        limits = replace(office.desk.rules.throttle, failures=1, lock_failures=2)
        desk = replace(office.desk, rules=replace(office.desk.rules, throttle=limits))
        for _ in range(2):
            reason = await refused(kept.show(desk, over("wang"), "wrong"))
            assert reason is Reason.BREAK_GLASS_FAILED
            office.clock.turn(seconds=3600)
        right = kept.show(desk, over("wang"), glass.texts[0])
        assert await refused(right) is Reason.LOGIN_LOCKED
        again = await sealed_anew(office)
        assert (await kept.show(desk, over("wang"), again.texts[0])).envelope == 1

    at_the_glass(conninfo, scene)

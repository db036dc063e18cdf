import asyncio
import json

import pytest

from gateway.client.channel import Channels
from gateway.client.secret import Secret
from gateway.client.session import Session
from gateway.clock import TurnedClock
from gateway.errors import Reason, Refusal
from tests.client.small_gateway import ACCOUNT, PASSWORD, SmallGateway

NEW = Secret("another battery 9Z")


def play(folder, scene, **gateway_options):
    """Run `scene(gateway, open_session, clock)`; `open_session` gives sessions of one profile."""
    clock = TurnedClock(1_800_000_000_000_000)
    gateway = SmallGateway(clock=clock, **gateway_options)

    async def scenario():
        async with gateway:
            channels = Channels(gateway.profile(folder))
            try:
                await scene(gateway, lambda **more: Session(channels, clock=clock, **more), clock)
            finally:
                await channels.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))
    return gateway


def test_a_session_outlives_the_process_in_the_profile(tmp_path):
    async def scene(gateway, session, clock):
        await session().login(Secret(PASSWORD))
        stored = tmp_path / "token.json"
        assert stored.stat().st_mode & 0o777 == 0o600
        token = await session().token()
        assert token.secret.value == json.loads(stored.read_text())["access_token"]
        assert (await session().who_am_i()).account_name == ACCOUNT
        assert token.secret.value not in repr(token)

    assert play(tmp_path, scene).calls == ["Login", "WhoAmI"]


def test_a_token_is_refreshed_from_the_half_of_its_life_on(tmp_path):
    async def scene(gateway, session, clock):
        ours = session()
        await ours.login(Secret(PASSWORD))
        first = await ours.token()
        clock.turn(seconds=299)
        assert await ours.token() == first
        clock.turn(seconds=2)
        second, third = await asyncio.gather(ours.token(), ours.token())
        assert second == third != first

    assert play(tmp_path, scene).calls == ["Login", "RefreshToken"]


def test_an_expired_token_needs_a_login(tmp_path):
    async def scene(gateway, session, clock):
        await session().login(Secret(PASSWORD))
        clock.turn(seconds=590)
        with pytest.raises(Refusal) as raised:
            await session().token()
        assert raised.value.reason is Reason.TOKEN_EXPIRED
        assert not (tmp_path / "token.json").exists()
        assert await session(password=lambda: Secret(PASSWORD)).token()

    assert play(tmp_path, scene).calls == ["Login", "Login"]


def test_without_a_session_one_has_to_log_in(tmp_path):
    async def scene(gateway, session, clock):
        with pytest.raises(Refusal) as raised:
            await session().token()
        assert raised.value.reason is Reason.TOKEN_MISSING
        (tmp_path / "token.json").write_text("{")
        with pytest.raises(Refusal):
            await session().token()

    assert play(tmp_path, scene).calls == []


def test_a_session_that_the_gateway_ended_is_opened_again_where_the_password_is_known(tmp_path):
    async def scene(gateway, session, clock):
        ours = session(password=lambda: Secret(PASSWORD))
        first = await ours.token()
        gateway.tokens.clear()
        clock.turn(seconds=400)
        assert await ours.token() != first

    assert play(tmp_path, scene).calls == ["Login", "RefreshToken", "Login"]


def test_one_login_serves_all_who_were_refused(tmp_path):
    async def scene(gateway, session, clock):
        ours = session(password=lambda: Secret(PASSWORD))
        token = await ours.token()
        renewed = await asyncio.gather(*(ours.renew(token) for _ in range(5)))
        assert len({each.secret.value for each in renewed}) == 1

    assert play(tmp_path, scene).calls == ["Login", "Login"]


def test_a_wrong_password_is_refused_with_its_reason(tmp_path):
    async def scene(gateway, session, clock):
        with pytest.raises(Refusal) as raised:
            await session().login(Secret("wrong"))
        assert raised.value.reason is Reason.LOGIN_FAILED

    play(tmp_path, scene)


def test_a_changed_password_brings_a_new_token_and_the_one_time_password_goes(tmp_path):
    async def scene(gateway, session, clock):
        once = tmp_path / "password"
        once.write_text(PASSWORD)
        ours = session(password=lambda: Secret(PASSWORD))
        token = await ours.token()
        await ours.change_password(Secret(PASSWORD), NEW)
        assert await ours.token() != token
        assert not once.exists()

    play(tmp_path, scene)


def test_logging_out_forgets_the_token_also_when_the_gateway_does_not_know_it(tmp_path):
    async def scene(gateway, session, clock):
        ours = session()
        await ours.login(Secret(PASSWORD))
        await ours.logout()
        assert gateway.tokens == {}
        assert not (tmp_path / "token.json").exists()
        await ours.login(Secret(PASSWORD))
        gateway.tokens.clear()
        with pytest.raises(Refusal):
            await ours.logout()
        assert not (tmp_path / "token.json").exists()

    play(tmp_path, scene)


def test_the_password_is_given_again_where_somebody_knows_it(tmp_path):
    async def scene(gateway, session, clock):
        gateway.unconfirmed = True
        ours = session()
        await ours.login(Secret(PASSWORD))
        with pytest.raises(Refusal) as raised:
            await ours.confirm()
        assert raised.value.reason is Reason.CONFIRMATION_NEEDED
        with pytest.raises(Refusal) as raised:
            await session(password=lambda: Secret("wrong")).confirm()
        assert raised.value.reason is Reason.LOGIN_FAILED
        assert gateway.unconfirmed
        await session(password=lambda: Secret(PASSWORD)).confirm()
        assert not gateway.unconfirmed

    assert play(tmp_path, scene).calls == ["Login", "Confirm", "Confirm"]

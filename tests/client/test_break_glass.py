import asyncio

import pytest

from gateway.client.break_glass import BreakGlass
from gateway.client.client import Client
from gateway.client.secret import Secret
from gateway.errors import Refusal
from tests.client.small_gateway import PASSWORD
from tests.small_glass import CODE, OPENING, TEXTS, SmallGlass


def run(tmp_path, scene):
    async def work():
        async with (
            SmallGlass() as gateway,
            Client(gateway.profile(tmp_path / "p"), password=lambda: Secret(PASSWORD)) as client,
        ):
            await scene(gateway, client, BreakGlass(client))

    asyncio.run(work())


def test_what_is_shown_once_is_a_secret(tmp_path):
    async def scene(gateway, client, glass):
        texts = await glass.seal(["li", "zhao", "sun"])
        code, count = await glass.code()
        assert [one.value for one in texts] == list(TEXTS)
        assert (code.value, count) == (CODE, 2)
        assert not any(one in repr([texts, code]) for one in (*TEXTS, CODE))

    run(tmp_path, scene)


def test_opening_needs_no_session_and_entering_gives_one(tmp_path):
    async def scene(gateway, client, glass):
        answer = await glass.open(Secret(TEXTS[1]), reason="why", ticket="OPS-1", drill=False)
        assert answer.opening_id == OPENING
        assert gateway.tokens == {}
        for _ in range(2):
            await glass.confirm(OPENING, Secret(CODE))
        await glass.enter(OPENING)
        assert client.session.alive() == Secret("of-break-glass")
        assert (client.profile.token.stat().st_mode & 0o777) == 0o600
        # By the session's own token, not by a login.
        assert (await glass.close(OPENING)).sealing_void
        assert (await glass.show()).state == "sealed"
        assert "Login" not in gateway.calls

    run(tmp_path, scene)


def test_a_refused_opening_leaves_the_profile_as_it_was(tmp_path):
    async def scene(gateway, client, glass):
        with pytest.raises(Refusal):
            await glass.open(Secret("wrong"), reason="why", ticket="OPS-1", drill=False)
        with pytest.raises(Refusal):
            await glass.enter(OPENING)
        assert client.session.alive() is None
        assert not client.profile.token.exists()

    run(tmp_path, scene)

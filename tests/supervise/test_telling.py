"""What nears its end is told on the log, once, before it is restricted; and its restriction too."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.clock import SYSTEM, US_PER_S
from gateway.identity.rotation import DAY_US, Judgement, Secret
from gateway.supervise import rotation, telling
from gateway.supervise.rotation import Engine
from tests.world import CITY, COUNTY, World, fresh_ground

KINDS = ("secret.warned", "secret.restricted", "secret.blocked")


def in_a_world(cluster, work: Callable[[World, Engine], Awaitable[None]]) -> None:
    async def run(ground):
        async with World.open(ground, ()) as world:
            engine = rotation.engine(world.home, world.settings, "supervisor", world.clock)
            async with engine as looking:
                await looking.look()
                await work(world, looking)

    with fresh_ground(cluster) as ground:
        asyncio.run(run(ground))


def told(world: World, since: int = 0) -> list[dict[str, object]]:
    return [leaf for leaf in world.leaves(since) if leaf["kind"] in KINDS]


def let_end(world: World, code: str, name: str, in_days: float) -> None:
    """Let an account's password end in so many days, set 90 days before that."""
    end_us = world.clock.now_us() + round(in_days * DAY_US)
    world.sql(
        "UPDATE gateway.account SET password_set_us = %s, password_expires_us = %s"
        " WHERE organisation = %s AND name = %s",
        *(end_us - 90 * DAY_US, end_us, code, name),
    )


async def later(world: World, engine: Engine, days: float) -> int:
    world.clock.turn(seconds=days * DAY_US / US_PER_S)
    return await engine.tell()


def test_each_warning_is_told_once_then_the_restriction_then_the_block(cluster):
    """Whose it is and until when; nothing of the password, and nothing of anybody else."""

    async def work(world, engine):
        world.sql("UPDATE gateway.certificate SET not_after_us = not_after_us + %s", 400 * DAY_US)
        let_end(world, COUNTY, "uploader", 14.5)
        assert await engine.tell() == 0
        steps = []
        for days in (1, 1, 6, 4, 2, 1, 1, 6.5):
            before = world.size()
            await later(world, engine, days)
            leaves = [
                leaf for leaf in told(world, before) if leaf["detail"]["secret"] == "service-secret"
            ]
            steps.append([leaf["kind"] for leaf in leaves])
            for leaf in leaves:
                detail = leaf["detail"]
                assert (detail["target_organisation"], detail["target_account"]) == (
                    COUNTY,
                    "uploader",
                )
                assert set(detail) <= {
                    *("secret", "generation", "not_after_us"),
                    *("target_organisation", "target_account"),
                }
        warned, none = ["secret.warned"], []
        assert steps == [
            warned,
            none,
            warned,
            warned,
            warned,
            ["secret.restricted"],
            none,
            ["secret.blocked"],
        ]

    in_a_world(cluster, work)


def test_another_process_does_not_tell_again(cluster):
    async def work(world, engine):
        let_end(world, CITY, "uploader", 2)
        assert await engine.tell() == 1
        again = rotation.engine(world.home, world.settings, "supervisor", world.clock)
        async with again as other:
            assert await other.tell() == 0
        # Another one since, as old as the policy bears: a warning of its own.
        world.sql(
            "UPDATE gateway.account SET password_set_us = password_set_us + 1 WHERE organisation = %s",
            CITY,
        )
        assert await later(world, engine, 0.05) == 1

    in_a_world(cluster, work)


def test_it_is_told_once_an_hour_at_most(cluster):
    async def work(world, engine):
        assert await engine.tell() == 0
        let_end(world, CITY, "uploader", 2)
        assert await engine.tell() == 0
        assert await later(world, engine, 1 / 24) == 1

    in_a_world(cluster, work)


def test_a_tunnels_key_and_a_certificate_are_named_as_the_log_names_them(cluster):
    async def work(world, engine):
        peer = "k" * 43 + "="
        world.sql(
            "INSERT INTO gateway.tunnel (kind, peer, organisation, addresses, created_us, changed_us)"
            " VALUES ('wireguard', %s, %s, '{10.14.1.5/32}', 1, 1)",
            *(peer, COUNTY),
        )
        world.sql(
            "UPDATE gateway.certificate SET not_before_us = %s, not_after_us = %s",
            *(world.clock.now_us() - 13 * DAY_US, world.clock.now_us() + DAY_US // 2),
        )
        await engine.tell()
        leaves = told(world)
        [tunnel] = [leaf for leaf in leaves if leaf["detail"]["secret"] == "tunnel-key"]
        assert (tunnel["tunnel"], tunnel["detail"]["target_organisation"]) == (peer, COUNTY)
        certificates = [
            leaf["detail"] for leaf in leaves if leaf["detail"]["secret"] == "client-certificate"
        ]
        bearers = {(one["target_subject_kind"], one["target_subject_name"]) for one in certificates}
        assert bearers == {("sys", "uploader"), ("officer", "admin"), ("officer", "auditor")}

    in_a_world(cluster, work)


def judged(**changes: object) -> Judgement:
    secret = Secret("password", "wang", "140100", 3)
    plain = {"stage": "issued", "step": "change", "due_us": SYSTEM.now_us(), "late": False}
    return Judgement(secret, age_us=0, **{"warnings": 0, **plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, ""),
        ({"stage": "warned", "warnings": 2}, "warned-2"),
        ({"stage": "overlapping", "warnings": 1}, ""),
        ({"stage": "restricted", "late": True, "warnings": 4}, "restricted"),
        # A one-time password that waits for its first use; a tunnel that an officer locked.
        ({"stage": "restricted"}, ""),
        ({"stage": "blocked"}, ""),
        ({"stage": "blocked", "late": True}, "blocked"),
    ],
)
def test_what_is_told_of_a_stage(changes, what):
    assert telling._what(judged(**changes)) == what


def test_of_a_list_its_keeper_tells():
    late = Judgement(
        Secret("revocation-list", "x", "host"), "blocked", 0, "sign", 1, late=True, warnings=1
    )
    assert telling._what(late) == ""


def test_a_name_that_might_be_a_persons_number_stands_in_no_leaf():
    one = judged(stage="warned", warnings=1)
    number = Judgement(
        Secret("password", "140105199001011234", "140100"),
        "warned",
        0,
        "change",
        1,
        late=False,
        warnings=1,
    )
    assert telling._detail(one)["target_account"] == "wang"
    assert "target_account" not in telling._detail(number)
    assert telling._detail(number)["target_organisation"] == "140100"

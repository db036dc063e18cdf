"""Accounts as lists see them: in order, bounded, with how they are used."""

from gateway.identity import accounts, listing
from gateway.identity.rules import DAY_US
from tests.identity.office import GOOD, START_US, Office, at_the_office


def test_pages_are_in_order_and_bounded(conninfo) -> None:
    async def scene(office: Office) -> None:
        for organisation, name in (("140200", "b-one"), ("140100", "b-two"), ("140100", "a-one")):
            await office.open_account(name, organisation)
        async with office.administration.transaction() as tx:
            every = await listing.page(tx, "", ("", ""), 50)
            assert [one.key for one in every] == [
                ("140100", "a-one"),
                ("140100", "b-two"),
                ("140200", "b-one"),
            ]
            assert await listing.page(tx, "", ("140100", "a-one"), 1) == every[1:2]
            assert await listing.page(tx, "140200", ("", ""), 5000) == every[2:]
            assert await accounts.read(tx, "140100", "a-one") == every[0].account

    at_the_office(conninfo, scene)


def test_how_an_account_is_used(conninfo) -> None:
    async def scene(office: Office) -> None:
        async def found() -> listing.Listed:
            async with office.administration.transaction() as tx:
                one = await listing.listed(tx, "140100", "hub-upload")
                assert await listing.listed(tx, "140100", "nobody") is None
            assert one is not None
            return one

        await office.open_account()
        fresh = await found()
        assert (fresh.last_login_us, fresh.used_us, fresh.locked) == (None, START_US, False)
        await office.settled("hub-second")
        async with office.administration.transaction() as tx:
            assert await listing.left_alone(tx, START_US - 1, 9) == []
            assert [one.key[1] for one in await listing.left_alone(tx, START_US, 9)] == [
                "hub-second",
                "hub-upload",
            ]
            assert len(await listing.left_alone(tx, START_US, 1)) == 1
        office.clock.us += DAY_US
        await office.log_in("hub-second", GOOD)
        async with office.administration.transaction() as tx:
            second = await listing.listed(tx, "140100", "hub-second")
            assert second is not None
            assert second.last_login_us == second.used_us == START_US + DAY_US
            assert await listing.left_alone(tx, START_US, 9) == [fresh]
        async with office.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO gateway.throttle (organisation, account, lineage, failures,"
                " blocked_until_us, last_us, locked_us)"
                " VALUES ('140100', 'hub-upload', 'sys/spare', 1, 0, 1, 1)"
            )
        assert not (await found()).locked
        async with office.database.transaction() as tx:
            await tx.execute("UPDATE gateway.throttle SET lineage = 'sys/hub'")
        assert (await found()).locked

    at_the_office(conninfo, scene)

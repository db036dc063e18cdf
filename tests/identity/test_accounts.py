"""Accounts: opened and reset by the administration door, which never reads a hash."""

from dataclasses import replace

import pytest

from gateway.errors import ConflictError, InvalidError, NotFoundError
from gateway.identity import accounts
from gateway.identity.accounts import NewAccount
from gateway.identity.rules import DAY_US, HOUR_US
from gateway.store.database import StoreError
from tests.identity.office import GOOD, PROFILE, START_US, Office, at_the_office

WANTED = NewAccount("140100", "hub-upload", ("uploader",), "hub")


def test_an_account_is_opened_once_with_a_one_time_password(conninfo) -> None:
    async def scene(office: Office) -> None:
        async with office.administration.transaction() as tx:
            made = await accounts.create(tx, WANTED, "hash", PROFILE, START_US)
            assert await accounts.read(tx, "140100", "hub-upload") == made
            assert (made.subject_kind, made.subject_name, made.roles) == (
                "sys",
                "hub",
                ("uploader",),
            )
            assert made.must_change
            assert made.password_expires_us == START_US + 24 * HOUR_US
            assert await accounts.read(tx, "140200", "hub-upload") is None
        with pytest.raises(ConflictError):
            async with office.administration.transaction() as tx:
                await accounts.create(tx, WANTED, "other", PROFILE, START_US)
        async with office.database.transaction() as tx:
            held = await accounts.read_credential(tx, "140100", "hub-upload")
            assert held is not None
            assert (held.account, held.password_hash, held.history) == (made, "hash", ())
            assert "hash" not in repr(held).replace("password_hash", "")

    at_the_office(conninfo, scene)


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"name": "ab"}, ["account-name"]),
        ({"name": "Hub"}, ["account-name"]),
        ({"roles": ()}, ["account-roles", "account-system"]),
        ({"roles": ("root",)}, ["account-roles", "account-system"]),
        ({"roles": ("admin", "auditor"), "subject_name": "wang"}, ["account-roles-apart"]),
        ({"roles": ("uploader", "admin")}, ["account-roles-apart"]),
        ({"roles": ("requester", "approver"), "subject_name": "wang"}, ["account-roles-apart"]),
        ({"roles": ("auditor",)}, ["account-system"]),
        ({"subject_name": "wang"}, ["account-system"]),
        ({"subject_name": "nobody"}, ["account-system"]),
        ({"organisation": "140300"}, ["account-system"]),
    ],
)
def test_what_cannot_be_an_account_is_refused(conninfo, change: dict, rules: list[str]) -> None:
    async def scene(office: Office) -> None:
        async with office.administration.transaction() as tx:
            with pytest.raises(InvalidError) as refused:
                await accounts.create(tx, replace(WANTED, **change), "hash", PROFILE, START_US)
            assert [one.rule for one in refused.value.violations] == rules

    at_the_office(conninfo, scene)


def test_officers_bear_what_governs_and_looks_on(conninfo) -> None:
    async def scene(office: Office) -> None:
        async with office.administration.transaction() as tx:
            for organisation, held in (
                ("140100", ("admin",)),
                ("140200", ("auditor",)),
                ("140100", ("requester", "recipient", "duty_doctor")),
            ):
                made = await accounts.create(
                    tx,
                    NewAccount(organisation, f"wang-{len(held)}", held, "wang"),
                    "hash",
                    PROFILE,
                    START_US,
                )
                assert made.subject_kind == "officer"

    at_the_office(conninfo, scene)


def test_a_reset_voids_sessions_and_lifts_blocks(conninfo) -> None:
    async def scene(office: Office) -> None:
        grant = await office.settled()
        async with office.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO gateway.throttle VALUES ('140100', 'hub-upload', 'sys/hub', 9, %s, 1)",
                (START_US * 2,),
            )
        one_time = await office.desk.passwords.one_time()
        async with office.administration.transaction() as tx:
            account = await accounts.reset(
                tx, "140100", "hub-upload", one_time.hash, PROFILE, office.clock.now_us()
            )
            assert account.must_change
            assert account.password_epoch == grant.account.password_epoch + 1
            with pytest.raises(NotFoundError):
                await accounts.reset(tx, "140100", "nobody", one_time.hash, PROFILE, START_US)
            assert await tx.fetch(
                "SELECT count(*) FROM gateway.session WHERE ended_us IS NULL"
            ) == [(0,)]
            assert await tx.fetch("SELECT failures, blocked_until_us FROM gateway.throttle") == [
                (0, 0)
            ]
        assert (await office.log_in("hub-upload", one_time.text)).account == account
        # The former password stays in the history, although nobody read it at the reset.
        changed = await office.log_in("hub-upload", one_time.text)
        with pytest.raises(InvalidError) as refused:
            await office.change(changed, one_time.text, GOOD)
        assert [one.rule for one in refused.value.violations] == ["PW-HISTORY"]

    at_the_office(conninfo, scene)


@pytest.mark.parametrize("column", ["password_hash", "history"])
def test_administration_cannot_read_a_hash(conninfo, column: str) -> None:
    async def scene(office: Office) -> None:
        await office.open_account()
        with pytest.raises(StoreError, match="permission denied"):
            async with office.administration.transaction() as tx:
                await tx.fetch(f"SELECT {column} FROM gateway.account")

    at_the_office(conninfo, scene)


def test_a_password_ends_earlier_when_the_policy_becomes_stricter() -> None:
    """Keycloak #39208: the end was fixed when the password was set."""
    account = accounts.Account("140100", "a", (), "sys", "hub", 1, 0, 90 * DAY_US, False, 0, 0)
    assert account.ends_us(PROFILE) == 90 * DAY_US
    assert account.ends_us(replace(PROFILE, maximum_age_days=30)) == 30 * DAY_US
    assert account.ends_us(replace(PROFILE, maximum_age_days=180)) == 90 * DAY_US
    assert replace(account, must_change=True, password_expires_us=5).ends_us(PROFILE) == 5


def test_a_bearer_with_one_account_has_that_and_with_two_has_none(conninfo) -> None:
    async def scene(office: Office) -> None:
        await office.open_account()

        async def only() -> str:
            async with office.database.transaction() as tx:
                return await accounts.only_of(tx, "140100", "sys", "hub")

        assert await only() == "hub-upload"
        await office.open_account("hub-second")
        assert await only() == ""
        async with office.database.transaction() as tx:
            assert await accounts.only_of(tx, "140100", "officer", "nobody") == ""

    at_the_office(conninfo, scene)

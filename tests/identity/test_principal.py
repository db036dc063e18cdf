"""The principal is established only where token, session, account and connection agree."""

from dataclasses import replace

import pytest

from gateway.errors import PreconditionError, Reason, UnauthenticatedError
from gateway.identity import principal
from gateway.identity.accounts import Account
from gateway.identity.principal import PasswordState, Standing
from gateway.identity.rules import DAY_US, HOUR_US
from gateway.identity.session import Session
from gateway.identity.token import Claims
from tests.identity.office import DOMAIN, PROFILE, START_US, connection

OVER = connection()
DIGEST = bytes.fromhex(OVER.certificate_sha256)
CLAIMS = Claims(
    "140100",
    "hub-upload",
    OVER.subject,
    bytes(16),
    ("uploader",),
    1,
    2,
    DIGEST,
    START_US // 1_000_000,
    START_US // 1_000_000 + 600,
)
ACCOUNT = Account(
    "140100",
    "hub-upload",
    ("uploader",),
    "sys",
    "hub",
    1,
    START_US,
    START_US + 90 * DAY_US,
    False,
    1,
    2,
)
SESSION = Session(
    bytes(16), "140100", "hub-upload", DIGEST, START_US, START_US, START_US + 12 * HOUR_US
)
STANDING = Standing(SESSION, ACCOUNT)


def test_who_is_calling() -> None:
    found = principal.establish(CLAIMS, STANDING, OVER, PROFILE, START_US)
    assert str(found.subject) == f"spiffe://{DOMAIN}/org/140100/sys/hub"
    assert (found.organisation, found.account, found.roles) == (
        "140100",
        "hub-upload",
        {"uploader"},
    )
    assert (found.session, found.certificate_sha256, found.origin) == (
        bytes(16),
        DIGEST,
        OVER.origin,
    )
    assert found.password_state is PasswordState.CURRENT
    assert found.token_expires_us == START_US + 600_000_000
    assert found.session_expires_us == SESSION.expires_us
    assert found.password_expires_us == ACCOUNT.password_expires_us
    assert principal.bearer(OVER).certificate_sha256 == DIGEST


@pytest.mark.parametrize(
    "standing",
    [
        None,
        Standing(replace(SESSION, ended_us=START_US), ACCOUNT),
        Standing(replace(SESSION, expires_us=START_US), ACCOUNT),
        Standing(replace(SESSION, sid=bytes(15) + b"\1"), ACCOUNT),
        Standing(replace(SESSION, certificate_sha256=bytes(32)), ACCOUNT),
        Standing(replace(SESSION, account="other"), ACCOUNT),
        Standing(replace(SESSION, organisation="140200"), ACCOUNT),
        Standing(SESSION, replace(ACCOUNT, name="other")),
        Standing(SESSION, replace(ACCOUNT, organisation="140200")),
        Standing(SESSION, replace(ACCOUNT, state=2)),
        Standing(SESSION, replace(ACCOUNT, password_epoch=2)),
        Standing(SESSION, replace(ACCOUNT, role_epoch=3)),
        Standing(SESSION, replace(ACCOUNT, subject_name="spare")),
        Standing(SESSION, replace(ACCOUNT, subject_kind="officer")),
    ],
    ids=range(14),
)
def test_anything_that_disagrees_is_an_unknown_session(standing: Standing | None) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        principal.establish(CLAIMS, standing, OVER, PROFILE, START_US)
    assert refused.value.reason is Reason.SESSION_UNKNOWN


def test_roles_come_from_the_account_not_from_the_token() -> None:
    found = principal.establish(
        replace(CLAIMS, roles=("admin",)), STANDING, OVER, PROFILE, START_US
    )
    assert found.roles == {"uploader"}


@pytest.mark.parametrize(
    ("account", "days", "state"),
    [
        (ACCOUNT, 0, PasswordState.CURRENT),
        (ACCOUNT, 75, PasswordState.CURRENT),
        (ACCOUNT, 76, PasswordState.WARNED),
        (ACCOUNT, 90, PasswordState.EXPIRED),
        (ACCOUNT, 97, PasswordState.BLOCKED),
        (replace(ACCOUNT, must_change=True), 0, PasswordState.MUST_CHANGE),
        (replace(ACCOUNT, must_change=True), 91, PasswordState.MUST_CHANGE),
    ],
)
def test_password_states(account: Account, days: int, state: PasswordState) -> None:
    assert principal.password_state(account, PROFILE, START_US + days * DAY_US) is state


@pytest.mark.parametrize(
    ("days", "before", "then"),
    [
        (76, PasswordState.CURRENT, PasswordState.WARNED),
        (90, PasswordState.WARNED, PasswordState.EXPIRED),
        (97, PasswordState.EXPIRED, PasswordState.BLOCKED),
    ],
)
def test_each_state_begins_at_its_microsecond(
    days: int, before: PasswordState, then: PasswordState
) -> None:
    """Attack 95: -1, 0, +1."""
    at_us = START_US + days * DAY_US
    found = [principal.password_state(ACCOUNT, PROFILE, at_us + step) for step in (-1, 0, 1)]
    assert found == [before, then, then]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (PasswordState.CURRENT, None),
        (PasswordState.WARNED, None),
        (PasswordState.EXPIRED, Reason.PASSWORD_EXPIRED),
        (PasswordState.MUST_CHANGE, Reason.PASSWORD_MUST_CHANGE),
        (PasswordState.BLOCKED, Reason.PASSWORD_BLOCKED),
    ],
)
def test_a_password_that_is_not_current_restricts(
    state: PasswordState, reason: Reason | None
) -> None:
    who = replace(
        principal.establish(CLAIMS, STANDING, OVER, PROFILE, START_US), password_state=state
    )
    principal.require_password(who, expired_allowed=True)
    if reason is None:
        principal.require_password(who, expired_allowed=False)
        return
    with pytest.raises(PreconditionError) as refused:
        principal.require_password(who, expired_allowed=False)
    assert refused.value.reason is reason


def test_only_a_system_within_its_grace_goes_on() -> None:
    system = principal.establish(CLAIMS, STANDING, OVER, PROFILE, START_US)
    officer = replace(system, subject=replace(system.subject, kind="officer"))
    for who, state, goes_on in (
        (system, PasswordState.EXPIRED, True),
        (system, PasswordState.BLOCKED, False),
        (system, PasswordState.MUST_CHANGE, False),
        (officer, PasswordState.EXPIRED, False),
    ):
        asked = replace(who, password_state=state)
        assert asked.system_in_grace is goes_on
        if goes_on:
            principal.require_password(asked, expired_allowed=False, grace_allowed=True)
        else:
            with pytest.raises(PreconditionError):
                principal.require_password(asked, expired_allowed=False, grace_allowed=True)
        with pytest.raises(PreconditionError):
            principal.require_password(asked, expired_allowed=False)


@pytest.mark.parametrize(
    ("age_us", "holds"),
    [(0, True), (300_000_000, True), (300_000_001, False), (-1, False), (START_US, False)],
)
def test_a_confirmation_holds_for_its_seconds(age_us: int, holds: bool) -> None:
    confirmed = replace(SESSION, confirmed_us=START_US - age_us)
    who = principal.establish(CLAIMS, Standing(confirmed, ACCOUNT), OVER, PROFILE, START_US)
    if holds:
        principal.require_confirmed(who, 300, START_US)
        return
    with pytest.raises(PreconditionError) as refused:
        principal.require_confirmed(who, 300, START_US)
    assert refused.value.reason is Reason.CONFIRMATION_NEEDED

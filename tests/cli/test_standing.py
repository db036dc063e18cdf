import asyncio
from dataclasses import replace

from gateway.cli import standing
from gateway.clock import SYSTEM
from gateway.config.home import Home
from gateway.config.policies import load_certificate_rules, shipped
from gateway.pki import authorities, crl, der, register
from gateway.pki.register import Row

RULES = load_certificate_rules(shipped("policies") / "certificates.toml")
NOW_US = 1_800_000_000_000_000
DAY_US = standing.DAY_US
ROW = Row(
    serial="a1",
    organisation="140105",
    subject_kind="sys",
    subject_name="his",
    certificate_sha256=b"",
    not_before_us=NOW_US - 10 * DAY_US,
    not_after_us=NOW_US + 4 * DAY_US,
    state=register.ACTIVE,
    revoked_us=None,
    reason=None,
    purpose=register.TLS,
    generation=1,
    first_used_us=NOW_US,
    lineage=b"line",
    locked_us=None,
    issuer_sha256=None,
)


class Register:
    """A register in memory."""

    def __init__(self, *rows):
        self.rows = rows

    async def fetch(self, *_):
        return [tuple(getattr(row, name) for name in Row.__dataclass_fields__) for row in self.rows]

    async def fetch_one(self, *_):
        return (3,)


def told(*rows):
    return asyncio.run(standing.registered(Register(*rows), RULES, NOW_US))


def test_the_last_certificate_of_each_bearer_and_purpose_counts():
    renewed = replace(ROW, serial="a2", not_before_us=NOW_US, not_after_us=NOW_US + 14 * DAY_US)
    sealing = replace(ROW, serial="e1", purpose=register.ENCRYPTION)
    found = told(ROW, renewed, sealing)
    assert [(one.purpose, one.warning_days) for one in found.held] == [(2, 7), (1, 0)]
    assert found.invitations_open == 3


def test_what_was_taken_back_or_is_long_gone_is_not_missed():
    past = replace(ROW, not_before_us=NOW_US - 60 * DAY_US)
    gone = replace(past, not_after_us=NOW_US - standing.MISSED_US)
    missed = replace(past, not_after_us=NOW_US - standing.MISSED_US + 1)
    revoked = replace(ROW, state=2, revoked_us=NOW_US)
    assert told(gone, revoked).held == ()
    [held] = told(missed).held
    assert held.warning_days == 1


def test_a_locked_identity_is_told_until_it_is_revoked_or_over():
    locked = replace(ROW, locked_us=NOW_US)
    found = told(locked, replace(locked, serial="a2"))
    assert found.held == ()
    assert [bearer.name for bearer in found.locked] == ["his"]
    assert told(replace(locked, state=2, revoked_us=NOW_US)).locked == ()
    assert told(replace(locked, not_after_us=NOW_US)).locked == ()


def test_a_list_grows_late_and_stale(founded: Home) -> None:
    now_us = SYSTEM.now_us()
    authority = authorities.issuing(authorities.load(founded))
    [listed] = der.revocation_lists(founded.crl.read_bytes())
    number = crl.number_of(listed)
    crl.write(founded.crl, crl.build(authority, [], number, now_us))
    hour_us = standing.HOUR_US
    states = [
        standing.list_age(founded, RULES, now_us + hours * hour_us).state for hours in (0, 13, 25)
    ]
    assert states == ["good", "late", "stale"]
    assert set(standing.ends(founded)) == {"server", "root", "client-authority"}

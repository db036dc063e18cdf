"""The age of a tunnel's key by a turned clock: when it is due, with whom it overlaps and until when, whether it is missed."""

from dataclasses import replace

import pytest

from gateway.config import policies
from gateway.registry.tunnel_keys import DAY_US, HOUR_US, is_over, judge
from gateway.registry.tunnels import ACTIVE, LOCKED, REMOVED, Tunnel

RULES = replace(
    policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml"),
    key_days=180.0,
    overlap_hours=72.0,
    unused_days=30.0,
)
MADE_US = 1_790_000_000_000_000
OLD = Tunnel("wireguard", "old", "140105", ("10.14.1.5/32",), ACTIVE, MADE_US, MADE_US, MADE_US)
NEW_US = MADE_US + 170 * DAY_US
USED_US = NEW_US + 5 * DAY_US
NEW = replace(OLD, peer="new", created_us=NEW_US, changed_us=NEW_US, last_seen_us=None)


def at(tunnel, days):
    return judge(tunnel, RULES, MADE_US + round(days * DAY_US))


def test_a_key_is_due_after_its_days_and_a_successor_is_asked_for():
    young = at(OLD, 10)
    assert (young.state, young.step, young.age_us) == ("issued", "none", 10 * DAY_US)
    assert (young.due_us, young.until_us, young.unused_since_us) == (
        MADE_US + 180 * DAY_US,
        None,
        None,
    )
    assert (at(OLD, 179.99).state, at(OLD, 179.99).step) == ("issued", "none")
    assert (at(OLD, 180).state, at(OLD, 180).step) == ("warned", "rotate")
    # A clock that went back makes nothing younger than new.
    assert at(OLD, -1).age_us == 0


def test_a_peer_whose_key_is_not_its_name_is_never_due():
    ipsec = replace(OLD, kind="strongswan")
    assert (at(ipsec, 999).state, at(ipsec, 999).due_us) == ("issued", None)


def test_old_and_new_overlap_and_the_old_one_ends_only_after_the_new_one_was_used():
    waits = replace(OLD, followed_by="new")
    found = at(waits, 999)
    assert (found.state, found.step, found.until_us) == ("overlapping", "install", None)
    assert not is_over(waits, RULES, MADE_US + 999 * DAY_US)
    used = replace(waits, followed_us=USED_US)
    until_us = USED_US + 72 * HOUR_US
    found = at(used, 176)
    assert (found.state, found.step, found.until_us) == ("overlapping", "retire", until_us)
    assert not is_over(used, RULES, until_us - 1)
    assert is_over(used, RULES, until_us)


def test_the_new_one_overlaps_as_long_as_the_old_one_is_active():
    new = replace(NEW, follows="old", overlaps=True)
    assert (judge(new, RULES, NEW_US).state, judge(new, RULES, NEW_US).step) == (
        "overlapping",
        "install",
    )
    used = judge(replace(new, first_seen_us=USED_US), RULES, USED_US)
    assert (used.state, used.step) == ("overlapping", "none")
    alone = judge(replace(new, first_seen_us=USED_US, overlaps=False), RULES, USED_US)
    assert (alone.state, alone.due_us) == ("issued", NEW_US + 180 * DAY_US)


def test_who_is_not_used_for_the_policys_days_is_missed():
    assert at(OLD, 29.99).unused_since_us is None
    assert at(OLD, 30).unused_since_us == MADE_US
    seen = replace(OLD, last_seen_us=MADE_US + 20 * DAY_US)
    assert at(seen, 49.99).unused_since_us is None
    assert at(seen, 50).unused_since_us == MADE_US + 20 * DAY_US
    # Registered and never seen; unlocked a moment ago.
    assert judge(NEW, RULES, NEW_US + 30 * DAY_US).unused_since_us == NEW_US
    unlocked = replace(OLD, changed_us=MADE_US + 60 * DAY_US)
    assert at(unlocked, 61).unused_since_us is None


@pytest.mark.parametrize(("state", "word"), [(LOCKED, "blocked"), (REMOVED, "ended")])
def test_of_what_is_not_in_force_nothing_is_due(state, word):
    gone = replace(OLD, state=state, followed_by="new", followed_us=USED_US)
    found = at(gone, 999)
    assert (found.state, found.step) == (word, "none")
    assert (found.due_us, found.until_us, found.unused_since_us) == (None, None, None)
    assert not is_over(gone, RULES, MADE_US + 999 * DAY_US)

"""A list of tunnels tells each key's age, when it is due, with whom it overlaps and until when, and who is missed."""

import pytest

from gateway.clock import SYSTEM, iso
from gateway.v1 import admin_service_pb2 as v1
from tests.cli.test_tunnel import add
from tests.cli.test_tunnel_invite import KEY, OTHER_KEY

DAY_US = 86_400_000_000


@pytest.fixture
def tunnel(small, told):
    """A tunnel as the gateway tells of it, to be changed, made ten days ago."""
    add(told, KEY)
    found = small.tunnels[KEY]
    found.create_time.FromMicroseconds(SYSTEM.now_us() - 10 * DAY_US)
    return found


def days(number):
    return SYSTEM.now_us() + number * DAY_US


def test_how_old_a_key_is_and_when_it_is_due(tunnel, said, told):
    due_us = days(170)
    tunnel.key_due_time.FromMicroseconds(due_us)
    tunnel.key_state, tunnel.key_step = v1.Tunnel.KEY_STATE_ISSUED, v1.Tunnel.KEY_STEP_NONE
    text = said("tunnel", "list")
    assert "10 d" in text
    assert iso(due_us)[:10] in text
    assert "overdue" not in text
    [one] = told("tunnel", "list")["tunnels"]
    assert (one["key_state"], one["key_step"]) == ("KEY_STATE_ISSUED", "KEY_STEP_NONE")
    tunnel.key_state, tunnel.key_step = v1.Tunnel.KEY_STATE_WARNED, v1.Tunnel.KEY_STEP_ROTATE
    text = said("tunnel", "list")
    assert "overdue" in text
    assert "change it" in text


def test_with_whom_it_overlaps_and_until_when(tunnel, said):
    tunnel.key_state = v1.Tunnel.KEY_STATE_OVERLAPPING
    tunnel.following_peer, tunnel.key_step = OTHER_KEY, v1.Tunnel.KEY_STEP_INSTALL
    assert f"waits for {OTHER_KEY}" in said("tunnel", "show", KEY)
    tunnel.key_step = v1.Tunnel.KEY_STEP_RETIRE
    tunnel.retire_time.FromJsonString("2026-12-01T08:00:00Z")
    assert f"overlaps {OTHER_KEY}, retired at 2026-12-01T08:00:00Z" in said("tunnel", "show", KEY)
    # The new one's own line.
    tunnel.following_peer, tunnel.followed_peer = "", OTHER_KEY
    tunnel.key_step = v1.Tunnel.KEY_STEP_NONE
    assert f"rotation: overlaps {OTHER_KEY}\n" in said("tunnel", "show", KEY)
    tunnel.key_step = v1.Tunnel.KEY_STEP_INSTALL
    assert f"rotation: waits for {KEY}" in said("tunnel", "show", KEY)
    # A list is wrapped where it is too wide; it says the same.
    assert "waits for" in said("tunnel", "list")


def test_who_is_missed(tunnel, said):
    assert "never" in said("tunnel", "list")
    tunnel.last_seen_time.FromJsonString("2026-01-02T03:04:05Z")
    text = said("tunnel", "list")
    assert "2026-01-02T03:04:05Z" in text
    assert "unused" not in text
    tunnel.unused_since_time.FromMicroseconds(days(-31))
    assert "unused for 31 days" in said("tunnel", "show", KEY)
    assert "已 31 天未用" in said("tunnel", "show", KEY, lang="zh")

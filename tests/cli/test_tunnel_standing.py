"""What `status` and `metrics` tell of tunnels, by a turned clock: due, overlapping, missed; in both languages, with what to do."""

import asyncio
import base64

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from gateway.cli import metrics, tunnel_standing
from gateway.cli.output import Output
from gateway.cli.status import tunnel_lines
from gateway.config import policies
from gateway.registry.tunnel_keys import DAY_US
from gateway.store.database import Database

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
MADE_US = 1_790_000_000_000_000
COUNTY = "140105"
OLD, NEW, GONE, LOCKED, IPSEC = (
    *(base64.b64encode(bytes([number]) * 32).decode() for number in range(1, 5)),
    "gw@140105.example",
)


@pytest.fixture
def standing(conninfo):
    """The register's tunnels so many days after they were made."""
    with psycopg.connect(conninfo("owner"), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO gateway.organisation (code, name, kind, created_us) VALUES (%s, 'x', 3, 1)",
            [COUNTY],
        )
        rows = [
            ("wireguard", OLD, 1, None),
            ("wireguard", NEW, 1, OLD),
            ("wireguard", GONE, 3, None),
            ("wireguard", LOCKED, 2, None),
            ("strongswan", IPSEC, 1, None),
        ]
        for kind, peer, state, follows in rows:
            connection.execute(
                "INSERT INTO gateway.tunnel"
                " (kind, peer, organisation, addresses, state, created_us, changed_us, follows)"
                " VALUES (%s, %s, %s, '{10.14.1.0/24}', %s, %s, %s, %s)",
                (kind, peer, COUNTY, state, MADE_US, MADE_US, follows),
            )

        async def read(now_us):
            database = await Database.open(conninfo("owner"), application="test", size=1)
            try:
                async with database.transaction() as tx:
                    return await tunnel_standing.read(tx, RULES, now_us)
            finally:
                await database.close()

        def at(days, sql="", *parameters):
            if sql:
                connection.execute(f"UPDATE gateway.tunnel SET {sql}", parameters)
            now_us = MADE_US + round(days * DAY_US)
            return asyncio.run(read(now_us)), now_us

        yield at


def test_who_waits_who_is_retired_who_is_due_who_is_missed(standing):
    stands, now_us = standing(1)
    assert {one.tunnel.peer for one in stands} == {OLD, NEW, LOCKED, IPSEC}
    assert tunnel_standing.counts(stands) == {
        "active": 3,
        "overlapping": 2,
        "due": 0,
        "unused": 0,
    }
    [waits] = tunnel_standing.attention(stands, now_us)
    assert (waits["step"], waits["who"], waits["successor"]) == ("install", f"{COUNTY} {OLD}", NEW)

    used_us = MADE_US + 29 * DAY_US
    stands, now_us = standing(
        30, "first_seen_us = %s, last_seen_us = %s WHERE peer = %s", used_us, used_us, NEW
    )
    found = {
        (one["step"], one["who"].split()[1]) for one in tunnel_standing.attention(stands, now_us)
    }
    assert found == {("retire", OLD), ("unused", OLD), ("unused", IPSEC)}

    # The old one was removed; nobody follows the new one.
    stands, now_us = standing(RULES.key_days, "state = 3 WHERE peer = %s", OLD)
    steps = {
        (one["step"], one["who"].split()[1]) for one in tunnel_standing.attention(stands, now_us)
    }
    assert steps == {("rotate", NEW), ("unused", NEW), ("unused", IPSEC)}
    assert tunnel_standing.counts(stands) == {"active": 2, "overlapping": 0, "due": 1, "unused": 2}


@pytest.mark.parametrize(("lang", "word"), [("en", "nobody has used it"), ("zh", "无人使用")])
def test_people_are_told_with_what_to_do(standing, lang, word):
    stands, now_us = standing(RULES.key_days, "state = 3 WHERE peer = %s", OLD)
    database = {
        "tunnels": tunnel_standing.counts(stands),
        "tunnels_attention": tunnel_standing.attention(stands, now_us),
    }
    told = "\n".join(tunnel_lines(Output.of(False, lang), database))
    assert word in told
    assert "gateway tunnel rotate" in told
    assert "gateway tunnel remove" in told
    assert NEW in told
    assert "status." not in told


def test_each_active_tunnel_has_its_gauges(standing):
    stands, now_us = standing(40)
    registry = CollectorRegistry()
    metrics.tunnel_gauges(registry, stands, now_us)
    assert registry.get_sample_value("gateway_tunnels_active") == 3
    assert registry.get_sample_value("gateway_tunnels_overlapping") == 2
    assert registry.get_sample_value("gateway_tunnels_unused") == 3
    labels = {"organisation": COUNTY, "kind": "wireguard", "peer": OLD}
    assert registry.get_sample_value("gateway_tunnel_idle_seconds", labels) == 40 * 86_400
    due = registry.get_sample_value("gateway_tunnel_key_due_seconds", labels)
    assert due == (RULES.key_days - 40) * 86_400
    ipsec = {"organisation": COUNTY, "kind": "strongswan", "peer": IPSEC}
    assert registry.get_sample_value("gateway_tunnel_idle_seconds", ipsec) == 40 * 86_400
    assert registry.get_sample_value("gateway_tunnel_key_due_seconds", ipsec) is None
    locked = {"organisation": COUNTY, "kind": "wireguard", "peer": LOCKED}
    assert registry.get_sample_value("gateway_tunnel_idle_seconds", locked) is None

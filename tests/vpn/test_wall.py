"""The packet filter's counters, as nft 1.0.6 printed them (wall.json): what is read, what is told, and what is no wall."""

import asyncio
import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import US_PER_S
from gateway.config import policies
from gateway.config.settings import WallSettings
from gateway.vpn import wall
from gateway.vpn.wall import COUNTERS, Count, Refused, Tally, WallError, ask, parse

RULES = policies.load_tunnel_rules(policies.shipped("policies") / "tunnels.toml")
SAID = (Path(__file__).parent / "wall.json").read_bytes()
EPOCH = "boot 4026531840"
LOOK_US = round(RULES.wall_look_s * US_PER_S)


def packets(reading):
    return {name: count.packets for name, count in reading.items()}


def changed(change):
    """What nft says of a table that differs."""
    listed = json.loads(SAID)["nftables"]
    change(listed)
    return json.dumps({"nftables": listed}).encode()


def part(listed, kind, **about):
    (found,) = (one[kind] for one in listed if kind in one and about.items() <= one[kind].items())
    return found


def rule(listed, counter):
    (found,) = (
        one["rule"]
        for one in listed
        if "rule" in one and {"counter": counter} in one["rule"]["expr"]
    )
    return found


def test_what_nft_told_is_read():
    found = parse(SAID, EPOCH)
    assert packets(found) == {"bypass": 2, "outside": 1, "spoofed": 3}
    # Each is another, and stays itself.
    assert len({count.made for count in found.values()}) == len(COUNTERS)
    assert parse(SAID, EPOCH) == found


def test_a_table_made_anew_another_boot_and_another_namespace_are_other_counters():
    before = parse(SAID, EPOCH)
    anew = changed(lambda said: part(said, "table", name="gateway_wall").update(handle=99))
    for other in (parse(anew, EPOCH), parse(SAID, "another boot")):
        assert not {one.made for one in other.values()} & {one.made for one in before.values()}


def _uncounted(said, name):
    expressions = rule(said, name)["expr"]
    expressions[expressions.index({"counter": name})] = {"counter": {"packets": 3, "bytes": 120}}


OPEN = {
    "no-counter": lambda said, name: said.remove({"counter": part(said, "counter", name=name)}),
    "no-rule": lambda said, name: said.remove({"rule": rule(said, name)}),
    "no-drop": lambda said, name: rule(said, name)["expr"].pop(),
    "accepted": lambda said, name: rule(said, name)["expr"].append({"accept": None}),
    "uncounted": _uncounted,
    "no-hook": lambda said, _: part(said, "chain", name="wall").pop("hook"),
    "other-hook": lambda said, _: part(said, "chain", name="wall").update(hook="output"),
}


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("change", OPEN.values(), ids=OPEN)
def test_a_wall_that_counts_without_refusing_or_refuses_without_counting_is_open(change, counter):
    with pytest.raises(WallError) as found:
        parse(changed(lambda said: change(said, counter)), EPOCH)
    assert found.value.cause == "open"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"nftables": 1}',
        b'{"nftables": []}',
        b'{"nftables": [[]]}',
        b'{"nftables": [{"table": null}]}',
        b"[" * 100_000,
        SAID[:-20],
        SAID.replace(b'"packets": 3', b'"packets": "3"'),
        SAID.replace(b'"packets": 3', b'"packets": -3'),
        SAID.replace(b'"packets": 3', b'"packets": true'),
        SAID.replace(b'"expr": [', b'"expr": [], "x": ['),
    ],
)
def test_nonsense_is_no_reading(said):
    with pytest.raises(WallError) as found:
        parse(said, EPOCH)
    assert found.value.cause == "unreadable"


def tool(folder, body):
    path = folder / "nft"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return WallSettings("inet gateway_wall", tool=str(path))


def test_the_tool_is_asked_for_the_table(tmp_path):
    (tmp_path / "said").write_bytes(SAID)
    words = "-j list table inet gateway_wall"
    asked = tool(tmp_path, f'[ "$*" = "{words}" ] && exec /bin/cat {tmp_path}/said')
    assert packets(asyncio.run(ask(asked)))["spoofed"] == 3


def test_in_another_namespace_it_is_asked_there(tmp_path, monkeypatch):
    (tmp_path / "said").write_bytes(SAID)
    words = f"--net=/proc/self/ns/net -- {tmp_path}/nft -j list table inet gateway_wall"
    entering = tmp_path / "nsenter"
    entering.write_text(f'#!/bin/sh\n[ "$*" = "{words}" ] && exec /bin/cat {tmp_path}/said\n')
    entering.chmod(0o700)
    monkeypatch.setattr(wall, "NSENTER", str(entering))
    named = replace(tool(tmp_path, "exit 1"), namespace="/proc/self/ns/net")
    assert packets(asyncio.run(ask(named)))["outside"] == 1


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ('echo "Error: No such file or directory" >&2; exit 1', "gone"),
        ('echo "Operation not permitted (you must be root)" >&2; exit 1', "unreadable"),
        ("exit 1", "unreadable"),
        ("exec /bin/sleep 600", "unreadable"),
        ("exec /bin/cat /dev/zero", "unreadable"),
        ("echo x", "unreadable"),
    ],
)
def test_a_wall_that_is_not_there_or_of_which_nobody_can_say(body, cause, tmp_path, monkeypatch):
    monkeypatch.setattr(wall, "ANSWER_S", 0.5)
    with pytest.raises(WallError) as found:
        asyncio.run(ask(tool(tmp_path, body)))
    # On a machine that is overrun the tool may not even have begun.
    assert found.value.cause in {cause, "unreadable"}
    for gone in (
        WallSettings("inet x", tool=str(tmp_path / "none")),
        WallSettings("inet x", namespace=str(tmp_path / "none")),
    ):
        with pytest.raises(WallError) as found:
            asyncio.run(ask(gone))
        assert found.value.cause == "unreadable"


def reading(**counted):
    return {name: Count(counted.get(name, 0), f"{name} 1") for name in COUNTERS}


def looks(tally, *readings, begin=0):
    """What is told at each of these looks."""
    return [tally.look(one, (begin + number) * LOOK_US) for number, one in enumerate(readings)]


def test_one_attempt_is_told_once_when_it_is_over():
    tally = Tally({}, RULES)
    told = looks(
        tally,
        reading(),
        reading(spoofed=2),
        reading(spoofed=3),
        reading(spoofed=3),
        reading(spoofed=3),
    )
    one = Refused("spoofed", 3, Count(3, "spoofed 1"), LOOK_US, 2 * LOOK_US)
    assert told == [[], [], [], [one], []]


def test_each_counter_is_told_by_itself():
    tally = Tally({}, RULES)
    told = looks(tally, reading(bypass=1, outside=2), reading(bypass=1, outside=2))
    assert [(one.counter, one.packets) for one in told[1]] == [("bypass", 1), ("outside", 2)]


def test_a_flood_is_told_once_a_minute_and_to_the_packet():
    tally = Tally({}, RULES)
    counted = [reading(outside=10 * number) for number in range(1, 101)]
    told = [one for look in looks(tally, *counted, counted[-1], counted[-1]) for one in look]
    assert sum(one.packets for one in told) == 1000
    assert 100 * RULES.wall_look_s / RULES.wall_longest_s <= len(told) + 1
    assert len(told) <= 100 * RULES.wall_look_s / RULES.wall_longest_s + 1
    assert [one.count.packets for one in told][-1] == 1000


def test_what_was_told_before_a_restart_is_not_told_again_and_what_came_meanwhile_is():
    tally = Tally({"spoofed": Count(7, "spoofed 1")}, RULES)
    told = looks(tally, reading(spoofed=9), reading(spoofed=9))
    assert [(one.counter, one.packets) for one in told[1]] == [("spoofed", 2)]
    # Of another making nothing was told.
    tally = Tally({"spoofed": Count(7, "spoofed 0")}, RULES)
    told = looks(tally, reading(spoofed=9), reading(spoofed=9))
    assert told[1][0].packets == 9


def test_a_counter_that_was_set_back_is_told_of_at_once():
    tally = Tally({"spoofed": Count(7, "spoofed 1")}, RULES)
    told = looks(
        tally, reading(spoofed=7), reading(spoofed=0), reading(spoofed=2), reading(spoofed=2)
    )
    assert [[(one.packets, one.count.packets) for one in look] for look in told] == [
        [],
        [(0, 0)],
        [],
        [(2, 2)],
    ]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(COUNTERS), st.integers(1, 5)),
        st.sampled_from(["look", "set back", "made anew", "gone", "started anew"]),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_packet_that_was_read_is_lost_or_told_twice(steps):
    """Whatever happens between two looks: counters set back, the table made anew or away, a restart."""
    kernel = {name: Count(0, f"{name} 0") for name in COUNTERS}
    came, told = dict.fromkeys(COUNTERS, 0), dict.fromkeys(COUNTERS, 0)
    log, makings, now = {}, 0, 0
    tally = Tally(log, RULES)

    def look(found):
        nonlocal now
        now += LOOK_US
        for one in tally.look(found, now):
            told[one.counter] += one.packets
            log[one.counter] = one.count

    for step in steps:
        if isinstance(step, tuple):
            name, more = step
            came[name] += more
            kernel[name] = replace(kernel[name], packets=kernel[name].packets + more)
            continue
        look(kernel if step != "gone" else {})
        if step in ("set back", "made anew"):
            # What nobody has read is gone with it.
            look(kernel)
            if step == "made anew":
                # Of a table that is no more, what was read and not told is lost with us alone.
                look(kernel)
                makings += 1
            kernel = {
                name: Count(0, f"{name} {makings}" if step == "made anew" else one.made)
                for name, one in kernel.items()
            }
            look(kernel)
        if step == "started anew":
            tally = Tally(copy.copy(log), RULES)
    look(kernel)
    look(kernel)
    assert told == came
